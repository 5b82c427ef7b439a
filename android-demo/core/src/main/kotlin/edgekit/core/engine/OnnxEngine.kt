package edgekit.core.engine

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.generation.Decoder
import edgekit.core.generation.Generator
import edgekit.core.generation.OnnxDecoder
import edgekit.core.generation.OnnxTextDecoder
import java.io.File
import java.nio.LongBuffer

/** Which part of ONNX Runtime runs the graph. */
public enum class OnnxDelegate {
    /** Its own kernels: the default, and what edgekit measures quality with. */
    CPU,

    /** XNNPACK where it has a kernel, the CPU's elsewhere. */
    XNNPACK,

    /** Android's neural networks API, which Android has given up since version 15. */
    NNAPI,
}

/**
 * How to load an .onnx file.
 *
 * @property delegate which part runs the graph
 * @property threads how many; 0 leaves it to [OnnxRuntime], or to the runtime where an [OnnxEngine] is
 *   opened without one
 * @property profile a prefix of a file name, with folder, for a profile that [OnnxEngine.placement]
 *   reads; a profiled session is slower
 */
public class OnnxOptions(
    public val delegate: OnnxDelegate = OnnxDelegate.CPU,
    public val threads: Int = 0,
    public val profile: File? = null,
)

/**
 * ONNX Runtime for the bundle's .onnx.
 *
 * Threads are those of the options, else those of the tuning file for this bundle, else [Tuning.usual].
 */
public class OnnxRuntime @JvmOverloads constructor(
    private val options: OnnxOptions = OnnxOptions(),
    private val tuning: Tuning? = null,
) : EngineFactory {
    override fun open(bundle: Bundle): Engine =
        OnnxEngine.open(EngineFactory.artifact(bundle, OnnxEngine.NAME), chosen(bundle))

    override fun openDecoder(bundle: Bundle): Decoder {
        val file = EngineFactory.artifact(bundle, OnnxEngine.NAME)
        val context = Generator.context(bundle)
        return if (Generator.answersTexts(bundle)) {
            OnnxTextDecoder.open(file, context, chosen(bundle))
        } else {
            OnnxDecoder.open(file, context, chosen(bundle))
        }
    }

    override fun tuned(tuning: Tuning): EngineFactory = OnnxRuntime(options, tuning)

    /** The options with a number of threads. */
    internal fun chosen(bundle: Bundle): OnnxOptions {
        if (options.threads > 0) return options
        val found = tuning?.threads(bundle, OnnxEngine.NAME) ?: 0
        return OnnxOptions(options.delegate, if (found > 0) found else Tuning.usual(), options.profile)
    }
}

