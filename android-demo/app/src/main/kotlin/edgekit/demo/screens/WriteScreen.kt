package edgekit.demo.screens

import edgekit.core.bundle.Manifest
import edgekit.core.generation.Generated
import edgekit.demo.Lasting
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** A text in fewer words, or in another language; the answer grows as it is written, and can be stopped. */
object WriteScreen : Screen {
    override val name = "write"
    override val title = R.string.write

    /** What was written: outlives the screen's rotation, and the process. */
    private class Written(saved: List<String>) : Lasting {
        var text = StringBuilder(saved.firstOrNull().orEmpty())
        var shown: () -> Unit = {}

        override fun words(): List<String> = listOf(text.take(Page.MOST_TYPED).toString())
    }

    override fun fits(manifest: Manifest): Boolean = manifest.generates && manifest.task != "text-generation"

    override fun show(page: Page, session: Session) {
        val context = page.activity
        val written = page.calls.kept(name) { Written(it) }
        val text = page.field(context.getString(R.string.write_text), lines = 5)
        page.call(name, context.getString(R.string.write_run), {
            // One of its own: what an answer that was stopped still says goes nowhere.
            val growing = StringBuilder().also { written.text = it }
            written.shown()
            session.generate(text.text.toString()) { piece ->
                growing.append(piece)
                written.shown()
            }
        }) { answer: Generated -> ChatScreen.speed(page, answer) }
        val result = page.result()
        written.shown = { page.show(result, written.text.toString()) }
        written.shown()
    }
}
