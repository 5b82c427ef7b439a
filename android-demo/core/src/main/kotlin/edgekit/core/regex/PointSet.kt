package edgekit.core.regex

import edgekit.core.unicode.IntList
import edgekit.core.unicode.Unicode

/** A set of code points: ranges, general categories and properties, any of which may hold. */
internal class PointSet private constructor(
    private val ranges: IntArray,
    private val categories: Int,
    private val properties: Int,
    private val lacking: IntArray,
    private val negated: Boolean,
) {
    private val low = BooleanArray(128) { search(it) != negated }

    fun has(point: Int): Boolean = if (point < 128) low[point] else search(point) != negated

    private fun search(point: Int): Boolean {
        val profile = Unicode.profile(point)
        if (categories ushr (profile and 31) and 1 != 0 || profile and properties != 0) return true
        for (property in lacking) if (profile and property == 0) return true
        var at = 0
        while (at < ranges.size) {
            if (point >= ranges[at] && point <= ranges[at + 1]) return true
            at += 2
        }
        return false
    }

    /** Collects what a set holds. */
    class Builder {
        private val ranges = IntList()
        private val lacking = IntList()
        private var categories = 0
        private var properties = 0
        var hasLetters: Boolean = false
            private set

        fun range(first: Int, last: Int, ignoreCase: Boolean = false) {
            ranges.add(first)
            ranges.add(last)
            if (!ignoreCase) return
            for (letter in maxOf(first, 'A'.code)..minOf(last, 'z'.code)) fold(letter)
        }

        fun categories(mask: Int) {
            categories = categories or mask
        }

        fun property(bit: Int, holds: Boolean) {
            if (holds) properties = properties or bit else lacking.add(bit)
        }

        fun build(negated: Boolean = false): PointSet =
            PointSet(ranges.toArray(), categories, properties, lacking.toArray(), negated)

        /** The letters of Unicode that differ from an ASCII letter by case only. */
        private fun fold(letter: Int) {
            val small = letter or 0x20
            if (small !in 'a'.code..'z'.code) return
            hasLetters = true
            for (same in intArrayOf(small, small - 0x20)) one(same)
            if (small == 's'.code) one(0x17F)
            if (small == 'k'.code) one(0x212A)
        }

        private fun one(point: Int) {
            ranges.add(point)
            ranges.add(point)
        }
    }

    companion object {
        fun of(point: Int): PointSet = Builder().apply { range(point, point) }.build()
    }
}