/** An .onnx file in ONNX Runtime; the same Java API on Android and on a JVM. */
public class OnnxEngine private constructor(
    private val session: OrtSession,
    private val environment: OrtEnvironment,
    override val report: EngineReport,
) : Engine {
    /** Names of the graph's inputs, in its own order. */
    public val inputNames: List<String> = session.inputNames.toList()

    private val lock = Any()
    private var closed = false
    private val passes = OnnxRun(report.file)

    override fun run(inputs: Map<String, LongTensor>): Map<String, FloatTensor> = synchronized(lock) {
        if (closed) throw EdgeKitException.SpecError("the engine is closed", "Open it again.")
        passes.pass("") { pass(inputs, it) }
    }

    override fun cancel(): Unit = passes.cancel()

    override fun close(): Unit = synchronized(lock) {
        if (!closed) session.close()
        closed = true
    }

    /**
     * How many nodes ran where, by the name of the execution provider: ends the profile that
     * [OnnxOptions.profile] asked for, after one run or more.
     */
    public fun placement(): Map<String, Int> = synchronized(lock) {
        if (closed) throw EdgeKitException.SpecError("the engine is closed", "Open it again.")
        val file = File(session.endProfiling())
        if (!file.isFile) throw EdgeKitException.SpecError("there is no profile", "Open the engine with OnnxOptions.profile.")
        Placement.read(file)
    }

    private fun pass(inputs: Map<String, LongTensor>, options: OrtSession.RunOptions): Map<String, FloatTensor> {
        val tensors = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((name, tensor) in inputs) {
                tensors[name] = OnnxTensor.createTensor(environment, LongBuffer.wrap(tensor.values), tensor.shape)
            }
            return session.run(tensors, session.outputNames, options).use { result ->
                result.associate { (name, value) -> name to floats(name, value as? OnnxTensor) }
            }
        } finally {
            for (tensor in tensors.values) tensor.close()
        }
    }

    private fun floats(name: String, tensor: OnnxTensor?): FloatTensor {
        val buffer = tensor?.floatBuffer
            ?: throw EdgeKitException.InternalError("${report.file} gives something else than float32 as $name")
        val values = FloatArray(buffer.remaining())
        buffer.get(values)
        return FloatTensor(values, tensor.info.shape)
    }

    public companion object {
        internal const val NAME = "onnx"
        private const val NNAPI_WARNING =
            "NNAPI is deprecated since Android 15 and may be slower than the CPU: measure both."

        /**
         * Loads an .onnx file by its path, so that its weights are never held twice.
         *
         * @throws EdgeKitException.Unavailable the app lacks ONNX Runtime, or a library for this processor
         * @throws EdgeKitException.Unsupported this build of ONNX Runtime lacks the delegate
         * @throws EdgeKitException.InternalError the runtime refused the file
         */
        @JvmStatic
        public fun open(file: File, options: OnnxOptions = OnnxOptions()): OnnxEngine {
            val start = System.nanoTime()
            val (environment, session) = session(file, options)
            val millis = (System.nanoTime() - start) / 1e6
            return OnnxEngine(session, environment, report(environment, file, options, millis))
        }

        /** A loaded graph. */
        internal fun session(file: File, options: OnnxOptions): Pair<OrtEnvironment, OrtSession> {
            val environment = environment()
            try {
                OrtSession.SessionOptions().use { asked ->
                    set(asked, options)
                    return environment to environment.createSession(file.path, asked)
                }
            } catch (error: OrtException) {
                throw EdgeKitException.InternalError("ONNX Runtime cannot load ${file.name}: ${error.message}", error)
            }
        }

        /**
         * The version of ONNX Runtime in this app.
         *
         * @throws EdgeKitException.Unavailable the app lacks it, or a library for this processor
         */
        @JvmStatic
        public fun version(): String = environment().version

        private fun environment(): OrtEnvironment = try {
            OrtEnvironment.getEnvironment().also { it.setTelemetry(false) }
        } catch (error: LinkageError) {
            throw EdgeKitException.Unavailable(
                "ONNX Runtime is not in this app, or not for this processor: $error",
                "Add com.microsoft.onnxruntime:onnxruntime-android to the app.",
                error,
            )
        } catch (error: OrtException) {
            throw EdgeKitException.InternalError("ONNX Runtime does not start: ${error.message}", error)
        }

        private fun set(asked: OrtSession.SessionOptions, options: OnnxOptions) {
            asked.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR)
            if (options.threads > 0) asked.setIntraOpNumThreads(options.threads)
            options.profile?.let { asked.enableProfiling(it.path) }
            try {
                when (options.delegate) {
                    OnnxDelegate.CPU -> Unit
                    OnnxDelegate.XNNPACK -> asked.addXnnpack(threads(options))
                    OnnxDelegate.NNAPI -> asked.addNnapi()
                }
            } catch (error: OrtException) {
                throw EdgeKitException.Unsupported(
                    "this ONNX Runtime has no ${options.delegate}: ${error.message}",
                    "Use OnnxDelegate.CPU; NNAPI is there on Android only.",
                    error,
                )
            }
        }

        private fun threads(options: OnnxOptions): Map<String, String> =
            if (options.threads > 0) mapOf("intra_op_num_threads" to options.threads.toString()) else emptyMap()

        private fun report(environment: OrtEnvironment, file: File, options: OnnxOptions, millis: Double) = EngineReport(
            NAME,
            environment.version,
            file.name,
            options.delegate.name.lowercase(),
            options.threads,
            millis,
            if (options.delegate == OnnxDelegate.NNAPI) NNAPI_WARNING else "",
        )
    }
}
