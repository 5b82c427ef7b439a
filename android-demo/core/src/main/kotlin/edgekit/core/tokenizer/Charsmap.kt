package edgekit.core.tokenizer

import edgekit.core.unicode.Graphemes
import edgekit.core.unicode.IntList

/** The map's bytes are not what sentencepiece writes. */
internal class CharsmapDamaged(message: String) : Exception(message)

/** sentencepiece's own normalization: a double array over UTF-8, whose values point into texts. */
internal class Charsmap(bytes: ByteArray) : Normalizer {
    private val units: IntArray
    private val texts: ByteArray
    private val known = HashMap<Int, IntArray>()

    /** What each character of ASCII becomes: most text is made of them. */
    private val ascii: Array<IntArray?>

    init {
        if (bytes.size < 4) throw CharsmapDamaged("it is too short")
        val size = word(bytes, 0)
        if (size < 4 || size > bytes.size - 4) throw CharsmapDamaged("its array is longer than itself")
        units = IntArray(size / 4) { word(bytes, 4 + 4 * it) }
        texts = bytes.copyOfRange(4 + units.size * 4, bytes.size)
        Utf8.strict(texts) ?: throw CharsmapDamaged("its texts are not UTF-8")
        for (start in texts.indices) {
            if (start == 0 || texts[start - 1].toInt() == 0) known[start] = replacement(start)
        }
        ascii = Array(128) { find(intArrayOf(it), 0, 1) }
    }

    override fun normalize(text: Aligned) {
        val points = IntList(text.length + 16)
        val changes = IntList(text.length + 16)
        var modified = false
        var at = 0
        while (at < text.length) {
            val end = if (isAlone(text, at)) at + 1 else Graphemes.end(text.points, at, text.length)
            val whole = if (end - at == 1 || Utf8.size(text.points, at, end) >= LONG) null else find(text.points, at, end)
            if (whole != null) {
                modified = true
                replace(points, changes, end - at, whole)
            } else {
                for (each in at until end) {
                    val point = text.points[each]
                    val made = if (point < 128) ascii[point] else find(text.points, each, each + 1)
                    if (made == null) {
                        points.add(point)
                        changes.add(0)
                    } else {
                        modified = true
                        replace(points, changes, 1, made)
                    }
                }
            }
            at = end
        }
        if (modified) text.transform(points, changes)
    }

    /** Whether two characters of ASCII follow each other, of which only CR and LF belong together. */
    private fun isAlone(text: Aligned, at: Int): Boolean =
        text.points[at] < 128 && text.points[at] != '\r'.code && (at + 1 == text.length || text.points[at + 1] < 128)

    private fun replace(points: IntList, changes: IntList, removed: Int, made: IntArray) {
        for (point in made) {
            points.add(point)
            changes.add(0)
        }
        val more = made.size - removed
        for (back in 1..more) changes[changes.size - back] = 1
        if (more < 0 && changes.size > 0) changes[changes.size - 1] = changes[changes.size - 1] + more
    }

    /** What the shortest known beginning of a text becomes; null where none is known. */
    private fun find(points: IntArray, from: Int, to: Int): IntArray? {
        val key = ByteArray(Utf8.size(points, from, to))
        Utf8.write(points, from, to, key)
        var node = offset(unit(0))
        for (byte in key) {
            val label = byte.toInt() and 0xFF
            if (label == 0) return null
            node = node xor label
            val unit = unit(node)
            // A leaf's value has its highest bit set, and is no label.
            if (unit and (1 shl 31 or 0xFF) != label) return null
            node = node xor offset(unit)
            if (unit ushr 8 and 1 == 1) {
                val start = unit(node) and Int.MAX_VALUE
                if (start >= texts.size) return IntArray(0)
                return known[start] ?: replacement(start)
            }
        }
        return null
    }

    private fun unit(node: Int): Int {
        if (node < 0 || node >= units.size) throw CharsmapDamaged("its array points outside itself")
        return units[node]
    }

    private fun offset(unit: Int): Int = (unit ushr 10) shl (unit and (1 shl 9) ushr 6)

    private fun replacement(start: Int): IntArray {
        var end = start
        while (end < texts.size && texts[end].toInt() != 0) end++
        val text = Utf8.strict(texts.copyOfRange(start, end)) ?: throw CharsmapDamaged("it points into a character")
        return text.codePoints().toArray()
    }

    private fun word(bytes: ByteArray, at: Int): Int =
        (bytes[at].toInt() and 0xFF) or (bytes[at + 1].toInt() and 0xFF shl 8) or
            (bytes[at + 2].toInt() and 0xFF shl 16) or (bytes[at + 3].toInt() shl 24)

    private companion object {
        const val LONG = 6
    }
}
