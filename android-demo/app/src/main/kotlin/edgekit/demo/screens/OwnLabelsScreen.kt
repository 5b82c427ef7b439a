package edgekit.demo.screens

import edgekit.core.bundle.Manifest
import edgekit.core.tasks.Answer
import edgekit.core.tasks.Query
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** Labels of the user's own choice, for a model that takes any. */
object OwnLabelsScreen : Screen {
    override val name = "own-labels"
    override val title = R.string.own_labels

    override fun fits(manifest: Manifest): Boolean = manifest.task == "zero-shot-classification"

    override fun show(page: Page, session: Session) {
        val text = page.field(page.words(R.string.classify_text), lines = 3)
        val labels = page.field(page.words(R.string.own_labels_hint))
        page.call(name, page.words(R.string.classify_run), {
            val own = labels.text.split(',').map { it.trim() }.filter { it.isNotEmpty() }
            session.ask(Query(text.text.toString(), labels = own))
        }) { answer: Answer -> ClassifyScreen.lines(page, answer) }
    }
}
