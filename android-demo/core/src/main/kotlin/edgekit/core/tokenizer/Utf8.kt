package edgekit.core.tokenizer

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException

/** UTF-8 without the differences between the decoders of Android's versions. */
internal object Utf8 {
    private const val REPLACEMENT = '\uFFFD'

    fun size(point: Int): Int = if (point < 0x80) 1 else if (point < 0x800) 2 else if (point < 0x10000) 3 else 4

    fun size(points: IntArray, from: Int, to: Int): Int {
        var sum = 0
        for (at in from until to) sum += size(points[at])
        return sum
    }

    fun write(points: IntArray, from: Int, to: Int, into: ByteArray) {
        var out = 0
        for (at in from until to) {
            val point = points[at]
            val size = size(point)
            for (index in size - 1 downTo 1) into[out + index] = (0x80 or (point shr 6 * (size - 1 - index) and 0x3F)).toByte()
            val head = if (size == 1) 0 else 0xF00 shr size and 0xFF
            into[out] = (head or (point shr 6 * (size - 1))).toByte()
            out += size
        }
    }

    /** The text of some bytes; null where they are not UTF-8. */
    fun strict(bytes: ByteArray): String? = try {
        Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()
    } catch (error: CharacterCodingException) {
        null
    }

    /** The text of some bytes; U+FFFD for each longest part that could have begun a character. */
    fun lossy(bytes: ByteArray, length: Int): String {
        val made = StringBuilder(length)
        var at = 0
        while (at < length) {
            val head = bytes[at].toInt() and 0xFF
            val size = if (head < 0x80) 1 else if (head < 0xE0) 2 else if (head < 0xF0) 3 else 4
            var point = if (size == 1) head else head and (0x7F shr size)
            var taken = 1
            if (head >= 0x80 && (head < 0xC2 || head > 0xF4)) {
                point = -1
            } else {
                while (taken < size && at + taken < length && follows(head, taken, bytes[at + taken].toInt() and 0xFF)) {
                    point = point shl 6 or (bytes[at + taken].toInt() and 0x3F)
                    taken++
                }
                if (taken < size) point = -1
            }
            if (point < 0) made.append(REPLACEMENT) else made.appendCodePoint(point)
            at += taken
        }
        return made.toString()
    }

    private fun follows(head: Int, index: Int, byte: Int): Boolean {
        if (index > 1) return byte in 0x80..0xBF
        return when (head) {
            0xE0 -> byte in 0xA0..0xBF
            0xED -> byte in 0x80..0x9F
            0xF0 -> byte in 0x90..0xBF
            0xF4 -> byte in 0x80..0x8F
            else -> byte in 0x80..0xBF
        }
    }
}
