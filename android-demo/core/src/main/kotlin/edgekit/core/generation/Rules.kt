package edgekit.core.generation

/**
 * Which tokens an answer may have next, whatever the model says: the same rules as those of Python's
 * edgekit/runtime/generation/constraints.py.
 *
 * @property start ids that every answer begins with and that are no part of it
 * @property ends ids that end an answer
 * @property first the id that an answer must begin with; null for any
 * @property last the id at the longest answer's end; null for any
 * @property suppressed ids that are never given
 * @property suppressedFirst ids that an answer does not begin with
 * @property banned sequences of ids that are never given
 * @property noRepeat an answer has no run of this many ids twice; 0 for no such rule
 * @property least tokens, those of [start] included, before an answer may end
 */
internal class Rules(
    val start: IntArray,
    val ends: IntArray = IntArray(0),
    val first: Int? = null,
    val last: Int? = null,
    val suppressed: IntArray = IntArray(0),
    val suppressedFirst: IntArray = IntArray(0),
    val banned: List<IntArray> = emptyList(),
    val noRepeat: Int = 0,
    val least: Int = 0,
) {
    /** The largest id that a rule names. */
    val largest: Int
        get() = (listOf(start, ends, suppressed, suppressedFirst) + banned).maxOf { it.maxOrNull() ?: 0 }
            .let { maxOf(it, first ?: 0, last ?: 0) }

    /**
     * The scores with what is not allowed far below all others.
     *
     * @param scores one for each token; left as they are
     * @param ids what the decoder has read, those of [start] included
     * @param longest the most tokens, those of [start] included
     */
    fun allowed(scores: FloatArray, ids: IntArray, longest: Int): FloatArray {
        var found = scores.copyOf()
        fun forbid(tokens: IntArray) = tokens.forEach { found[it] = FORBIDDEN }
        fun only(token: Int) {
            found = FloatArray(found.size) { if (it == token) 0f else FORBIDDEN }
        }
        repeats(ids).forEach { found[it] = FORBIDDEN }
        for (run in banned) if (endsWith(ids, run, run.size - 1)) found[run.last()] = FORBIDDEN
        if (ids.size < least) forbid(ends)
        if (first != null && ids.size == 1) only(first)
        if (last != null && ids.size == longest - 1) only(last)
        forbid(suppressed)
        // Behind a first token that is forced, the answer begins with the second.
        val begin = start.size + if (first != null && start.size == 1) 1 else 0
        if (ids.size == begin) forbid(suppressedFirst)
        return found
    }

    /** Ids that would make a run of [noRepeat] ids appear again. */
    private fun repeats(ids: IntArray): List<Int> {
        if (noRepeat == 0 || ids.size + 1 < noRepeat) return emptyList()
        val tail = ids.copyOfRange(ids.size + 1 - noRepeat, ids.size)
        return (0..ids.size - noRepeat).filter { at -> tail.indices.all { ids[at + it] == tail[it] } }.map { ids[it + noRepeat - 1] }
    }

    /** Whether [ids] end with the first [count] of [run]. */
    private fun endsWith(ids: IntArray, run: IntArray, count: Int): Boolean =
        ids.size >= count && (0 until count).all { ids[ids.size - count + it] == run[it] }

    private companion object {
        // Finite, so that no difference of two becomes NaN; far from overflow at any temperature.
        const val FORBIDDEN = -1e30f
    }
}
