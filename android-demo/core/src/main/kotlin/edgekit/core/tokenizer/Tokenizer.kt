package edgekit.core.tokenizer

import edgekit.core.EdgeKitException
import edgekit.core.json.JsonReader
import edgekit.core.json.JsonRefused
import edgekit.core.regex.PatternRefused
import edgekit.core.regex.PatternTooSlow

/** The parts that tokenizer.json names. */
internal class Parts(
    val model: Model,
    val added: AddedTokens,
    val normalizer: Normalizer?,
    val preTokenizer: PreTokenizer?,
    val postProcessor: PostProcessor?,
    val decoder: Decoder?,
    val trimsOffsets: Boolean,
)

/**
 * Text to token ids and back, as the tokenizers library of Python does it with the same tokenizer.json.
 *
 * The file's own truncation and padding are not applied: nothing is cut unless a call asks for it.
 * Safe to use from several threads.
 */
public class Tokenizer internal constructor(private val parts: Parts) {

    /** How many ids there are: one above the highest. */
    public val vocabularySize: Int = maxOf(parts.model.texts.size, (parts.added.tokens.maxOfOrNull { it.id } ?: -1) + 1)

    /**
     * The tokens of a text, or of two together.
     *
     * @param truncation how to cut what is too long; nothing is cut unless given
     * @param addSpecial whether the model's own tokens are put around the text
     * @throws EdgeKitException.TextRefused the text is not Unicode, or cannot be cut as asked
     */
    public fun encode(
        text: String,
        pair: String? = null,
        truncation: Truncation? = null,
        addSpecial: Boolean = true,
    ): Encoding {
        val texts = if (pair == null) listOf(text) else listOf(text, pair)
        var drafts = texts.mapIndexed { index, each -> draft(each, index) }
        if (truncation != null) {
            val reserved = if (addSpecial) parts.postProcessor?.added(pair != null) ?: 0 else 0
            drafts = truncate(drafts, truncation, truncation.most - reserved)
        }
        return finished(drafts, texts, addSpecial)
    }

    /**
     * A text together with each part of a second one that is too long to go with it at once.
     *
     * @param most tokens of each encoding, those of the template included
     * @param overlap tokens that neighbouring parts share; at most half of a part
     * @throws EdgeKitException.TextRefused the first text leaves less than [LEAST_ROOM] tokens of room
     */
    public fun windows(text: String, pair: String, most: Int, overlap: Int): List<Encoding> {
        val texts = listOf(text, pair)
        val (first, second) = texts.mapIndexed { index, each -> draft(each, index) }
        val room = most - (parts.postProcessor?.added(true) ?: 0) - first.size
        if (second.size <= room) return listOf(finished(listOf(first, second), texts, true))
        if (room < LEAST_ROOM) {
            throw EdgeKitException.TextRefused(
                "the text leaves no room for its context: the model takes $most tokens: \"${text.take(40)}\"…",
                "Shorten the question.",
            )
        }
        val step = room - minOf(overlap, room / 2)
        val starts = (0 until second.size step step).takeWhile { it == 0 || it - step + room < second.size }
        return starts.map { start ->
            val window = second.part(start, minOf(start + room, second.size))
            finished(listOf(first.part(0, first.size), window), texts, true)
        }
    }

    private fun finished(drafts: List<Draft>, texts: List<String>, addSpecial: Boolean): Encoding {
        val processed = parts.postProcessor?.process(drafts, addSpecial) ?: drafts
        val whole = processed.singleOrNull() ?: Draft().also { processed.forEach(it::append) }
        return Encoding(
            whole.ids.toArray(),
            whole.types.toArray(),
            whole.starts.toArray(),
            whole.ends.toArray(),
            whole.words.toArray(),
            whole.sequences.toArray(),
            texts,
        )
    }

    /** The text of token ids; unknown ids give nothing. */
    public fun decode(ids: IntArray, skipSpecial: Boolean = true): String {
        val tokens = ids.asList().mapNotNull { token(it) }.filterNot { skipSpecial && parts.added.isSpecial(it) }
        val decoder = parts.decoder ?: return tokens.joinToString(" ")
        return guarded { decoder.decode(tokens).joinToString("") }
    }

