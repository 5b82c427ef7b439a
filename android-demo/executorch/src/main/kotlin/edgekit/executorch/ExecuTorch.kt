package edgekit.executorch

import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.bundle.TensorSpec
import edgekit.core.engine.Engine
import edgekit.core.engine.EngineFactory
import edgekit.core.engine.EngineReport
import edgekit.core.engine.FloatTensor
import edgekit.core.engine.LongTensor
import edgekit.core.engine.Tuning
import java.util.concurrent.atomic.AtomicBoolean
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/**
 * ExecuTorch for the bundle's .pte: `EdgeKit.open(context, source, ExecuTorch())`.
 *
 * @param threads how many; 0 leaves it to the tuning file, or to [Tuning.usual]
 */
public class ExecuTorch @JvmOverloads constructor(
    private val threads: Int = 0,
    private val tuning: Tuning? = null,
) : EngineFactory {
    override fun tuned(tuning: Tuning): EngineFactory = ExecuTorch(threads, tuning)

    override fun open(bundle: Bundle): Engine {
        val file = EngineFactory.artifact(bundle, ExecuTorchEngine.NAME)
        val manifest = bundle.manifest
        val start = System.nanoTime()
        val chosen = chosen(bundle)
        val module = try {
            // Mapped: read as a whole the weights would lie in memory beside the system's cache of them.
            Module.load(file.path, Module.LOAD_MODE_MMAP, chosen)
        } catch (error: LinkageError) {
            throw EdgeKitException.Unavailable(
                "ExecuTorch is not in this app, or not for this processor: $error",
                "Add org.pytorch:executorch-android to the app; it has arm64-v8a and x86_64.",
                error,
            )
        } catch (error: RuntimeException) {
            throw EdgeKitException.InternalError("ExecuTorch cannot load ${file.name}: ${error.message}", error)
        }
        val millis = (System.nanoTime() - start) / 1e6
        val delegate = manifest.artifacts.first { it.runtime == ExecuTorchEngine.NAME }.delegate
        val report = EngineReport(ExecuTorchEngine.NAME, "", file.name, delegate, chosen, millis, "")
        return ExecuTorchEngine(module, manifest.inputs, manifest.outputs, report)
    }

    private fun chosen(bundle: Bundle): Int {
        if (threads > 0) return threads
        val found = tuning?.threads(bundle, ExecuTorchEngine.NAME) ?: 0
        return if (found > 0) found else Tuning.usual()
    }
}

/** A loaded .pte. A pass cannot be stopped in its middle: [cancel] drops its answer when it is done. */
public class ExecuTorchEngine internal constructor(
    private val module: Module,
    private val inputs: List<TensorSpec>,
    private val outputs: List<TensorSpec>,
    override val report: EngineReport,
) : Engine {
    private val lock = Any()
    private var closed = false
    private val cancelled = AtomicBoolean()

    override fun run(inputs: Map<String, LongTensor>): Map<String, FloatTensor> = synchronized(lock) {
        if (closed) throw EdgeKitException.SpecError("the engine is closed", "Open it again.")
        cancelled.set(false)
        val given = this.inputs.map { spec ->
            val tensor = inputs[spec.name]
                ?: throw EdgeKitException.InternalError("${report.file} wants an input ${spec.name}")
            EValue.from(Tensor.fromBlob(tensor.values, tensor.shape))
        }
        val made = try {
            module.forward(*given.toTypedArray())
        } catch (error: RuntimeException) {
            throw EdgeKitException.InternalError("ExecuTorch failed on ${report.file}: ${error.message}", error)
        }
        if (cancelled.get()) throw EdgeKitException.Cancelled("the run of ${report.file} was cancelled")
        if (made.size != outputs.size || made.any { !it.isTensor }) {
            throw EdgeKitException.InternalError("${report.file} gives ${made.size} outputs, not ${outputs.size} tensors")
        }
        outputs.indices.associate { outputs[it].name to floats(made[it].toTensor()) }
    }

    override fun cancel(): Unit = cancelled.set(true)

    override fun close(): Unit = synchronized(lock) {
        if (!closed) module.destroy()
        closed = true
    }

    private fun floats(tensor: Tensor): FloatTensor = try {
        FloatTensor(tensor.dataAsFloatArray, tensor.shape())
    } catch (error: IllegalStateException) {
        throw EdgeKitException.InternalError("${report.file} gives something else than float32", error)
    }

    internal companion object {
        const val NAME = "executorch"
    }
}
