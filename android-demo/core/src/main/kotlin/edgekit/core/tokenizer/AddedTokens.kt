package edgekit.core.tokenizer

import edgekit.core.unicode.Unicode

/** A token beside the model's own, found in the text before anything else. */
internal class AddedToken(
    val id: Int,
    val content: String,
    val singleWord: Boolean,
    val stripsLeft: Boolean,
    val stripsRight: Boolean,
    val normalized: Boolean,
    val special: Boolean,
)

/** Finds added tokens: some in the text as it is, others once it is normalized. */
internal class AddedTokens(val tokens: List<AddedToken>, normalizer: Normalizer?) {
    private val byId = HashMap<Int, AddedToken>()

    /** What a token looks like once it is normalized, where that differs. */
    private val changed = HashMap<Int, String>()
    private val specials = HashSet<String>()
    private val plain: Matcher?
    private val normal: Matcher?

    init {
        for (token in tokens) {
            byId[token.id] = token
            if (token.special) specials.add(token.content)
            if (token.normalized && normalizer != null) {
                val points = token.content.codePoints().toArray()
                val text = Aligned.of(points, 0, points.size)
                normalizer.normalize(text)
                val made = String(text.points, 0, text.length)
                if (made != token.content) changed[token.id] = made
            }
        }
        plain = matcher(tokens.filter { !it.normalized })
        normal = matcher(tokens.filter { it.normalized })
    }

    /** The text of an added token as a decoder takes it; null where the id is the model's. */
    fun text(id: Int): String? = byId[id]?.let { changed[id] ?: it.content }

    fun isSpecial(text: String): Boolean = text in specials

    /** Cuts a text at its added tokens and normalizes the rest. */
    fun extract(text: Aligned, normalizer: Normalizer?): List<Span> {
        val found = ArrayList<Span>()
        if (text.length == 0) return found
        for (span in cut(plain, text)) {
            if (span.token != Span.NO_TOKEN) {
                found.add(span)
                continue
            }
            val part = if (span.from == 0 && span.to == text.length) text else text.part(span.from, span.to)
            normalizer?.normalize(part)
            if (part.length > 0) found.addAll(cut(normal, part))
        }
        return found
    }

    private fun cut(matcher: Matcher?, text: Aligned): List<Span> =
        matcher?.cut(text) ?: listOf(Span(text, 0, text.length))

    private fun matcher(tokens: List<AddedToken>): Matcher? {
        if (tokens.isEmpty()) return null
        val trie = Trie(tokens.sumOf { it.content.length } + 1)
        for (token in tokens) {
            val text = changed[token.id] ?: token.content
            if (text.isEmpty() || trie.find(text) != Trie.NONE) {
                throw MalformedTokenizer("two added tokens look alike, or one is empty: ${token.content.take(40)}")
            }
            trie.put(text, token.id)
        }
        return Matcher(trie)
    }

    private inner class Matcher(private val trie: Trie) {
        fun cut(text: Aligned): List<Span> {
            val found = ArrayList<Span>()
            var done = 0
            var at = 0
            while (at < text.length) {
                val end = longest(text, at)
                if (end < 0) {
                    at++
                    continue
                }
                val token = byId.getValue(trie.find(text.points, at, end))
                if (!token.singleWord || isAlone(text, at, end)) {
                    done = take(text, token, at, end, done, found)
                }
                at = end
            }
            if (done < text.length) found.add(Span(text, done, text.length))
            return found
        }

        private fun longest(text: Aligned, from: Int): Int {
            var node = trie.child(Trie.ROOT, text.points[from])
            var at = from + 1
            var end = -1
            while (node != Trie.NONE) {
                if (trie.id(node) != Trie.NONE) end = at
                if (at == text.length) break
                node = trie.child(node, text.points[at++])
            }
            return end
        }

        private fun isAlone(text: Aligned, from: Int, to: Int): Boolean =
            (from == 0 || !Unicode.has(text.points[from - 1], Unicode.WORD)) &&
                (to == text.length || !Unicode.has(text.points[to], Unicode.WORD))

        private fun take(
            text: Aligned,
            token: AddedToken,
            from: Int,
            to: Int,
            done: Int,
            found: MutableList<Span>,
        ): Int {
            var start = from
            var end = to
            if (token.stripsLeft) {
                while (start > 0 && Unicode.has(text.points[start - 1], Unicode.SPACE)) start--
                start = maxOf(start, done)
            }
            if (token.stripsRight) {
                while (end < text.length && Unicode.has(text.points[end], Unicode.SPACE)) end++
            }
            if (done < start) found.add(Span(text, done, start))
            found.add(Span(text, start, end, token.id))
            return end
        }
    }
}

/** tokenizer.json is not what the tokenizers library writes. */
internal class MalformedTokenizer(message: String) : Exception(message)

/** tokenizer.json needs something that this core does not have; the message names it. */
internal class UnsupportedTokenizer(message: String) : Exception(message)
