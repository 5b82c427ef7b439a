#include "stream.h"

#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "events.h"

static_assert(std::endian::native == std::endian::little, "the stream is little-endian");

namespace edgekit {
namespace {

constexpr char kMagic[8] = {'E', 'K', 'T', 'E', 'N', 'S', 'O', 'R'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kMostSamples = 1u << 20;
constexpr uint64_t kMostTensors = 64;
constexpr uint64_t kMostDims = 8;
constexpr uint64_t kMostBytes = 1u << 30;
// XNNPACK's vector kernels may load a little past the end of a buffer.
constexpr size_t kSlack = 64;

uint64_t within(uint64_t value, uint64_t most, const char* what) {
  if (value <= most) return value;
  throw Failure("stream", std::string(what) + " " + std::to_string(value) +
                              " is over the limit of " + std::to_string(most));
}

[[noreturn]] void cannot_write(const std::string& path) {
  const int reason = errno;
  throw Failure(reason == ENOSPC || reason == EFBIG ? "storage-full" : "output",
                "cannot write " + path + ": " + std::strerror(reason));
}

}  // namespace

size_t item_bytes(Dtype dtype) { return dtype == Dtype::kInt64 ? 8 : 4; }

const char* name_of(Dtype dtype) { return dtype == Dtype::kInt64 ? "int64" : "float32"; }

StreamReader::StreamReader(const std::string& path) : file_(std::fopen(path.c_str(), "rb")) {
  if (!file_) throw Failure("missing", "cannot open " + path + ": " + std::strerror(errno));
  struct stat info{};
  if (fstat(fileno(file_), &info) != 0 || !S_ISREG(info.st_mode)) {
    std::fclose(file_);
    throw Failure("missing", path + " is not a regular file");
  }
  try {
    left_ = static_cast<uint64_t>(info.st_size);
    char magic[sizeof kMagic];
    read(magic, sizeof magic);
    if (std::memcmp(magic, kMagic, sizeof magic) != 0) {
      throw Failure("stream", "not a tensor stream (wrong magic)");
    }
    if (const auto version = number<uint32_t>(); version != kVersion) {
      throw Failure("stream", "tensor stream version " + std::to_string(version) + ", want 1");
    }
    samples_ = static_cast<uint32_t>(within(number<uint32_t>(), kMostSamples, "sample count"));
    const uint64_t body = left_;
    for (uint32_t i = 0; i < samples_; ++i) sample(false);
    if (left_ != 0) throw Failure("stream", std::to_string(left_) + " bytes after the last sample");
    std::fseek(file_, -static_cast<long>(body), SEEK_END);
    left_ = body;
  } catch (...) {
    std::fclose(file_);
    throw;
  }
}

StreamReader::~StreamReader() { std::fclose(file_); }

std::vector<Tensor> StreamReader::next() { return sample(true); }

std::vector<Tensor> StreamReader::sample(bool keep) {
  const uint64_t count = within(number<uint32_t>(), kMostTensors, "tensor count");
  std::vector<Tensor> tensors;
  for (uint64_t i = 0; i < count; ++i) tensors.push_back(tensor(keep));
  return tensors;
}

Tensor StreamReader::tensor(bool keep) {
  Tensor result;
  const auto dtype = number<uint32_t>();
  if (dtype != 1 && dtype != 2) {
    throw Failure("stream", "unknown dtype " + std::to_string(dtype));
  }
  result.dtype = static_cast<Dtype>(dtype);
  const uint64_t rank = within(number<uint32_t>(), kMostDims, "rank");
  uint64_t bytes = item_bytes(result.dtype);
  for (uint64_t i = 0; i < rank; ++i) {
    // Both factors are at most 2^30: the product fits in 64 bits.
    const uint64_t dim = within(number<uint64_t>(), kMostBytes, "dimension");
    bytes = within(bytes * dim, kMostBytes, "tensor size in bytes");
    result.sizes.push_back(static_cast<int32_t>(dim));
  }
  if (!keep) {
    skip(bytes);
    return result;
  }
  need(bytes);
  result.data.reserve(bytes + kSlack);
  result.data.resize(bytes);
  read(result.data.data(), bytes);
  return result;
}

void StreamReader::need(uint64_t bytes) {
  if (bytes > left_) {
    throw Failure("stream", "truncated: " + std::to_string(bytes) + " bytes wanted, " +
                                std::to_string(left_) + " left");
  }
}

void StreamReader::read(void* target, uint64_t bytes) {
  need(bytes);
  if (bytes != 0 && std::fread(target, 1, bytes, file_) != bytes) {
    throw Failure("stream", "the file ended early while it was read");
  }
  left_ -= bytes;
}

void StreamReader::skip(uint64_t bytes) {
  need(bytes);
  if (std::fseek(file_, static_cast<long>(bytes), SEEK_CUR) != 0) {
    throw Failure("stream", "cannot seek in the stream");
  }
  left_ -= bytes;
}

StreamWriter::StreamWriter(const std::string& path, uint32_t samples)
    : path_(path), partial_(path + ".partial"), file_(std::fopen(partial_.c_str(), "wb")) {
  if (!file_) cannot_write(partial_);
  write(kMagic, sizeof kMagic);
  write(&kVersion, sizeof kVersion);
  write(&samples, sizeof samples);
}

StreamWriter::~StreamWriter() {
  if (!file_) return;
  std::fclose(file_);
  std::remove(partial_.c_str());
}

void StreamWriter::begin_sample(uint32_t tensors) { write(&tensors, sizeof tensors); }

void StreamWriter::add(Dtype dtype, const std::vector<uint64_t>& dims, const void* data,
                       size_t bytes) {
  const auto code = static_cast<uint32_t>(dtype);
  const auto rank = static_cast<uint32_t>(dims.size());
  write(&code, sizeof code);
  write(&rank, sizeof rank);
  write(dims.data(), dims.size() * sizeof(uint64_t));
  write(data, bytes);
}

void StreamWriter::write(const void* source, size_t bytes) {
  if (bytes != 0 && std::fwrite(source, 1, bytes, file_) != bytes) cannot_write(partial_);
}

void StreamWriter::finish() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) cannot_write(partial_);
  std::fclose(file_);
  file_ = nullptr;
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) cannot_write(path_);
}

}  // namespace edgekit
