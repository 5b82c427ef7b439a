package edgekit.core.tokenizer

/** Cuts one word into tokens. */
internal interface Model {
    /** Every token's text by id; null where an id has none. */
    val texts: Array<String?>

    val trie: Trie

    /** How many entries the vocabulary has, of which two may share an id. */
    val size: Int

    /** Adds the tokens of a part of a text. */
    fun tokenize(text: Aligned, from: Int, to: Int, into: Draft)
}

/** Greedy longest match from the left; a word that cannot be covered is one unknown token. */
internal class WordPiece(
    override val texts: Array<String?>,
    override val trie: Trie,
    override val size: Int,
    private val unknown: Int,
    prefix: String,
    private val longest: Int,
) : Model {
    private val inside = prefix.codePoints().toArray().let { trie.walk(Trie.ROOT, it, 0, it.size) }

    override fun tokenize(text: Aligned, from: Int, to: Int, into: Draft) {
        val before = into.size
        var start = from
        while (start < to && to - from <= longest) {
            var node = if (start == from) Trie.ROOT else inside
            var end = start
            var best = Trie.NONE
            var at = start
            while (node != Trie.NONE && at < to) {
                node = trie.child(node, text.points[at++])
                if (node != Trie.NONE && trie.id(node) != Trie.NONE) {
                    best = trie.id(node)
                    end = at
                }
            }
            if (best == Trie.NONE) break
            into.add(best, text, start, end)
            start = end
        }
        if (start < to) {
            into.cut(before)
            into.add(unknown, text, from, to)
        }
    }
}

/** The most likely cut of a text, by the scores of its pieces. */
internal class Unigram(
    override val texts: Array<String?>,
    override val trie: Trie,
    private val scores: DoubleArray,
    private val unknown: Int,
    private val bytes: IntArray?,
) : Model {
    override val size: Int get() = texts.size
    private val unknownScore = (scores.minOrNull() ?: 0.0) - UNKNOWN_PENALTY

    override fun tokenize(text: Aligned, from: Int, to: Int, into: Draft) {
        val length = to - from
        val best = DoubleArray(length + 1)
        val came = IntArray(length + 1) { -1 }
        val ids = IntArray(length + 1)
        for (start in 0 until length) {
            var alone = false
            var node = Trie.ROOT
            var at = start
            while (at < length) {
                node = trie.child(node, text.points[from + at++])
                if (node == Trie.NONE) break
                val id = trie.id(node)
                if (id == Trie.NONE) continue
                improve(best, came, ids, start, at, best[start] + scores[id], id)
                if (at == start + 1) alone = true
            }
            if (!alone) improve(best, came, ids, start, start + 1, best[start] + unknownScore, requireUnknown())
        }
        val ends = path(came, length)
        emit(text, from, ids, ends, into)
    }

    private fun improve(
        best: DoubleArray,
        came: IntArray,
        ids: IntArray,
        start: Int,
        end: Int,
        score: Double,
        id: Int,
    ) {
        if (came[end] >= 0 && score <= best[end]) return
        best[end] = score
        came[end] = start
        ids[end] = id
    }

    private fun path(came: IntArray, length: Int): IntArray {
        var count = 0
        var end = length
        while (end > 0) {
            count++
            end = came[end]
        }
        val ends = IntArray(count)
        end = length
        while (end > 0) {
            ends[--count] = end
            end = came[end]
        }
        return ends
    }

    private fun emit(text: Aligned, from: Int, ids: IntArray, ends: IntArray, into: Draft) {
        var start = 0
        var index = 0
        while (index < ends.size) {
            // Neighbours that are unknown are one.
            var last = index
            if (ids[ends[index]] == unknown) {
                while (last + 1 < ends.size && ids[ends[last + 1]] == unknown) last++
            }
            piece(text, from + start, from + ends[last], into)
            start = ends[last]
            index = last + 1
        }
    }

    private fun piece(text: Aligned, from: Int, to: Int, into: Draft) {
        val id = trie.find(text.points, from, to)
        if (id != Trie.NONE) {
            into.add(id, text, from, to)
        } else if (bytes == null || !spell(text, from, to, into)) {
            into.add(requireUnknown(), text, from, to)
        }
    }

    private fun spell(text: Aligned, from: Int, to: Int, into: Draft): Boolean {
        val spelled = ByteArray(Utf8.size(text.points, from, to))
        Utf8.write(text.points, from, to, spelled)
        if (spelled.any { bytes!![it.toInt() and 0xFF] == Trie.NONE }) return false
        for (byte in spelled) into.add(bytes!![byte.toInt() and 0xFF], text, from, to)
        return true
    }

    private fun requireUnknown(): Int {
        if (unknown == Trie.NONE) throw UnknownRefused()
        return unknown
    }

    private companion object {
        const val UNKNOWN_PENALTY = 10.0
    }
}

/** A text has a character that the vocabulary lacks, and the model has no token for that. */
internal class UnknownRefused : Exception("the model has no token for a character of the text")
