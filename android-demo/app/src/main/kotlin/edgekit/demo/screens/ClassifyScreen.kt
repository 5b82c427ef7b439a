package edgekit.demo.screens

import edgekit.core.bundle.Manifest
import edgekit.core.tasks.Answer
import edgekit.core.tasks.Query
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** Labels with their probabilities; of the user's own choice where the model takes any. */
object ClassifyScreen : Screen {
    override val name = "classify"
    override val title = R.string.classify

    private const val ANY = "zero-shot-classification"

    override fun fits(manifest: Manifest): Boolean = manifest.task == "text-classification" || manifest.task == ANY

    override fun show(page: Page, session: Session) {
        val words = page::words
        val text = page.field(words(R.string.classify_text), lines = 3)
        val labels = page.field(words(R.string.classify_labels))
        page.call(name, words(R.string.classify_run), {
            val typed = text.text.toString()
            val own = labels.text.split(',').map { it.trim() }.filter { it.isNotEmpty() }
            session.run { model ->
                // A trained classifier has labels of its own.
                val any = model.bundle.manifest.task == ANY
                model.run(if (any) Query(typed, labels = own) else Query(typed))
            }
        }) { answer: Answer ->
            when (answer) {
                is Answer.Labels -> answer.labels.joinToString("\n") { "${Page.percent(it.score)}  ${it.name}" }
                is Answer.Value -> Page.decimal(answer.value, 4)
                is Answer.Values -> answer.values.entries.joinToString("\n") { "${Page.decimal(it.value, 4)}  ${it.key}" }
                else -> ""
            }
        }
    }
}
