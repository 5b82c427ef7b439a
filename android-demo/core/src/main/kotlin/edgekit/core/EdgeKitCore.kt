package edgekit.core

import edgekit.core.bundle.Bundle
import edgekit.core.bundle.Replayed
import edgekit.core.bundle.SelfTest
import edgekit.core.engine.DelegateReport
import edgekit.core.engine.Delegates
import edgekit.core.engine.Engine
import edgekit.core.engine.EngineFactory
import edgekit.core.engine.EngineReport
import edgekit.core.engine.FloatTensor
import edgekit.core.engine.OnnxDelegate
import edgekit.core.engine.OnnxEngine
import edgekit.core.engine.OnnxOptions
import edgekit.core.engine.OnnxRuntime
import edgekit.core.tasks.Answer
import edgekit.core.tasks.ModelFacts
import edgekit.core.tasks.Query
import edgekit.core.tasks.Run
import edgekit.core.tasks.Task
import edgekit.core.tokenizer.Tokenizer
import java.io.Closeable
import java.io.File
import java.util.concurrent.atomic.AtomicInteger

/**
 * A bundle that answers: the same answers as `edgekit run` gives.
 *
 * ```
 * EdgeKitCore.open(File(filesDir, "minilm-android-arm64")).use { model ->
 *     val answer = model.run("A text.") as Answer.Embedding
 * }
 * ```
 *
 * Open, run and close off the main thread; [cancel] from any thread.
 *
 * @property bundle what is open
 * @property tokenizer its own
 */
public class EdgeKitCore(
    public val bundle: Bundle,
    public val tokenizer: Tokenizer,
    private val engine: Engine,
) : Closeable {
    private val cancels = AtomicInteger()
    private val task = Task.called(bundle.manifest.task)
    private val encoder = TextEncoder(tokenizer, bundle.manifest)
    private val facts = ModelFacts(
        bundle.manifest.labels,
        bundle.manifest.problem,
        bundle.manifest.tokenizer.maskTokenId,
    ) { tokenizer.token(it).orEmpty() }

    /** What was asked of the runtime and what it gave. */
    public val report: EngineReport get() = engine.report

    /**
     * The answer for one text.
     *
     * @throws EdgeKitException.TextRefused the text is empty, not Unicode, too long, or lacks a mask
     * @throws EdgeKitException.SpecError the task needs more than a text
     * @throws EdgeKitException.Cancelled [cancel] came in between
     */
    public fun run(text: String): Answer = run(Query(text))

    /** The answer to a query; see [run]. */
    public fun run(query: Query): Answer {
        Task.check(task, query)
        val before = cancels.get()
        val runs = task.pairs(query).flatMap { (text, pair) -> encoder.passes(text, pair, task.windows) }.map {
            // A query of several passes must not go on with the next one.
            if (cancels.get() != before) throw EdgeKitException.Cancelled("the query was cancelled")
            pass(it)
        }
        try {
            return task.answer(runs, query, facts)
        } catch (error: IndexOutOfBoundsException) {
            throw EdgeKitException.BundleCorrupt("the model's outputs do not fit its labels or vocabulary", error)
        }
    }

    /** Stops what is under way and what waits for it; nothing happens where nothing is. */
    public fun cancel() {
        cancels.incrementAndGet()
        engine.cancel()
    }

    /**
     * Replays the bundle's goldens, the answers that its artifact gave on the machine that made it.
     *
     * @param onEach told of each as it is done; [cancel] ends the replay with `Cancelled`
     * @throws EdgeKitException.BundleCorrupt the goldens cannot be read, or are of another runtime
     */
    public fun selfTest(onEach: (Replayed) -> Unit = {}): List<Replayed> {
        val before = cancels.get()
        return SelfTest.replay(bundle, report.runtime) {
            if (cancels.get() != before) throw EdgeKitException.Cancelled("the self-test was cancelled")
            val output = engine.run(it.inputs)[bundle.manifest.outputs.firstOrNull()?.name]
            val ids = it.inputs["input_ids"]
            if (output == null || ids == null) throw EdgeKitException.BundleCorrupt("the goldens do not fit the model")
            task.compared(output, ids.values, facts)
        }.onEach(onEach).toList()
    }

    /**
     * Times one pass with each part of ONNX Runtime, and says where its nodes ran: NNAPI against the CPU,
     * on this phone. The model is loaded twice for each.
     *
     * @param query its first pass is what is timed
     * @param scratch a folder for profiles, which are removed
     * @param runs how many passes are timed
     * @throws EdgeKitException.SpecError the bundle has no artifact for ONNX Runtime
     * @throws EdgeKitException.TextRefused as for [run]
     * @throws EdgeKitException.Cancelled [cancel] came in between
     */
    public fun delegates(query: Query, scratch: File, runs: Int = 20): List<DelegateReport> {
        Task.check(task, query)
        val file = EngineFactory.artifact(bundle, OnnxEngine.NAME)
        val (text, pair) = task.pairs(query).first()
        val inputs = encoder.passes(text, pair, task.windows).first().inputs
        val before = cancels.get()
        return OnnxDelegate.values().map {
            if (cancels.get() != before) throw EdgeKitException.Cancelled("the measurement was cancelled")
            Delegates.measure(file, OnnxOptions(it, report.threads), inputs, runs, scratch)
        }
    }

    /** Releases the native memory. */
    override fun close(): Unit = engine.close()

    private fun pass(encoded: Encoded): Run {
        val name = bundle.manifest.outputs.firstOrNull()?.name
        val output = engine.run(encoded.inputs)[name]
            ?: throw EdgeKitException.BundleCorrupt("the model has no output $name")
        val tokens = encoded.tokens
        return Run(unpadded(output, tokens.size), tokens.ids, tokens.starts, tokens.ends, tokens.words, tokens.sequences)
    }

    /** An output of one row a token, without the rows that padding added. */
    private fun unpadded(output: FloatTensor, length: Int): FloatTensor {
        if (output.shape.size != 3 || output.shape[1] <= length) return output
        val width = output.shape[2]
        val shape = longArrayOf(output.shape[0], length.toLong(), width)
        return FloatTensor(output.values.copyOf((length * width).toInt()), shape)
    }

    public companion object {
        /**
         * Checks a bundle and loads its ONNX artifact.
         *
         * @throws EdgeKitException the bundle is refused, or cannot run here: see [Bundle.open],
         *   [Bundle.tokenizer] and [OnnxEngine.open]
         */
        @JvmStatic
        public fun open(folder: File, options: OnnxOptions = OnnxOptions()): EdgeKitCore =
            open(Bundle.open(folder), OnnxRuntime(options))

        /**
         * Loads the artifact of an open bundle that [engines] runs.
         *
         * @throws EdgeKitException see [Bundle.tokenizer] and [EngineFactory.open]
         */
        @JvmStatic
        public fun open(bundle: Bundle, engines: EngineFactory): EdgeKitCore {
            Task.called(bundle.manifest.task)
            return EdgeKitCore(bundle, bundle.tokenizer(), engines.open(bundle))
        }
    }
}
