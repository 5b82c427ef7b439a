package edgekit.demo.screens

import edgekit.core.bundle.Manifest
import edgekit.core.tasks.Answer
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** The labels of a trained classifier with their probabilities, or its values. */
object ClassifyScreen : Screen {
    override val name = "classify"
    override val title = R.string.classify

    override fun fits(manifest: Manifest): Boolean = manifest.task == "text-classification"

    override fun show(page: Page, session: Session) {
        val text = page.field(page.words(R.string.classify_text), lines = 3)
        page.call(name, page.words(R.string.classify_run), { session.ask(text.text.toString()) }) { answer: Answer ->
            lines(page, answer)
        }
    }

    /** An answer of a classifier, a line for each label. */
    fun lines(page: Page, answer: Answer): String = when (answer) {
        is Answer.Labels -> answer.labels.joinToString("\n") { "${page.percent(it.score)}  ${it.name}" }
        is Answer.Value -> page.decimal(answer.value, 4)
        is Answer.Values -> answer.values.entries.joinToString("\n") { "${page.decimal(it.value, 4)}  ${it.key}" }
        else -> ""
    }
}
