package edgekit.core.engine

import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.generation.Decoder
import java.io.Closeable
import java.io.File

/** Whole numbers in rows: `shape[0] * shape[1] * …` of them. */
public class LongTensor(public val values: LongArray, public val shape: LongArray)

/** Numbers in rows: `shape[0] * shape[1] * …` of them. */
public class FloatTensor(public val values: FloatArray, public val shape: LongArray)

/**
 * A loaded artifact.
 *
 * One run at a time; a second call waits. [cancel] and [close] may come from any thread.
 */
public interface Engine : Closeable {
    /** What was asked of the runtime and what it gave. */
    public val report: EngineReport

    /**
     * One pass: named inputs to named outputs.
     *
     * @throws edgekit.core.EdgeKitException.Cancelled [cancel] came in between
     * @throws edgekit.core.EdgeKitException.InternalError the runtime failed
     * @throws edgekit.core.EdgeKitException.SpecError the engine is closed
     */
    public fun run(inputs: Map<String, LongTensor>): Map<String, FloatTensor>

    /** Stops the run that is under way; nothing happens where none is. */
    public fun cancel()

    /** Waits for the run that is under way and releases the native memory. */
    override fun close()
}

/** Loads a bundle's artifact for one runtime: `OnnxRuntime` here, `ExecuTorch` in a module of its own. */
public fun interface EngineFactory {
    /**
     * An engine over the bundle's artifact.
     *
     * @throws edgekit.core.EdgeKitException.SpecError the bundle has no artifact for this runtime
     * @throws edgekit.core.EdgeKitException.Unavailable the app lacks the runtime, or its library
     * @throws edgekit.core.EdgeKitException.Unsupported this build of the runtime cannot do what was asked
     * @throws edgekit.core.EdgeKitException.InternalError the runtime refused the file
     */
    public fun open(bundle: Bundle): Engine

    /**
     * A decoder over the artifact of a bundle that generates; a [edgekit.core.generation.TextDecoder]
     * where it answers texts, as for a summary or a translation.
     *
     * @throws edgekit.core.EdgeKitException as for [open]
     */
    public fun openDecoder(bundle: Bundle): Decoder = throw EdgeKitException.Unsupported(
        "this runtime generates no text in this version",
        "Use OnnxRuntime().",
    )

    /** The same runtime with as many threads as a tuning file says; itself where it cannot choose them. */
    public fun tuned(tuning: Tuning): EngineFactory = this

    public companion object {
        /**
         * The file that a bundle has for a runtime.
         *
         * @throws edgekit.core.EdgeKitException.SpecError it has none
         */
        @JvmStatic
        public fun artifact(bundle: Bundle, runtime: String): File = bundle.artifact(runtime)
            ?: throw EdgeKitException.SpecError(
                "the bundle ${bundle.manifest.name} has no $runtime artifact",
                "It has: ${bundle.manifest.artifacts.joinToString(", ") { it.runtime }}.",
            )
    }
}

/**
 * What a session is.
 *
 * @property runtime `onnx` or `executorch`
 * @property version of the runtime
 * @property file the artifact's name
 * @property delegate which one was asked for
 * @property threads how many were asked for; 0 leaves it to the runtime
 * @property loadMillis how long loading took
 * @property warning what a user of this delegate should know; empty where there is nothing
 */
public class EngineReport(
    public val runtime: String,
    public val version: String,
    public val file: String,
    public val delegate: String,
    public val threads: Int,
    public val loadMillis: Double,
    public val warning: String,
)
