package edgekit.core.bundle

import edgekit.core.EdgeKitException
import edgekit.core.Expectations
import edgekit.core.json.Fields
import edgekit.core.tokenizer.Tokenizer
import java.io.DataInputStream
import java.io.File
import java.nio.file.Files
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Damaged bundles and tokenizers: a typed error or success, in time, and what Python says too. */
class CorruptionTest {
    private val root by lazy { Expectations.folder("corrupt") }

    private fun verdict(folder: File): String = try {
        Bundle.open(folder)
        "ok"
    } catch (error: EdgeKitException) {
        error.code
    }

    private fun records(name: String): List<ByteArray> =
        DataInputStream(File(root, name).inputStream().buffered()).use { stream ->
            generateSequence { if (stream.available() == 0) null else ByteArray(stream.readInt()).also { stream.readFully(it) } }.toList()
        }

    /** Runs each case with a limit: one that hangs fails by its number. */
    private fun <T> timed(cases: List<ByteArray>, work: (ByteArray) -> T): List<T> {
        val executor = Executors.newCachedThreadPool { Thread(it).apply { isDaemon = true } }
        return cases.mapIndexed { index, case ->
            try {
                executor.submit(Callable { work(case) }).get(20, TimeUnit.SECONDS)
            } catch (error: TimeoutException) {
                throw AssertionError("case $index did not end in 20 s", error)
            }
        }.also { executor.shutdown() }
    }

    @Test
    fun mutatedManifestsAreRefusedAsPythonRefusesThem() {
        val home = Files.createTempDirectory("bundle").toFile()
        try {
            val folder = File(home, "bundle")
            File(root, "bundle").copyRecursively(folder)
            File(root, "outside.txt").copyTo(File(home, "outside.txt"))
            val said = Expectations.texts(Expectations.json(File(root, "manifests.json")))
            val manifest = File(folder, "edgekit.json")
            val made = timed(records("manifests.bin")) {
                manifest.writeBytes(it)
                verdict(folder)
            }
            assertTrue(made.size >= 1000)
            assertEquals(said.size, made.size)
            val wrong = said.indices.filter { said[it] != made[it] }.map { "case $it: ${made[it]} instead of ${said[it]}" }
            assertTrue("${wrong.size} differ: ${wrong.take(20)}", wrong.isEmpty())
            println("mutated manifests: ${made.groupingBy { it }.eachCount()}")
        } finally {
            home.deleteRecursively()
        }
    }

    @Test
    fun damagedFoldersAreRefusedAsPythonRefusesThem() {
        val said = Fields(Expectations.json(File(root, "folders.json")), "folders")
        assertTrue(said.names.size >= 15)
        for (name in said.names) assertEquals(name, said.text(name), verdict(File(root, "folders/$name")))
    }

    @Test
    fun mutatedTokenizersAreRefusedOrWork() {
        val texts = listOf("", "The train  to the coast. 😀 é\u0301 漢字", "[CLS] <s> </s> <mask> NEW\u0000", " ".repeat(300))
        val said = timed(records("tokenizers.bin")) { bytes ->
            try {
                val tokenizer = Tokenizer.read(bytes)
                for (text in texts) tokenizer.decode(tokenizer.encode(text, "pair").ids)
                "ok"
            } catch (error: EdgeKitException) {
                error.code
            }
        }
        assertTrue(said.size >= 1000)
        val counts = said.groupingBy { it }.eachCount()
        println("mutated tokenizers: $counts")
        assertTrue("$counts", counts.keys.containsAll(listOf("ok", "bundle-corrupt", "unsupported")))
        assertTrue("$counts", (counts.keys - setOf("ok", "bundle-corrupt", "unsupported", "text-refused")).isEmpty())
    }

    @Test
    fun namesAreJudgedAsInPython() {
        for (name in listOf("a", "a/b.c", "model.onnx", "é", "a b", "...")) assertEquals(name, null, SafeNames.fault(name))
        val bad = listOf(
            "", "/a", "a/../b", "..", ".", "a//b", "a/", "a\\b", "c:x", "a\u0000", "\u202Ea", "a\n", "\uD800",
            "x".repeat(256), "a/".repeat(600) + "b",
        )
        for (name in bad) assertTrue(name.take(20), SafeNames.fault(name) != null)
    }
}
