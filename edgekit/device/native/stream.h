// The tensor stream: samples in, samples out, in one little-endian format.
//
//   header   8 bytes "EKTENSOR", u32 version (1), u32 number of samples
//   sample   u32 number of tensors
//   tensor   u32 dtype (1 float32, 2 int64), u32 rank, u64 dims[rank], then the elements, row-major
//
// No size is believed: each is held against a fixed bound and against the bytes that are left in the
// file before anything is allocated or read.

#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace edgekit {

enum class Dtype : uint32_t { kFloat32 = 1, kInt64 = 2 };

struct Tensor {
  Dtype dtype = Dtype::kFloat32;
  std::vector<int32_t> sizes;
  std::vector<uint8_t> data;
};

size_t item_bytes(Dtype dtype);
const char* name_of(Dtype dtype);

class StreamReader {
 public:
  // Walks the whole file once, so that a broken stream is refused before any work is done.
  explicit StreamReader(const std::string& path);
  ~StreamReader();
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  uint32_t samples() const { return samples_; }
  std::vector<Tensor> next();

 private:
  std::vector<Tensor> sample(bool keep);
  Tensor tensor(bool keep);
  void read(void* target, uint64_t bytes);
  void skip(uint64_t bytes);
  void need(uint64_t bytes);
  template <typename T>
  T number() {
    T value;
    read(&value, sizeof value);
    return value;
  }

  std::FILE* file_;
  uint64_t left_ = 0;
  uint32_t samples_ = 0;
};

class StreamWriter {
 public:
  // Writes beside `path` and takes its name in finish(): the name never holds half a stream.
  StreamWriter(const std::string& path, uint32_t samples);
  ~StreamWriter();
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;

  void begin_sample(uint32_t tensors);
  void add(Dtype dtype, const std::vector<uint64_t>& dims, const void* data, size_t bytes);
  void finish();

 private:
  void write(const void* source, size_t bytes);

  std::string path_;
  std::string partial_;
  std::FILE* file_;
};

}  // namespace edgekit
