package edgekit.sdk

import android.content.ComponentCallbacks2
import android.content.Context
import android.content.res.Configuration
import android.os.Handler
import android.os.Looper
import edgekit.core.EdgeKitCore
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.bundle.Replayed
import edgekit.core.engine.EngineFactory
import edgekit.core.engine.Tuning
import edgekit.core.generation.Generated
import edgekit.core.generation.Generator
import edgekit.core.generation.Turn
import edgekit.core.tasks.Answer
import edgekit.core.tasks.Query
import edgekit.core.tasks.Sampling
import java.io.Closeable
import java.io.IOException
import java.util.concurrent.Executor
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.ThreadPoolExecutor
import java.util.concurrent.TimeUnit

/**
 * A bundle in use. All methods may be called from the main thread and return at once: one background
 * thread copies, loads and answers, in the order of asking.
 *
 * Under memory pressure, while the app is out of sight, the model is let go and loaded again by the
 * next question. After [close] nothing is told any more.
 */
public class Session internal constructor(
    private val context: Context,
    private val source: BundleSource,
    private val engines: EngineFactory,
    private val tuning: String? = null,
) : Closeable {
    private val main = Handler(Looper.getMainLooper())
    private val callbacks = Executor { told -> main.post { if (!closed) told.run() } }
    private val worker = ThreadPoolExecutor(1, 1, 0, TimeUnit.SECONDS, LinkedBlockingQueue()) { work ->
        Thread(work, "edgekit").apply { isDaemon = true }
    }
    private val pressure = Pressure()

    @Volatile private var closed = false

    /**
     * Why the tuning file was left out, once the model is loaded; null where there is none to say.
     *
     * A model with another number of threads is slower, not wrong: nobody's question fails for it.
     */
    @Volatile public var tuningProblem: EdgeKitException? = null
        private set

    /** Of the worker thread alone. */
    private var model: Loaded? = null
    private var bundle: Bundle? = null

    private val lock = Any()
    private var current: Reply<*>? = null
    private var running: Loaded? = null
    private var thread: Thread? = null

    /** The bundle, as soon as it is copied, checked and loaded. */
    public val ready: Reply<Bundle>

    init {
        context.registerComponentCallbacks(pressure)
        ready = use { it.bundle }
    }

    /** The bundle, loaded again where it was let go; a reply of its own for each call. */
    public fun bundle(): Reply<Bundle> = use { it.bundle }

    /** The answer for a text; see [EdgeKitCore.run] for what can be wrong with it. */
    public fun ask(text: String): Reply<Answer> = ask(Query(text))

    /** The answer to a query. */
    public fun ask(query: Query): Reply<Answer> = run { it.run(query) }

    /** Replays the bundle's goldens; [onEach] is told of each on the main thread. */
    @JvmOverloads
    public fun selfTest(onEach: (Replayed) -> Unit = {}): Reply<List<Replayed>> =
        use { model -> model.selfTest { replayed -> callbacks.execute { onEach(replayed) } } }

    /** Runs [work] on the background thread, with the loaded model. */
    public fun <T> run(work: (EdgeKitCore) -> T): Reply<T> = use { work(it.core()) }

    /**
     * An answer token by token: of a decoder, or of an encoder-decoder to a text. [onPiece] is told on the main thread what was said since it was last told.
     *
     * @param sampling how tokens are drawn; as the bundle's maker meant it unless given
     */
    @JvmOverloads
    public fun generate(prompt: String, sampling: Sampling? = null, onPiece: (String) -> Unit = {}): Reply<Generated> =
        generating { it.generate(prompt, sampling ?: it.sampling) { piece -> callbacks.execute { onPiece(piece) } } }

    /**
     * The answer to the last turn of a chat; see [generate].
     *
     * The reply fails with `EdgeKitException.Unsupported` where the bundle has no chat template, or one
     * that this core does not read.
     */
    @JvmOverloads
    public fun chat(turns: List<Turn>, sampling: Sampling? = null, onPiece: (String) -> Unit = {}): Reply<Generated> {
        val said = ArrayList(turns)
        return generating { model ->
            val form = model.chat ?: throw EdgeKitException.Unsupported(
                "the bundle ${model.bundle.manifest.name} has no chat template",
                "Use generate with a prompt of your own.",
            )
            model.generate(form.render(said), sampling ?: model.sampling, raw = true) { piece ->
                callbacks.execute { onPiece(piece) }
            }
        }
    }

    /** Runs [work] on the background thread, with the loaded decoder. */
    public fun <T> generating(work: (Generator) -> T): Reply<T> = use { work(it.generator()) }

    /** Makes sure that the checked bundle is there; the model is loaded by who needs it. */
    private fun <T> use(work: (Loaded) -> T): Reply<T> {
        val reply = Reply<T>(callbacks) { stop(it) }
        try {
            worker.execute { if (!reply.isDone) answer(reply, work) }
        } catch (_: RejectedExecutionException) {
            reply.finish(Result.failure(EdgeKitException.SpecError("the session is closed", "Open it again.")))
        }
        return reply
    }

    /** Stops what runs and drops what waits; frees the model in the background. */
    override fun close() {
        if (closed) return
        closed = true
        context.unregisterComponentCallbacks(pressure)
        val waiting = ArrayList<Runnable>()
        worker.queue.drainTo(waiting)
        synchronized(lock) { current }?.cancel()
        worker.execute { letGo() }
        worker.shutdown()
    }

    private fun <T> answer(reply: Reply<T>, work: (Loaded) -> T) {
        synchronized(lock) {
            current = reply
            thread = Thread.currentThread()
        }
        val result = try {
            val model = loaded()
            synchronized(lock) {
                running = model
                thread = null
            }
            // A call that was cancelled during loading must not begin.
            if (reply.isDone) null else Result.success(work(model))
        } catch (error: Throwable) {
            Result.failure(Reply.typed(error))
        } finally {
            synchronized(lock) {
                current = null
                running = null
                thread = null
            }
            Thread.interrupted()
        }
        if (result != null) reply.finish(result)
    }

    private fun stop(reply: Reply<*>) = synchronized(lock) {
        if (current === reply) {
            running?.cancel()
            // A copy looks at the interrupt; a runtime does not have to bear one.
            thread?.interrupt()
        }
    }

    private fun loaded(): Loaded {
        model?.let { return it }
        val found = bundle ?: BundleStore(context).open(source).also { bundle = it }
        return Loaded(found, tuned()).also {
            it.load()
            model = it
        }
    }

    private fun tuned(): EngineFactory {
        val name = tuning ?: return engines
        return try {
            engines.tuned(Tuning.read(context.assets.open(name).use { it.readBytes() }))
        } catch (error: EdgeKitException) {
            tuningProblem = error
            engines
        } catch (error: IOException) {
            tuningProblem = EdgeKitException.InputMissing("there is no tuning file $name among the assets: $error")
            engines
        }
    }

    private fun letGo() {
        model?.close()
        model = null
    }

    private inner class Pressure : ComponentCallbacks2 {
        override fun onTrimMemory(level: Int) {
            if (level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND) letGoSoon()
        }

        @Deprecated("Android calls it still")
        override fun onLowMemory() = letGoSoon()

        override fun onConfigurationChanged(newConfig: Configuration) = Unit

        private fun letGoSoon() {
            try {
                worker.execute { letGo() }
            } catch (_: RejectedExecutionException) {
                // Closed meanwhile: it is being let go.
            }
        }
    }
}
