package edgekit.core.bundle

import edgekit.core.EdgeKitException
import edgekit.core.engine.FloatTensor
import edgekit.core.engine.LongTensor
import edgekit.core.json.Fields
import edgekit.core.json.FormRefused
import edgekit.core.json.Json
import edgekit.core.json.JsonReader
import edgekit.core.json.JsonRefused
import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A real input, and what the artifact of one runtime gave for it on the machine that made the bundle. */
public class Golden(public val text: String, public val inputs: Map<String, LongTensor>, public val expected: FloatTensor)

/** Reads goldens.safetensors: the few forms that edgekit writes, every size checked before it is used. */
internal object Goldens {
    private const val MOST_HEADER = 16L shl 20
    private const val MOST_BYTES = 256L shl 20

    fun read(bundle: Bundle, runtime: String): List<Golden> {
        val file = File(bundle.folder, bundle.manifest.goldensFile)
        try {
            return RandomAccessFile(file, "r").use { goldens(it, runtime) }
        } catch (error: IOException) {
            throw corrupt(file, error.toString(), error)
        } catch (error: JsonRefused) {
            throw corrupt(file, error.message, error)
        } catch (error: FormRefused) {
            throw corrupt(file, error.message, error)
        }
    }

    private fun corrupt(file: File, reason: String?, error: Exception) =
        EdgeKitException.BundleCorrupt("${file.name} does not hold goldens: $reason", error)

    private fun goldens(file: RandomAccessFile, runtime: String): List<Golden> {
        val head = ByteBuffer.wrap(part(file, 0, 8)).order(ByteOrder.LITTLE_ENDIAN).long
        if (head !in 2..MOST_HEADER) throw FormRefused("its header has $head bytes")
        val json = JsonReader.read(part(file, 8, head))
        val fields = Fields(json, "the header")
        val texts = JsonReader.read(fields.fields("__metadata__").text("texts").toByteArray())
        val begin = 8 + head
        return (texts as? Json.Array ?: throw FormRefused("it has no list of texts")).items.mapIndexed { index, text ->
            val number = "%04d".format(java.util.Locale.ROOT, index)
            val prefix = "$number.input."
            val inputs = fields.names.filter { it.startsWith(prefix) }.associate {
                it.removePrefix(prefix) to longs(file, fields.fields(it), begin)
            }
            val name = "$number.expected.$runtime"
            if (inputs.isEmpty() || name !in fields.names) throw FormRefused("golden $index has nothing of $runtime")
            val said = (text as? Json.Text)?.value ?: throw FormRefused("text $index is none")
            Golden(said, inputs, floats(file, fields.fields(name), begin))
        }
    }

    private fun longs(file: RandomAccessFile, entry: Fields, begin: Long): LongTensor {
        val (buffer, shape) = tensor(file, entry, begin, "I64", Long.SIZE_BYTES)
        return LongTensor(LongArray(buffer.remaining() / Long.SIZE_BYTES).also { buffer.asLongBuffer().get(it) }, shape)
    }

    private fun floats(file: RandomAccessFile, entry: Fields, begin: Long): FloatTensor {
        val (buffer, shape) = tensor(file, entry, begin, "F32", Int.SIZE_BYTES)
        return FloatTensor(FloatArray(buffer.remaining() / Int.SIZE_BYTES).also { buffer.asFloatBuffer().get(it) }, shape)
    }

    private fun tensor(
        file: RandomAccessFile,
        entry: Fields,
        begin: Long,
        dtype: String,
        width: Int,
    ): Pair<ByteBuffer, LongArray> {
        if (entry.text("dtype") != dtype) entry.wrong("dtype", dtype)
        val shape = entry.items("shape").map { Fields.whole(it) ?: entry.wrong("shape", "whole numbers") }
        val (from, to) = entry.items("data_offsets").mapNotNull { Fields.whole(it) }.takeIf { it.size == 2 }
            ?: entry.wrong("data_offsets", "two whole numbers")
        var bytes = width.toLong()
        for (dim in shape) {
            if (dim !in 0..MOST_BYTES) entry.wrong("shape", "a shape")
            bytes *= dim
            if (bytes > MOST_BYTES) entry.wrong("shape", "a shape of at most $MOST_BYTES bytes")
        }
        if (from < 0 || to - from != bytes) entry.wrong("data_offsets", "a range of $bytes bytes")
        val data = ByteBuffer.wrap(part(file, begin + from, bytes)).order(ByteOrder.LITTLE_ENDIAN)
        return data to shape.toLongArray()
    }

    private fun part(file: RandomAccessFile, at: Long, bytes: Long): ByteArray {
        if (at < 0 || bytes > file.length() - at) throw FormRefused("it ends early")
        file.seek(at)
        return ByteArray(bytes.toInt()).also { file.readFully(it) }
    }
}
