package edgekit.sdk

import edgekit.core.EdgeKitCore
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.bundle.Replayed
import edgekit.core.engine.EngineFactory
import edgekit.core.generation.Generator
import java.io.Closeable

/** A bundle's model in memory: one that answers in one pass, or one that generates. */
internal class Loaded(val bundle: Bundle, private val engines: EngineFactory) : Closeable {
    @Volatile private var core: EdgeKitCore? = null

    @Volatile private var generator: Generator? = null

    fun load() {
        if (bundle.manifest.generates) generator = Generator.open(bundle, engines) else core = EdgeKitCore.open(bundle, engines)
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
        if (bundle.manifest.generates) "Use generate or chat." else "Use ask or run.",
    )
}
