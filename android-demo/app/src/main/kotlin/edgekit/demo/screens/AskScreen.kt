package edgekit.demo.screens

import android.text.TextUtils
import edgekit.core.bundle.Manifest
import edgekit.core.tasks.Answer
import edgekit.core.tasks.Query
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** A question to a text; the answer is marked where it stands. */
object AskScreen : Screen {
    override val name = "ask"
    override val title = R.string.ask

    override fun fits(manifest: Manifest): Boolean = manifest.task == "question-answering"

    override fun show(page: Page, session: Session) {
        val words = page::words
        val text = page.field(words(R.string.ask_text), lines = 5)
        val question = page.field(words(R.string.ask_question))
        page.call(name, words(R.string.ask_run), {
            val context = text.text.toString()
            val query = Query(question.text.toString(), context = context, topK = 3)
            session.run { model -> context to (model.run(query) as Answer.Spans) }
        }) { (context, answer): Pair<String, Answer.Spans> ->
            val list = answer.answers.joinToString("\n") { "${page.percent(it.score)}  ${it.text}" }
            TextUtils.concat(list, "\n\n", Marked.text(page.activity, context, answer.answers.take(1)))
        }
    }
}
