package edgekit.core.tokenizer

/** Puts the model's own tokens around one text, or around and between two. */
internal interface PostProcessor {
    /** How many tokens it adds. */
    fun added(pair: Boolean): Int

    fun process(drafts: List<Draft>, addSpecial: Boolean): List<Draft>
}

internal class PostProcessorSequence(private val steps: List<PostProcessor>) : PostProcessor {
    override fun added(pair: Boolean): Int = steps.sumOf { it.added(pair) }

    override fun process(drafts: List<Draft>, addSpecial: Boolean): List<Draft> =
        steps.fold(drafts) { made, step -> step.process(made, addSpecial) }
}

/** Takes the blanks at a token's ends out of its offsets. */
internal class TrimOffsets(private val trims: Boolean, private val prefixSpace: Boolean) : PostProcessor {
    override fun added(pair: Boolean): Int = 0

    override fun process(drafts: List<Draft>, addSpecial: Boolean): List<Draft> {
        if (trims) for (draft in drafts) for (index in 0 until draft.size) trim(draft, index)
        return drafts
    }

    private fun trim(draft: Draft, index: Int) {
        var leading = draft.leading[index]
        val trailing = draft.trailing[index]
        if (leading > 0) {
            // The one blank that the splitter itself put there is not part of the text.
            val first = index == 0 || draft.starts[index] == 0
            if (first && prefixSpace && leading == 1) leading = 0
            draft.starts[index] = minOf(draft.starts[index] + leading, draft.ends[index])
        }
        if (trailing > 0 && draft.ends[index] >= trailing) {
            draft.ends[index] = maxOf(draft.ends[index] - trailing, draft.starts[index])
        }
    }
}

/** `[CLS] A [SEP] B [SEP]`; RoBERTa writes two separators between, and types of 0. */
internal class ClsSep(private val cls: Int, private val sep: Int, private val roberta: Boolean) : PostProcessor {
    override fun added(pair: Boolean): Int = if (!pair) 2 else if (roberta) 4 else 3

    override fun process(drafts: List<Draft>, addSpecial: Boolean): List<Draft> {
        if (roberta) for (draft in drafts) draft.setTypes(0)
        if (!addSpecial) return drafts
        return drafts.mapIndexed { index, draft ->
            val type = if (roberta) 0 else index
            val made = Draft()
            if (index == 0) made.addTemplate(cls, type) else if (roberta) made.addTemplate(sep, type)
            made.append(draft)
            made.addTemplate(sep, type)
            made
        }
    }
}

/** One entry of a template: a text, or tokens. */
internal class TemplatePiece(val sequence: Int, val type: Int, val tokens: IntArray)

internal class TemplateProcessing(
    private val single: List<TemplatePiece>,
    private val pair: List<TemplatePiece>,
) : PostProcessor {
    override fun added(pair: Boolean): Int = (if (pair) this.pair else single).sumOf { it.tokens.size }

    override fun process(drafts: List<Draft>, addSpecial: Boolean): List<Draft> =
        (if (drafts.size == 2) pair else single).mapNotNull { piece ->
            val made = Draft()
            if (piece.sequence >= 0) {
                made.append(drafts[piece.sequence])
                made.setTypes(piece.type)
            } else if (addSpecial) {
                for (token in piece.tokens) made.addTemplate(token, piece.type)
            } else {
                return@mapNotNull null
            }
            made
        }
}
