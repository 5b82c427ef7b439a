package edgekit.core.runner

import edgekit.core.engine.FloatTensor
import edgekit.core.engine.LongTensor
import java.io.Closeable
import java.io.DataInputStream
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Samples in and out in the little-endian format of edgekit/device/stream.py; no size in it is believed. */
internal object TensorStream {
    private val MAGIC = "EKTENSOR".toByteArray(Charsets.US_ASCII)
    private const val VERSION = 1
    private const val INT64 = 2
    private const val FLOAT32 = 1
    private const val MOST_SAMPLES = 1L shl 20
    private const val MOST_TENSORS = 64L
    private const val MOST_DIMS = 8L
    private const val MOST_BYTES = 1L shl 30
    private const val MOST_KEPT = 256L shl 20

    /** Every sample of a file; the inputs of a graph, in its order. */
    fun read(file: File): List<List<LongTensor>> {
        if (!file.isFile) throw RunnerFailure("missing", "${file.name} is not a regular file")
        if (file.length() > MOST_KEPT) throw RunnerFailure("inputs", "more than 256 MiB of samples")
        try {
            return DataInputStream(file.inputStream().buffered()).use { Reader(it, file.length()).samples() }
        } catch (error: IOException) {
            throw RunnerFailure("stream", "the stream ended early while it was read: $error")
        }
    }

    private class Reader(private val stream: DataInputStream, private var left: Long) {
        fun samples(): List<List<LongTensor>> {
            if (!bytes(MAGIC.size.toLong()).array().contentEquals(MAGIC)) refuse("not a tensor stream (wrong magic)")
            val version = bytes(4).int
            if (version != VERSION) refuse("tensor stream version $version, want $VERSION")
            val made = List(count(MOST_SAMPLES, "sample count")) { List(count(MOST_TENSORS, "tensor count")) { tensor() } }
            if (left != 0L) refuse("$left bytes after the last sample")
            return made
        }

        private fun tensor(): LongTensor {
            val dtype = bytes(4).int
            if (dtype != INT64) {
                if (dtype != FLOAT32) refuse("unknown dtype $dtype")
                throw RunnerFailure("inputs", "an input of float32: this runner fills int64 inputs only")
            }
            var size = Long.SIZE_BYTES.toLong()
            val shape = LongArray(count(MOST_DIMS, "rank")) {
                val dim = within(bytes(8).long, MOST_BYTES, "dimension")
                size = within(size * dim, MOST_BYTES, "tensor size in bytes")
                dim
            }
            val data = bytes(size).asLongBuffer()
            return LongTensor(LongArray(data.remaining()).also { data.get(it) }, shape)
        }

        private fun count(most: Long, what: String): Int = within(bytes(4).int.toLong() and 0xFFFFFFFFL, most, what).toInt()

        private fun within(value: Long, most: Long, what: String): Long =
            if (value in 0..most) value else refuse("$what $value is over the limit of $most")

        private fun bytes(count: Long): ByteBuffer {
            if (count > left) refuse("truncated: $count bytes wanted, $left left")
            left -= count
            val made = ByteArray(count.toInt())
            stream.readFully(made)
            return ByteBuffer.wrap(made).order(ByteOrder.LITTLE_ENDIAN)
        }

        private fun refuse(why: String): Nothing = throw RunnerFailure("stream", why)
    }

    /** Writes beside [file] and takes its name in [finish]: the name never holds half a stream. */
    class Writer(private val file: File, samples: Int) : Closeable {
        private val partial = File(file.path + ".partial")
        private val stream = output { FileOutputStream(partial) }
        private var finished = false

        init {
            output { stream.write(MAGIC) }
            ints(VERSION, samples)
        }

        fun add(tensors: Collection<FloatTensor>) {
            ints(tensors.size)
            for (tensor in tensors) {
                ints(FLOAT32, tensor.shape.size)
                val bytes = ByteBuffer.allocate(tensor.shape.size * 8 + tensor.values.size * 4).order(ByteOrder.LITTLE_ENDIAN)
                tensor.shape.forEach { bytes.putLong(it) }
                tensor.values.forEach { bytes.putFloat(it) }
                output { stream.write(bytes.array()) }
            }
        }

        /** A sample of one tensor of whole numbers. */
        fun add(tensor: LongTensor) {
            ints(1, INT64, tensor.shape.size)
            val bytes = ByteBuffer.allocate((tensor.shape.size + tensor.values.size) * 8).order(ByteOrder.LITTLE_ENDIAN)
            tensor.shape.forEach { bytes.putLong(it) }
            tensor.values.forEach { bytes.putLong(it) }
            output { stream.write(bytes.array()) }
        }

        fun finish(): Unit = output {
            stream.fd.sync()
            stream.close()
            if (!partial.renameTo(file)) throw IOException("cannot take the name ${file.name}")
            finished = true
        }

        override fun close() {
            if (finished) return
            stream.close()
            partial.delete()
        }

        private fun ints(vararg values: Int) {
            val bytes = ByteBuffer.allocate(values.size * 4).order(ByteOrder.LITTLE_ENDIAN)
            values.forEach { bytes.putInt(it) }
            output { stream.write(bytes.array()) }
        }

        private fun <T> output(write: () -> T): T = try {
            write()
        } catch (error: IOException) {
            val full = "ENOSPC" in error.toString() || "No space" in error.toString()
            throw RunnerFailure(if (full) "storage-full" else "output", "cannot write ${file.name}: ${error.message}")
        }
    }
}
