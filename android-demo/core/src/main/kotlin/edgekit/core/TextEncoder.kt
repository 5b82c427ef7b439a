package edgekit.core

import edgekit.core.bundle.Manifest
import edgekit.core.engine.LongTensor
import edgekit.core.tasks.CodePoints
import edgekit.core.tokenizer.Encoding
import edgekit.core.tokenizer.Tokenizer

/** A text or pair as the inputs of a graph, with its tokens; nothing is cut in silence. */
internal class Encoded(val inputs: Map<String, LongTensor>, val tokens: Encoding)

/** A tokenizer bound to a bundle's signature. */
internal class TextEncoder(private val tokenizer: Tokenizer, private val manifest: Manifest) {

    /** One encoded text or pair; with [windows], several over a second text that is too long. */
    fun passes(text: String, pair: String?, windows: Boolean): List<Encoded> {
        for (given in listOfNotNull(text, pair)) {
            if (CodePoints.isBlank(given)) {
                throw EdgeKitException.TextRefused("the text is empty", "Give at least one word.")
            }
        }
        val found = if (windows && pair != null) {
            tokenizer.windows(text, pair, manifest.maxLength, OVERLAP)
        } else {
            listOf(tokenizer.encode(text, pair))
        }
        return found.map { encoded(it, text) }
    }

    private fun encoded(tokens: Encoding, text: String): Encoded {
        val shown = text.take(40)
        if (tokens.size > manifest.maxLength) {
            throw EdgeKitException.TextRefused(
                "the text has ${tokens.size} tokens, the model takes ${manifest.maxLength}: \"$shown\"…",
                "Shorten or split the text; edgekit never cuts it in silence.",
            )
        }
        val least = manifest.inputs.firstOrNull()?.dims?.getOrNull(1)?.minimum
            ?: throw EdgeKitException.BundleCorrupt("the manifest's signature has no input with a length")
        // Padding without a mask would change the answer in silence.
        if (tokens.size < least && manifest.inputs.none { it.name == MASK }) {
            throw EdgeKitException.TextRefused(
                "the text has ${tokens.size} tokens, the model takes $least at least: \"$shown\"",
                "Give a longer text.",
            )
        }
        val width = maxOf(tokens.size, least)
        return Encoded(manifest.inputs.associate { it.name to column(it.name, tokens, width) }, tokens)
    }

    private fun column(name: String, tokens: Encoding, width: Int): LongTensor {
        val pad = manifest.tokenizer.padTokenId?.toLong() ?: 0L
        val inside = 0 until tokens.size
        val values = when (name) {
            "input_ids" -> LongArray(width) { if (it in inside) tokens.ids[it].toLong() else pad }
            "token_type_ids" -> LongArray(width) { if (it in inside) tokens.types[it].toLong() else 0L }
            MASK -> LongArray(width) { if (it in inside) 1L else 0L }
            else -> throw EdgeKitException.Unsupported("the model has an input $name", "This core fills ids, types and mask.")
        }
        return LongTensor(values, longArrayOf(1, width.toLong()))
    }

    private companion object {
        const val MASK = "attention_mask"
        const val OVERLAP = 128
    }
}
