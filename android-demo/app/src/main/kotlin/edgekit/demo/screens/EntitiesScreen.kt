package edgekit.demo.screens

import android.text.TextUtils
import edgekit.core.bundle.Manifest
import edgekit.core.tasks.Answer
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** Names, places and the like, marked in the text. */
object EntitiesScreen : Screen {
    override val name = "entities"
    override val title = R.string.entities

    override fun fits(manifest: Manifest): Boolean = manifest.task == "token-classification"

    override fun show(page: Page, session: Session) {
        val words = page::words
        val text = page.field(words(R.string.entities_text), lines = 3)
        page.call(name, words(R.string.entities_run), { session.ask(text.text.toString()) }) { answer: Answer ->
            val found = (answer as Answer.Entities).entities
            val list = found.joinToString("\n") { "${it.label}: ${it.text} (${page.percent(it.score)})" }
            if (found.isEmpty()) {
                words(R.string.entities_none)
            } else {
                TextUtils.concat(Marked.text(page.activity, answer.text, found), "\n\n", list)
            }
        }
    }
}
