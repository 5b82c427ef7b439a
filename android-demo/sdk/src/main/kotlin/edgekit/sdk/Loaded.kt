package edgekit.sdk

import edgekit.core.EdgeKitCore
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.bundle.Replayed
import edgekit.core.engine.EngineFactory
import edgekit.core.generation.Generator
import java.io.Closeable

/** A bundle's model in memory: one that answers in one pass, or a decoder. */
internal class Loaded(val bundle: Bundle, private val engines: EngineFactory) : Closeable {
    private val isDecoder = bundle.manifest.task == "text-generation"

    @Volatile private var core: EdgeKitCore? = null

    @Volatile private var generator: Generator? = null

    fun load() {
        if (isDecoder) generator = Generator(bundle, bundle.tokenizer(), engines.openDecoder(bundle)) else core = EdgeKitCore.open(bundle, engines)
    }

    fun core(): EdgeKitCore = core ?: throw other("run")

    fun generator(): Generator = generator ?: throw other("generate")

    fun selfTest(onEach: (Replayed) -> Unit): List<Replayed> = generator?.selfTest(onEach) ?: core().selfTest(onEach)

    fun cancel() {
        core?.cancel()
        generator?.cancel()
    }

    override fun close() {
        core?.close()
        generator?.close()
    }

    private fun other(call: String) = EdgeKitException.SpecError(
        "$call is not for the task ${bundle.manifest.task}",
        if (isDecoder) "Use generate or chat." else "Use ask or run.",
    )
}
