package edgekit.core.tokenizer

import edgekit.core.unicode.IntList

/**
 * A text on its way to tokens: code points, and for each the part of the original that it stands for.
 *
 * [starts] and [ends] count code points of the original. The changes follow the rules of the
 * tokenizers library, in its corners too: equal offsets are the point.
 */
internal class Aligned(var points: IntArray, var starts: IntArray, var ends: IntArray, var length: Int) {

    companion object {
        /** The part [from] until [to] of an original text. */
        fun of(text: IntArray, from: Int, to: Int): Aligned = Aligned(
            text.copyOfRange(from, to),
            IntArray(to - from) { from + it },
            IntArray(to - from) { from + it + 1 },
            to - from,
        )
    }

    fun part(from: Int, to: Int): Aligned = Aligned(
        points.copyOfRange(from, to),
        starts.copyOfRange(from, to),
        ends.copyOfRange(from, to),
        to - from,
    )

    /** Replaces the text; a change of 0 replaces, 1 adds, -n replaces and takes n away. */
    fun transform(made: IntList, changes: IntList, removedFirst: Int = 0) {
        val size = made.size
        val newStarts = IntArray(size)
        val newEnds = IntArray(size)
        var at = removedFirst
        for (index in 0 until size) {
            val change = changes[index]
            // An added character stands for what the one before it stands for.
            val source = minOf(if (change > 0) at - 1 else at, length - 1)
            if (source >= 0) {
                newStarts[index] = starts[source]
                newEnds[index] = ends[source]
            }
            if (change <= 0) at += 1 - change
        }
        points = made.toArray()
        starts = newStarts
        ends = newEnds
        length = size
    }

    /** Keeps the characters for which [keep] holds, each with its own place. */
    inline fun filter(keep: (Int) -> Boolean) {
        var kept = 0
        for (index in 0 until length) {
            val point = points[index]
            if (keep(point)) {
                points[kept] = point
                starts[kept] = starts[index]
                ends[kept] = ends[index]
                kept++
            }
        }
        length = kept
    }

    inline fun map(change: (Int) -> Int) {
        for (index in 0 until length) points[index] = change(points[index])
    }

    /** Puts a text before the first character, standing for the same part of the original. */
    fun prepend(text: IntArray) {
        if (length == 0) return
        val start = starts[0]
        val end = ends[0]
        points = text + points.copyOf(length)
        starts = IntArray(text.size) { start } + starts.copyOf(length)
        ends = IntArray(text.size) { end } + ends.copyOf(length)
        length += text.size
    }

    /** Replaces each range of [matches] by [content], which stands for the range's last character. */
    fun replace(matches: Ranges, content: IntArray) {
        if (matches.size == 0) return
        val made = IntList(length + 16)
        val newStarts = IntList(length + 16)
        val newEnds = IntList(length + 16)
        var done = 0
        for (index in 0..matches.size) {
            val stop = if (index < matches.size) matches.start(index) else length
            for (at in done until stop) {
                made.add(points[at])
                newStarts.add(starts[at])
                newEnds.add(ends[at])
            }
            if (index == matches.size) break
            done = matches.end(index)
            for (point in content) {
                made.add(point)
                newStarts.add(if (done == 0) 0 else starts[done - 1])
                newEnds.add(if (done == 0) 0 else ends[done - 1])
            }
        }
        points = made.toArray()
        starts = newStarts.toArray()
        ends = newEnds.toArray()
        length = made.size
    }
}

/** Ranges of a text in order, end exclusive. */
internal class Ranges {
    private val bounds = IntList()
    val size: Int get() = bounds.size / 2

    fun add(start: Int, end: Int) {
        bounds.add(start)
        bounds.add(end)
    }

    fun start(index: Int): Int = bounds[2 * index]

    fun end(index: Int): Int = bounds[2 * index + 1]
}
