package edgekit.demo.screens

import edgekit.core.bundle.Manifest
import edgekit.core.tasks.Answer
import edgekit.core.tasks.Numbers
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** Finds notes by what they mean. */
object SearchScreen : Screen {
    override val name = "search"
    override val title = R.string.search

    override fun fits(manifest: Manifest): Boolean = manifest.task == "sentence-similarity"

    override fun show(page: Page, session: Session) {
        val words = page::words
        val asked = page.field(words(R.string.search_hint))
        val notes = page.field(words(R.string.search_notes), lines = 4, filled = words(R.string.search_sample))
        page.call(name, words(R.string.search_run), {
            val question = asked.text.toString()
            val lines = notes.text.lines().filter { it.isNotBlank() }
            session.run { model ->
                fun vector(text: String) = (model.run(text) as Answer.Embedding).vector
                val wanted = vector(question)
                lines.map { it to Numbers.cosine(wanted, vector(it)) }.sortedByDescending { it.second }
            }
        }) { found: List<Pair<String, Double>> ->
            found.joinToString("\n\n") { (note, near) -> "${page.decimal(near, 2)}  $note" }
        }
    }
}
