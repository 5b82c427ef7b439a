package edgekit.demo

import android.os.Bundle
import edgekit.core.EdgeKitException
import edgekit.sdk.Reply

/** Words that outlive the process too, as many as fit into what Android keeps. */
interface Lasting {
    fun words(): List<String>
}

/**
 * What a screen waits for and was told; outlives a rotation. For the main thread.
 *
 * @param saved what [save] wrote in a process that ended since
 */
class Calls(saved: Bundle? = null) {
    private class Handler(val onAnswer: (Any?) -> Unit, val onError: (EdgeKitException) -> Unit, val onBusy: (Boolean) -> Unit)

    private val handlers = HashMap<String, Handler>()
    private val replies = HashMap<String, Reply<*>>()
    private val states = HashMap<String, Any>()
    private val told = HashMap<String, Result<Any?>>()
    private val broken = HashSet(saved?.getStringArrayList(UNDER_WAY).orEmpty())
    private val lasting = saved?.getBundle(WORDS)

    /** What a screen keeps over a rotation besides its calls; made with the words of a process that ended. */
    @Suppress("UNCHECKED_CAST")
    fun <T : Any> kept(tag: String, make: (List<String>) -> T): T =
        states.getOrPut(tag) { make(lasting?.getStringArrayList(tag).orEmpty()) } as T

    /** Whether a call was under way when the process ended, and was not begun again. */
    fun wasBrokenOff(tag: String): Boolean = tag in broken

    /** Writes down what is to be there when Android ends the process. */
    fun save(state: Bundle) {
        state.putStringArrayList(UNDER_WAY, ArrayList(broken + replies.keys))
        val words = Bundle(lasting ?: Bundle.EMPTY)
        for ((tag, kept) in states) if (kept is Lasting) words.putStringArrayList(tag, ArrayList(kept.words()))
        state.putBundle(WORDS, words)
    }

    /** Says who shows the answers of a call from now on; an answer that is there is shown at once. */
    @Suppress("UNCHECKED_CAST")
    fun <T> on(tag: String, onBusy: (Boolean) -> Unit, onError: (EdgeKitException) -> Unit, onAnswer: (T) -> Unit) {
        handlers[tag] = Handler({ onAnswer(it as T) }, onError, onBusy)
        onBusy(tag in replies)
        told[tag]?.let { tell(tag, it) }
    }

    /** Begins a call; one of the same name that is under way is stopped. */
    fun <T> start(tag: String, reply: Reply<T>) {
        replies.remove(tag)?.cancel()
        told.remove(tag)
        broken.remove(tag)
        replies[tag] = reply
        handlers[tag]?.onBusy?.invoke(true)
        reply.then({ done(tag, reply, Result.success(it)) }, { done(tag, reply, Result.failure(it)) })
    }

    /** Begins a call that was neither begun nor told before. */
    fun <T> startOnce(tag: String, begin: () -> Reply<T>) {
        if (tag !in replies && tag !in told) start(tag, begin())
    }

    /** What was told of a call already; null where nothing was, or it failed. */
    @Suppress("UNCHECKED_CAST")
    fun <T> answer(tag: String): T? = told[tag]?.getOrNull() as T?

    fun isBusy(): Boolean = replies.isNotEmpty()

    fun stop(tag: String) {
        replies[tag]?.cancel()
    }

    fun stopAll() {
        for (reply in ArrayList(replies.values)) reply.cancel()
    }

    private fun done(tag: String, reply: Reply<*>, result: Result<Any?>) {
        if (replies[tag] !== reply) return
        replies.remove(tag)
        told[tag] = result
        handlers[tag]?.onBusy?.invoke(false)
        tell(tag, result)
    }

    private fun tell(tag: String, result: Result<Any?>) {
        val handler = handlers[tag] ?: return
        result.fold(handler.onAnswer) { handler.onError(it as EdgeKitException) }
    }

    private companion object {
        const val UNDER_WAY = "calls.under-way"
        const val WORDS = "calls.words"
    }
}
