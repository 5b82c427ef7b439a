package edgekit.core.tokenizer

import edgekit.core.json.Fields
import edgekit.core.json.Json

/** Reads the model of a tokenizer.json: its kind, vocabulary and merges. */
internal class ModelReader(private val fields: Fields) {

    fun model(): Model = when (val type = fields.text("type")) {
        "WordPiece" -> wordPiece()
        "BPE" -> bpe()
        "Unigram" -> unigram()
        else -> throw UnsupportedTokenizer("the model $type")
    }

    private class Vocabulary(val texts: Array<String?>, val trie: Trie, val size: Int)

    private fun vocabulary(): Vocabulary {
        val members = (fields.raw("vocab") as? Json.Object)?.members ?: fields.wrong("vocab", "an object")
        var highest = -1
        val ids = members.values.map { value ->
            val id = Fields.whole(value)
            if (id == null || id !in 0..HIGHEST_ID) fields.wrong("vocab", "made of ids from 0 to $HIGHEST_ID")
            highest = maxOf(highest, id.toInt())
            id.toInt()
        }
        val texts = arrayOfNulls<String>(highest + 1)
        val trie = Trie(members.keys.sumOf { it.length } / 2 + 16)
        for ((index, text) in members.keys.withIndex()) {
            texts[ids[index]] = text
            trie.put(text, ids[index])
        }
        return Vocabulary(texts, trie, members.size)
    }

    private fun wordPiece(): Model {
        val vocabulary = vocabulary()
        val unknown = vocabulary.trie.find(fields.text("unk_token"))
        if (unknown == Trie.NONE) fields.wrong("unk_token", "in the vocabulary")
        return WordPiece(
            vocabulary.texts,
            vocabulary.trie,
            vocabulary.size,
            unknown,
            fields.text("continuing_subword_prefix"),
            fields.count("max_input_chars_per_word"),
        )
    }

    private fun bpe(): Model {
        if (fields.has("dropout") && fields.real("dropout") != 0.0) throw UnsupportedTokenizer("dropout: it cuts at random")
        val vocabulary = vocabulary()
        val unknown = fields.optionalText("unk_token")?.let { vocabulary.trie.find(it) } ?: Trie.NONE
        if (unknown == Trie.NONE && fields.has("unk_token")) fields.wrong("unk_token", "in the vocabulary")
        val prefix = fields.optionalText("continuing_subword_prefix").orEmpty()
        val options = BpeOptions(
            unknown,
            fields.flag("fuse_unk", false),
            if (fields.flag("byte_fallback", false)) bytes(vocabulary.trie) else null,
            prefix.codePoints().toArray(),
            fields.optionalText("end_of_word_suffix").orEmpty().codePoints().toArray(),
            fields.flag("ignore_merges", false),
        )
        return Bpe(vocabulary.texts, vocabulary.trie, vocabulary.size, merges(vocabulary.trie, prefix), options)
    }

    private fun merges(trie: Trie, prefix: String): Merges {
        val pairs = fields.items("merges").filter { it !is Json.Text || !it.value.startsWith("#version") }.map { pair(it) }
        val made = Merges(pairs.size)
        for ((rank, pair) in pairs.withIndex()) {
            val (left, right) = pair
            val first = trie.find(left)
            val second = trie.find(right)
            // The prefix is cut off by its length, whatever stands there.
            if (right.length < prefix.length) fields.wrong("merges", "made of tokens with their prefix")
            val joined = trie.find(left + right.substring(prefix.length))
            if (first == Trie.NONE || second == Trie.NONE || joined == Trie.NONE) {
                fields.wrong("merges", "made of tokens of the vocabulary (${left.take(20)} and ${right.take(20)})")
            }
            made.put(first, second, rank, joined)
        }
        return made
    }

    private fun pair(item: Json): Pair<String, String> {
        val parts = when (item) {
            is Json.Text -> item.value.split(' ')
            is Json.Array -> item.items.map { (it as? Json.Text)?.value ?: fields.wrong("merges", "pairs of strings") }
            else -> fields.wrong("merges", "pairs of strings")
        }
        if (parts.size != 2) fields.wrong("merges", "pairs of strings")
        return parts[0] to parts[1]
    }

    private fun unigram(): Model {
        val items = fields.items("vocab")
        val texts = arrayOfNulls<String>(items.size)
        val scores = DoubleArray(items.size)
        for ((id, item) in items.withIndex()) {
            val entry = (item as? Json.Array)?.items.orEmpty()
            texts[id] = (entry.getOrNull(0) as? Json.Text)?.value
            val score = (entry.getOrNull(1) as? Json.Number)?.lexeme?.toDouble()
            if (entry.size != 2 || texts[id] == null || score == null) fields.wrong("vocab", "made of texts and scores")
            scores[id] = score
        }
        val trie = Trie(texts.sumOf { it!!.length } / 2 + 16)
        for ((id, text) in texts.withIndex()) trie.put(text!!, id)
        val unknown = if (fields.has("unk_id")) fields.count("unk_id") else Trie.NONE
        if (unknown >= texts.size) fields.wrong("unk_id", "in the vocabulary")
        return Unigram(texts, trie, scores, unknown, if (fields.flag("byte_fallback", false)) bytes(trie) else null)
    }

    private fun bytes(trie: Trie): IntArray = IntArray(256) { trie.find("<0x%02X>".format(java.util.Locale.ROOT, it)) }

    private companion object {
        const val HIGHEST_ID = 1L shl 22
    }
}
