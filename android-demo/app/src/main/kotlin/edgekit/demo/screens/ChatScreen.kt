package edgekit.demo.screens

import android.text.TextUtils
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Manifest
import edgekit.core.generation.Generated
import edgekit.core.generation.Turn
import edgekit.demo.Lasting
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** Talks to a decoder; the answer grows as it is said, and can be stopped. */
object ChatScreen : Screen {
    override val name = "chat"
    override val title = R.string.chat

    /** What was said on one screen: outlives its rotation, and the process. */
    private class Talk(saved: List<String>) : Lasting {
        val turns = ArrayList(saved.chunked(2).map { (role, content) -> Turn(role, content) })
        var growing = StringBuilder()
        var shown: () -> Unit = {}

        /** What was said last, half an answer too. */
        override fun words(): List<String> {
            val all = if (growing.isEmpty()) turns else turns + Turn(ASSISTANT, growing.toString())
            var room = Page.MOST_TYPED
            return all.takeLastWhile { turn -> turn.content.length.let { room -= it; room >= 0 } }.flatMap { listOf(it.role, it.content) }
        }
    }

    override fun fits(manifest: Manifest): Boolean = manifest.task == "text-generation"

    override fun show(page: Page, session: Session) {
        val context = page.activity
        val talk = page.calls.kept(name) { Talk(it) }
        val history = page.text()
        talk.shown = {
            val lines = talk.turns.map { if (it.role == USER) context.getString(R.string.chat_you, it.content) else it.content }
            page.show(history, TextUtils.join("\n\n", lines + talk.growing.toString()).trim())
        }
        talk.shown()
        val message = page.field(context.getString(R.string.chat_text), lines = 2)
        page.call(name, context.getString(R.string.chat_run), {
            // A question that the end of the process left without an answer.
            if (talk.turns.lastOrNull()?.role == USER) talk.turns.removeAt(talk.turns.size - 1)
            talk.turns.add(Turn(USER, message.text.toString()))
            message.setText("")
            // One of its own: what an answer that was stopped still says goes nowhere.
            val growing = StringBuilder().also { talk.growing = it }
            talk.shown()
            val turns = ArrayList(talk.turns)
            val tell = { piece: String ->
                growing.append(piece)
                talk.shown()
            }
            session.chat(turns, onPiece = tell)
        }, { error -> ended(talk, error) }) { answer: Generated ->
            if (talk.growing.isNotEmpty()) talk.turns.add(Turn(ASSISTANT, answer.text))
            talk.growing.setLength(0)
            talk.shown()
            speed(page, answer)
        }
    }

    /** How an answer went, in words. */
    fun speed(page: Page, answer: Generated): String {
        val first = page.decimal(answer.firstMillis, 0)
        return page.activity.getString(R.string.chat_speed, page.whole(answer.tokens), first, page.decimal(answer.perSecond, 1))
    }

    /** What was said until it was stopped stays; a question that was refused is no part of the talk. */
    private fun ended(talk: Talk, error: EdgeKitException) {
        if (error is EdgeKitException.Cancelled && talk.growing.isNotEmpty()) {
            talk.turns.add(Turn(ASSISTANT, talk.growing.toString()))
        } else if (talk.turns.lastOrNull()?.role == USER) {
            talk.turns.removeAt(talk.turns.size - 1)
        }
        talk.growing.setLength(0)
        talk.shown()
    }

    private const val USER = "user"
    private const val ASSISTANT = "assistant"
}
