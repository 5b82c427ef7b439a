package edgekit.packer

import java.io.BufferedOutputStream
import java.io.Closeable
import java.io.File
import java.io.FilterOutputStream
import java.io.OutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream

/**
 * A .zip whose stored entries begin at a multiple of what Android maps them by: 16,384 bytes for native
 * libraries, 4 for the rest. The alignment is written beside each as Android's signing tools do, so
 * that signing keeps it.
 */
class AlignedZip(file: File) : Closeable {
    private class Counting(out: OutputStream) : FilterOutputStream(out) {
        var count = 0L

        override fun write(byte: Int) {
            out.write(byte)
            count++
        }

        override fun write(bytes: ByteArray, from: Int, length: Int) {
            out.write(bytes, from, length)
            count += length
        }
    }

    private val out = Counting(BufferedOutputStream(file.outputStream()))
    private val zip = ZipOutputStream(out)
    private val names = HashSet<String>()

    /** Adds a file; one that is there already stays. */
    fun add(name: String, bytes: ByteArray, stored: Boolean) {
        if (!names.add(name)) return
        val entry = ZipEntry(name)
        // The same input gives the same bytes; a local time, so that no field for UTC is added.
        entry.timeLocal = java.time.LocalDateTime.of(1981, 1, 1, 1, 1, 2)
        if (stored) {
            entry.method = ZipEntry.STORED
            entry.size = bytes.size.toLong()
            entry.crc = CRC32().apply { update(bytes) }.value
            entry.extra = padding(name, if (name.endsWith(".so")) PAGE else WORD)
        }
        zip.putNextEntry(entry)
        zip.write(bytes)
        zip.closeEntry()
    }

    override fun close() = zip.close()

    private fun padding(name: String, alignment: Int): ByteArray {
        zip.flush()
        val begin = out.count + LOCAL_HEADER + name.toByteArray().size + FIELD
        val pad = ((alignment - begin % alignment) % alignment).toInt()
        val field = ByteBuffer.allocate(FIELD + pad).order(ByteOrder.LITTLE_ENDIAN)
        return field.putShort(ALIGNMENT_FIELD).putShort((2 + pad).toShort()).putShort(alignment.toShort()).array()
    }

    private companion object {
        const val PAGE = 16384
        const val WORD = 4
        const val LOCAL_HEADER = 30
        const val FIELD = 6
        const val ALIGNMENT_FIELD = 0xD935.toShort()
    }
}
