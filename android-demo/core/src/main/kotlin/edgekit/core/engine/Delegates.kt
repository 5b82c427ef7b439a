package edgekit.core.engine

import edgekit.core.EdgeKitException
import java.io.File

/**
 * What one part of ONNX Runtime did with a model on this machine.
 *
 * @property delegate which part was asked for
 * @property millis median of a pass; 0 where it did not run
 * @property nodes how many nodes ran where, by the name of the execution provider
 * @property problem why it did not run; null where it did
 */
public class DelegateReport(
    public val delegate: OnnxDelegate,
    public val millis: Double,
    public val nodes: Map<String, Int>,
    public val problem: EdgeKitException?,
)

/** The parts of ONNX Runtime, measured with one model and one input. */
internal object Delegates {
    private const val WARM_UPS = 3

    /** Times a pass, and says where its nodes ran; a part that this build or phone lacks is a problem in the report. */
    fun measure(file: File, options: OnnxOptions, inputs: Map<String, LongTensor>, runs: Int, scratch: File): DelegateReport = try {
        val times = OnnxEngine.open(file, options).use { engine ->
            repeat(WARM_UPS) { engine.run(inputs) }
            List(runs) {
                val start = System.nanoTime()
                engine.run(inputs)
                (System.nanoTime() - start) / 1e6
            }
        }
        DelegateReport(options.delegate, times.sorted()[runs / 2], placement(file, options, scratch) { inputs }, null)
    } catch (error: EdgeKitException) {
        DelegateReport(options.delegate, 0.0, emptyMap(), error)
    }

    /** How many nodes of a pass run where. Its profile lies in [scratch] meanwhile. */
    fun placement(
        file: File,
        options: OnnxOptions,
        scratch: File,
        inputs: (OnnxEngine) -> Map<String, LongTensor>,
    ): Map<String, Int> {
        val profile = File(scratch, "profile-${System.nanoTime()}")
        try {
            return OnnxEngine.open(file, OnnxOptions(options.delegate, options.threads, profile)).use { engine ->
                engine.run(inputs(engine))
                engine.placement()
            }
        } finally {
            // The runtime adds the time to the name.
            scratch.listFiles { each -> each.name.startsWith(profile.name) }?.forEach { it.delete() }
        }
    }
}