    /** A decoder that takes one token after the other. */
    public fun stream(skipSpecial: Boolean = true): TokenStream = TokenStream(this, skipSpecial)

    /** The text of one token as the vocabulary holds it; null where there is none. */
    public fun token(id: Int): String? = parts.added.text(id) ?: parts.model.texts.getOrNull(id)

    /** The id of a token's text; null where there is none. */
    public fun id(token: String): Int? {
        val added = parts.added.tokens.lastOrNull { it.content == token }?.id
        return added ?: parts.model.trie.find(token).takeIf { it != Trie.NONE }
    }

    private fun draft(text: String, sequence: Int): Draft {
        val made = Draft(parts.trimsOffsets)
        made.texts = parts.model.texts
        made.pieceIsText = parts.model is Unigram
        made.sequence = sequence
        val points = codePoints(text)
        guarded {
            for (span in parts.added.extract(Aligned.of(points, 0, points.size), parts.normalizer)) {
                if (span.token == Span.NO_TOKEN) {
                    words(span, made)
                } else {
                    made.addSpecial(span.token, span.text, span.from, span.to)
                    made.word++
                }
            }
        }
        return made
    }

    private fun words(span: Span, into: Draft) {
        val splitter = parts.preTokenizer
        if (splitter == null) {
            parts.model.tokenize(span.text, span.from, span.to, into)
            into.word++
            return
        }
        val words = ArrayList<Span>()
        splitter.split(span, words)
        for (word in words) {
            if (word.from == word.to) continue
            parts.model.tokenize(word.text, word.from, word.to, into)
            into.word++
        }
    }

    private fun codePoints(text: String): IntArray {
        val points = IntArray(text.length)
        var count = 0
        var at = 0
        while (at < text.length) {
            val point = text.codePointAt(at)
            if (point in 0xD800..0xDFFF) {
                throw EdgeKitException.TextRefused(
                    "the text is not valid Unicode: a lone surrogate at character $count",
                    "It was most likely decoded from bytes that are not UTF-8.",
                )
            }
            points[count++] = point
            at += Character.charCount(point)
        }
        return points.copyOf(count)
    }

    private inline fun <T> guarded(work: () -> T): T = try {
        work()
    } catch (error: PatternTooSlow) {
        throw EdgeKitException.TextRefused(error.message.orEmpty(), "Give the text in smaller parts.")
    } catch (error: UnknownRefused) {
        throw EdgeKitException.TextRefused(error.message.orEmpty(), "Leave the character out.")
    } catch (error: CharsmapDamaged) {
        throw EdgeKitException.BundleCorrupt("the tokenizer's charsmap is damaged: ${error.message}", error)
    }

    public companion object {
        /** Fewest tokens of a second text that a window must hold. */
        public const val LEAST_ROOM: Int = 8

        /**
         * Reads a tokenizer.json.
         *
         * @throws EdgeKitException.BundleCorrupt it is not what the tokenizers library writes
         * @throws EdgeKitException.Unsupported it needs a component that this core does not have
         */
        public fun read(bytes: ByteArray): Tokenizer = try {
            Tokenizer(TokenizerReader(JsonReader.read(bytes)).parts())
        } catch (error: JsonRefused) {
            throw EdgeKitException.BundleCorrupt("tokenizer.json is not valid JSON: ${error.message}", error)
        } catch (error: MalformedTokenizer) {
            throw EdgeKitException.BundleCorrupt("tokenizer.json: ${error.message}", error)
        } catch (error: CharsmapDamaged) {
            throw EdgeKitException.BundleCorrupt("tokenizer.json: its charsmap is damaged: ${error.message}", error)
        } catch (error: PatternTooSlow) {
            throw EdgeKitException.BundleCorrupt("tokenizer.json: ${error.message}", error)
        } catch (error: UnsupportedTokenizer) {
            throw unsupported(error)
        } catch (error: PatternRefused) {
            throw unsupported(error)
        }

        private fun unsupported(error: Exception) = EdgeKitException.Unsupported(
            "tokenizer.json needs what this core does not have: ${error.message}",
            "edgekit.json says tokenizer.on_device: false for such a bundle; feed it token ids.",
            error,
        )
    }
}
