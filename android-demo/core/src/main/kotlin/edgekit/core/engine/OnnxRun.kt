package edgekit.core.engine

import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import edgekit.core.EdgeKitException

/** The passes of one loaded file, one at a time; another thread may stop the one that is under way. */
internal class OnnxRun(private val file: String) {
    private val lock = Any()
    private var running: OrtSession.RunOptions? = null
    private var cancelled = false

    /**
     * One pass.
     *
     * @param where said where the runtime fails, as "at position 7"
     * @throws EdgeKitException.Cancelled [cancel] came in between
     * @throws EdgeKitException.InternalError the runtime failed
     */
    fun <T> pass(where: String, work: (OrtSession.RunOptions) -> T): T = OrtSession.RunOptions().use { options ->
        synchronized(lock) {
            running = options
            cancelled = false
        }
        try {
            work(options)
        } catch (error: OrtException) {
            if (synchronized(lock) { cancelled }) throw EdgeKitException.Cancelled("the run of $file was cancelled")
            throw EdgeKitException.InternalError("ONNX Runtime failed on $file $where: ${error.message}".trim(), error)
        } finally {
            // A pass lets go of its options before they are closed.
            synchronized(lock) { running = null }
        }
    }

    /** Stops the pass that is under way; nothing happens where none is. */
    fun cancel(): Unit = synchronized(lock) {
        val options = running ?: return
        cancelled = true
        options.setTerminate(true)
    }
}
