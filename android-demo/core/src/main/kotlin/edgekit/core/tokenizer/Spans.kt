package edgekit.core.tokenizer

import edgekit.core.unicode.IntList

/** A part of a text; [token] is the added token that it is, or -1. */
internal class Span(val text: Aligned, val from: Int, val to: Int, val token: Int = NO_TOKEN) {
    companion object {
        const val NO_TOKEN = -1
    }
}

/** What becomes of the separators when a text is split. */
internal enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous }

/** Where a text is cut: pieces that cover it, some of them separators. */
internal class Cuts(private val from: Int, private val to: Int) {
    private val starts = IntList(32)
    private val ends = IntList(32)
    private val separators = IntList(32)
    private var done = from

    /** Marks [start] until [end] as a match, and what lies before it as none. */
    fun match(start: Int, end: Int, inverted: Boolean = false) {
        if (start > done) add(done, start, inverted)
        add(start, end, !inverted)
        done = end
    }

    /** Closes the last piece. */
    fun finish(inverted: Boolean = false): Cuts {
        if (done < to) add(done, to, inverted)
        return this
    }

    private fun add(start: Int, end: Int, separator: Boolean) {
        starts.add(start)
        ends.add(end)
        separators.add(if (separator) 1 else 0)
    }

    /** Tells [emit] of each piece that stays. */
    inline fun forEach(behavior: Behavior, emit: (Int, Int) -> Unit) {
        val kept = when (behavior) {
            Behavior.Removed -> null
            Behavior.Isolated -> this
            Behavior.Contiguous -> joined { separator, before -> separator == before }
            Behavior.MergedWithPrevious -> joined { separator, before -> separator && !before }
            Behavior.MergedWithNext -> joinedBackwards()
        }
        val list = kept ?: this
        for (index in 0 until list.count) {
            if ((kept != null || !list.isSeparator(index)) && list.start(index) < list.end(index)) {
                emit(list.start(index), list.end(index))
            }
        }
    }

    val count: Int get() = starts.size

    fun start(index: Int): Int = starts[index]

    fun end(index: Int): Int = ends[index]

    fun isSeparator(index: Int): Boolean = separators[index] == 1

    fun joined(joins: (Boolean, Boolean) -> Boolean): Cuts {
        val made = Cuts(from, to)
        var before = false
        for (index in 0 until count) {
            val separator = isSeparator(index)
            if (joins(separator, before) && made.count > 0) {
                made.ends[made.count - 1] = end(index)
            } else {
                made.add(start(index), end(index), false)
            }
            before = separator
        }
        return made
    }

    fun joinedBackwards(): Cuts {
        val made = Cuts(from, to)
        var before = false
        for (index in count - 1 downTo 0) {
            val separator = isSeparator(index)
            if (separator && !before && made.count > 0) {
                made.starts[made.count - 1] = start(index)
            } else {
                made.add(start(index), end(index), false)
            }
            before = separator
        }
        val ordered = Cuts(from, to)
        for (index in made.count - 1 downTo 0) ordered.add(made.start(index), made.end(index), false)
        return ordered
    }
}
