package edgekit.core

import edgekit.core.bundle.Bundle
import edgekit.core.engine.OnnxRuntime
import edgekit.core.generation.Generator
import java.io.File
import java.lang.management.ManagementFactory

/**
 * Prints how long a new process takes to its first answer: `ColdStart BUNDLE TEXT`, as
 * `python -m tests.android.cold_start` starts it. One line of milliseconds: the JVM up to here, the
 * bundle read and checked, tokenizer and model loaded, the first answer, and all together.
 */
object ColdStart {
    @JvmStatic
    fun main(words: Array<String>) {
        val begun = ManagementFactory.getRuntimeMXBean().startTime
        val jvm = (System.currentTimeMillis() - begun).toDouble()
        val start = System.nanoTime()
        val bundle = Bundle.open(File(words[0]))
        val checked = System.nanoTime()
        val (loaded, done) = if (bundle.manifest.generates) generated(bundle, words[1]) else answered(bundle, words[1])
        val steps = listOf(checked - start, loaded - checked, done - loaded).map { it / 1e6 }
        println((listOf(jvm) + steps + (jvm + steps.sum())).joinToString(" ") { "%.1f".format(java.util.Locale.ROOT, it) })
    }

    private fun answered(bundle: Bundle, text: String): Pair<Long, Long> =
        EdgeKitCore.open(bundle, OnnxRuntime()).use { model ->
            val loaded = System.nanoTime()
            model.run(text)
            loaded to System.nanoTime()
        }

    /** Up to the first token: the answer is shown as it grows. */
    private fun generated(bundle: Bundle, text: String): Pair<Long, Long> =
        Generator.open(bundle, OnnxRuntime()).use { model ->
            val loaded = System.nanoTime()
            model.generate(text, most = 1)
            loaded to System.nanoTime()
        }
}
