package edgekit.core.tokenizer

import edgekit.core.unicode.IntList
import edgekit.core.unicode.Unicode

/** Tokens under construction, with the code points of the original that each stands for. */
internal class Draft(private val keepsBlanks: Boolean = false) {
    val ids = IntList(64)
    val starts = IntList(64)
    val ends = IntList(64)
    val types = IntList(64)

    /** Which of two texts a token is from; -1 for one that the template added. */
    val sequences = IntList(64)

    /** Which piece of the split text a token is from; -1 for one that the template added. */
    val words = IntList(64)

    /** How many blanks a token's own text begins and ends with; only kept where offsets are trimmed. */
    val leading = IntList()
    val trailing = IntList()
    var texts: Array<String?> = emptyArray()
    var pieceIsText: Boolean = false
    var sequence: Int = 0
    var word: Int = 0

    val size: Int get() = ids.size

    /** Adds a token that covers a part of a text, [from] until [to], at least one character long. */
    fun add(id: Int, text: Aligned, from: Int, to: Int) {
        put(id, text.starts[from], text.ends[to - 1], sequence, sequence, word)
        if (!keepsBlanks) return
        if (pieceIsText) blanks(text, from, to) else blanks(texts[id].orEmpty())
    }

    /** Adds an added token, which stands for its part of the text as it is. */
    fun addSpecial(id: Int, text: Aligned, from: Int, to: Int) {
        put(id, text.starts[from], text.ends[to - 1], sequence, sequence, word)
        if (keepsBlanks) blanks(text, from, to)
    }

    /** Adds a token of the template. */
    fun addTemplate(id: Int, type: Int) {
        put(id, 0, 0, type, -1, -1)
        leading.add(0)
        trailing.add(0)
    }

    /** Appends another draft's tokens. */
    fun append(other: Draft) {
        for (index in 0 until other.size) {
            put(
                other.ids[index],
                other.starts[index],
                other.ends[index],
                other.types[index],
                other.sequences[index],
                other.words[index],
            )
            if (index < other.leading.size) {
                leading.add(other.leading[index])
                trailing.add(other.trailing[index])
            }
        }
    }

    fun setTypes(type: Int) {
        for (index in 0 until size) types[index] = type
    }

    /** Forgets the tokens behind the first [count]. */
    fun cut(count: Int) {
        for (list in lists) list.cut(minOf(count, list.size))
    }

    /** The tokens [from] until [to], as another draft. */
    fun part(from: Int, to: Int): Draft {
        val made = Draft(keepsBlanks)
        for ((index, list) in lists.withIndex()) {
            for (at in minOf(from, list.size) until minOf(to, list.size)) made.lists[index].add(list[at])
        }
        return made
    }

    private val lists: Array<IntList> get() = arrayOf(ids, starts, ends, types, sequences, words, leading, trailing)

    private fun put(id: Int, start: Int, end: Int, type: Int, from: Int, of: Int) {
        ids.add(id)
        starts.add(start)
        ends.add(end)
        types.add(type)
        sequences.add(from)
        words.add(of)
    }

    private fun blanks(text: Aligned, from: Int, to: Int) {
        var first = from
        while (first < to && isBlank(text.points[first])) first++
        var last = to
        while (last > from && isBlank(text.points[last - 1])) last--
        leading.add(first - from)
        trailing.add(to - last)
    }

    private fun blanks(text: String) {
        val points = text.codePoints().toArray()
        leading.add(points.takeWhile { isBlank(it) }.size)
        trailing.add(points.takeLastWhile { isBlank(it) }.size)
    }

    private fun isBlank(point: Int): Boolean = point == ByteText.VISIBLE[' '.code] || Unicode.has(point, Unicode.SPACE)
}
