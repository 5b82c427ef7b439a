package edgekit.demo.screens

import android.text.TextUtils
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Manifest
import edgekit.core.generation.Generated
import edgekit.core.generation.Turn
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session
import kotlin.math.roundToInt

/** Talks to a decoder; the answer grows as it is said, and can be stopped. */
object ChatScreen : Screen {
    override val name = "chat"
    override val title = R.string.chat

    /** What was said on one screen: outlives its rotation. */
    class Talk {
        val turns = ArrayList<Turn>()
        val growing = StringBuilder()
        var shown: () -> Unit = {}
    }

    override fun fits(manifest: Manifest): Boolean = manifest.task == "text-generation"

    override fun show(page: Page, session: Session) {
        val context = page.activity
        val talk = page.calls.kept(name) { Talk() }
        val history = page.text()
        talk.shown = {
            val lines = talk.turns.map { if (it.role == USER) context.getString(R.string.chat_you, it.content) else it.content }
            page.show(history, TextUtils.join("\n\n", lines + talk.growing.toString()).trim())
        }
        talk.shown()
        val message = page.field(context.getString(R.string.chat_text), lines = 2)
        page.call(name, context.getString(R.string.chat_run), {
            talk.turns.add(Turn(USER, message.text.toString()))
            message.setText("")
            talk.growing.setLength(0)
            talk.shown()
            val turns = ArrayList(talk.turns)
            val tell = { piece: String ->
                talk.growing.append(piece)
                talk.shown()
            }
            session.chat(turns, onPiece = tell)
        }, { error -> ended(talk, error) }) { answer: Generated ->
            if (talk.growing.isNotEmpty()) talk.turns.add(Turn(ASSISTANT, answer.text))
            talk.growing.setLength(0)
            talk.shown()
            val first = Page.decimal(answer.firstMillis, 0)
            context.getString(R.string.chat_speed, answer.tokens, first, Page.decimal(answer.perSecond, 1))
        }
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
