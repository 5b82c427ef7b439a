package edgekit.demo.screens

import edgekit.core.bundle.Manifest
import edgekit.core.tasks.Answer
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** Words for a gap. */
object MaskScreen : Screen {
    override val name = "mask"
    override val title = R.string.mask

    override fun fits(manifest: Manifest): Boolean = manifest.task == "fill-mask"

    override fun show(page: Page, session: Session) {
        val words = page::words
        val text = page.field(page.activity.getString(R.string.mask_text, "[MASK]"), lines = 2)
        page.call(name, words(R.string.mask_run), {
            val typed = text.text.toString()
            session.run { model ->
                val mask = model.bundle.manifest.tokenizer.maskTokenId?.let { model.tokenizer.token(it) } ?: GAP
                model.run(typed.replace(GAP, mask))
            }
        }) { answer: Answer ->
            (answer as Answer.Masks).masks.joinToString("\n\n") { mask ->
                mask.joinToString("\n") { "${page.percent(it.score)}  ${it.name}" }
            }
        }
    }

    private const val GAP = "[MASK]"
}
