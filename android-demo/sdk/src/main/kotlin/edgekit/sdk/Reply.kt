package edgekit.sdk

import edgekit.core.EdgeKitException
import java.util.concurrent.CancellationException
import java.util.concurrent.CountDownLatch
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executor
import java.util.concurrent.Future
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException

/**
 * What a session will have to say: callbacks on the main thread, or a Future for other threads.
 *
 * In a coroutine, with kotlinx.coroutines:
 * ```
 * suspendCancellableCoroutine { c ->
 *     c.invokeOnCancellation { reply.cancel() }
 *     reply.then(c::resume, c::resumeWithException)
 * }
 * ```
 */
public class Reply<T> internal constructor(private val callbacks: Executor, private val stop: (Reply<T>) -> Unit) : Future<T> {
    private val finished = CountDownLatch(1)
    private var outcome: Result<T>? = null
    private var waiting: ArrayList<() -> Unit>? = ArrayList()

    /**
     * Tells the answer or what went wrong, on the main thread. Nothing is told once the session is
     * closed; a cancelled reply tells `EdgeKitException.Cancelled`.
     */
    @JvmOverloads
    public fun then(onAnswer: (T) -> Unit, onError: (EdgeKitException) -> Unit = {}): Reply<T> {
        val tell = { callbacks.execute { told(onAnswer, onError) } }
        val now = synchronized(this) { waiting?.add(tell) == null }
        if (now) tell()
        return this
    }

    /** Gives up the answer: what waits is dropped, what runs is stopped. */
    public fun cancel(): Boolean {
        val stopped = finish(Result.failure(EdgeKitException.Cancelled("the call was cancelled")))
        if (stopped) stop(this)
        return stopped
    }

    override fun cancel(mayInterruptIfRunning: Boolean): Boolean = cancel()

    override fun isCancelled(): Boolean = synchronized(this) { outcome?.exceptionOrNull() is EdgeKitException.Cancelled }

    override fun isDone(): Boolean = finished.count == 0L

    /** The answer, waited for. @throws ExecutionException with an EdgeKitException as its cause */
    override fun get(): T {
        finished.await()
        return value()
    }

    override fun get(timeout: Long, unit: TimeUnit): T {
        if (!finished.await(timeout, unit)) throw TimeoutException()
        return value()
    }

    /** False where there was an outcome already. */
    internal fun finish(result: Result<T>): Boolean {
        val tellers = synchronized(this) {
            if (outcome != null) return false
            outcome = result
            waiting.also { waiting = null }
        }
        finished.countDown()
        tellers?.forEach { it() }
        return true
    }

    private fun told(onAnswer: (T) -> Unit, onError: (EdgeKitException) -> Unit) {
        val result = synchronized(this) { outcome } ?: return
        val error = result.exceptionOrNull()
        if (error == null) onAnswer(result.getOrThrow()) else onError(typed(error))
    }

    private fun value(): T {
        val result = synchronized(this) { outcome }!!
        val error = result.exceptionOrNull() ?: return result.getOrThrow()
        if (error is EdgeKitException.Cancelled) throw CancellationException(error.message).apply { initCause(error) }
        throw ExecutionException(typed(error))
    }

    internal companion object {
        /** What reached us from below as a failure that an app can show. */
        fun typed(error: Throwable): EdgeKitException = when (error) {
            is EdgeKitException -> error
            is OutOfMemoryError -> EdgeKitException.Unavailable(
                "there is not enough memory for this model on this phone",
                "Close other apps, or use a smaller model.",
                error,
            )
            is LinkageError -> EdgeKitException.Unavailable(
                "the runtime's library is not in this app, or not for this processor: $error",
                "Build the app with the runtime's archive for this processor.",
                error,
            )
            else -> EdgeKitException.InternalError("unexpected: $error", error)
        }
    }
}
