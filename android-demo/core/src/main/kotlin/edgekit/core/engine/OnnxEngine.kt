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
 * @property threads how many; 0 leaves it to the runtime
 * @property profile a prefix of a file name, with folder, for a profile that [OnnxEngine.placement]
 *   reads; a profiled session is slower
 */
public class OnnxOptions(
    public val delegate: OnnxDelegate = OnnxDelegate.CPU,
    public val threads: Int = 0,
    public val profile: File? = null,
)

/** ONNX Runtime for the bundle's .onnx. */
public class OnnxRuntime(private val options: OnnxOptions = OnnxOptions()) : EngineFactory {
    override fun open(bundle: Bundle): Engine =
        OnnxEngine.open(EngineFactory.artifact(bundle, OnnxEngine.NAME), options)

    override fun openDecoder(bundle: Bundle): Decoder =
        OnnxDecoder.open(EngineFactory.artifact(bundle, OnnxEngine.NAME), Generator.context(bundle), options)
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

    private val runLock = Any()
    private var running: OrtSession.RunOptions? = null
    private var cancelled = false

    override fun run(inputs: Map<String, LongTensor>): Map<String, FloatTensor> = synchronized(lock) {
        if (closed) throw EdgeKitException.SpecError("the engine is closed", "Open it again.")
        OrtSession.RunOptions().use { options ->
            synchronized(runLock) {
                running = options
                cancelled = false
            }
            try {
                pass(inputs, options)
            } finally {
                synchronized(runLock) { running = null }
            }
        }
    }

    override fun cancel(): Unit = synchronized(runLock) {
        // A run lets go of its options before it closes them.
        val options = running ?: return
        cancelled = true
        options.setTerminate(true)
    }

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
        } catch (error: OrtException) {
            if (synchronized(runLock) { cancelled }) throw EdgeKitException.Cancelled("the run of ${report.file} was cancelled")
            throw EdgeKitException.InternalError("ONNX Runtime failed on ${report.file}: ${error.message}", error)
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
