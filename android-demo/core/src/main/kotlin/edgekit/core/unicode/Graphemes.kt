package edgekit.core.unicode

/** Extended grapheme clusters, as far as they can be shorter than six bytes and longer than one. */
internal object Graphemes {
    private const val CR = 1
    private const val LF = 2
    private const val CONTROL = 3
    private const val EXTEND = 4
    private const val ZWJ = 5
    private const val SPACING_MARK = 6
    private const val PREPEND = 7
    private const val L = 8
    private const val V = 9
    private const val T = 10
    private const val LV = 11
    private const val LVT = 12

    /** Where the cluster that starts at [from] ends. */
    fun end(text: IntArray, from: Int, length: Int): Int {
        var at = from + 1
        // 1: a pictograph and what extends it; 2: the same and then a joiner.
        var picture = if (Unicode.has(text[from], Unicode.PICTOGRAPHIC)) 1 else 0
        var before = Unicode.graphemeBreak(text[from])
        while (at < length) {
            val next = Unicode.graphemeBreak(text[at])
            val pictograph = Unicode.has(text[at], Unicode.PICTOGRAPHIC)
            if (!joins(before, next) && !(picture == 2 && pictograph)) break
            picture = when {
                pictograph -> 1
                picture == 1 && next == EXTEND -> 1
                picture == 1 && next == ZWJ -> 2
                else -> 0
            }
            before = next
            at++
        }
        return at
    }

    private fun joins(before: Int, next: Int): Boolean = when {
        before == CR -> next == LF
        before == LF || before == CONTROL || next == CR || next == LF || next == CONTROL -> false
        next == EXTEND || next == ZWJ || next == SPACING_MARK || before == PREPEND -> true
        before == L -> next == L || next == V || next == LV || next == LVT
        before == V || before == LV -> next == V || next == T
        before == T || before == LVT -> next == T
        else -> false
    }
}
