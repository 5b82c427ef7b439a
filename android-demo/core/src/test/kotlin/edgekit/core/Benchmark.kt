package edgekit.core

import edgekit.core.tokenizer.Tokenizer
import java.io.File
import java.lang.management.ManagementFactory

/**
 * Prints the speed of tokenizers: `Benchmark FOLDER`, as `python -m tests.android.speed` starts it.
 *
 * Counted is the processor time of the one thread that works, in the best round of four seconds.
 */
object Benchmark {
    private const val SECONDS = 4.0

    private fun seconds(): Double = ManagementFactory.getThreadMXBean().currentThreadCpuTime / 1e9

    @JvmStatic
    fun main(words: Array<String>) {
        val folder = File(words[0])
        val text = Expectations.texts(Expectations.json(File(folder, "prose.json")))
        val bytes = text.sumOf { it.toByteArray().size }
        for (each in folder.listFiles()!!.filter { it.isDirectory }.sorted()) {
            val json = File(each, "tokenizer.json").readBytes()
            val before = seconds()
            val tokenizer = Tokenizer.read(json)
            val load = (seconds() - before) * 1e3
            var best = Double.MAX_VALUE
            val end = seconds() + SECONDS
            while (seconds() < end) {
                val start = seconds()
                for (line in text) tokenizer.encode(line)
                best = minOf(best, seconds() - start)
            }
            println("%-14s %6.2f MB/s, %d bytes of text, loaded in %.0f ms".format(each.name, bytes / best / 1e6, bytes, load))
        }
    }
}
