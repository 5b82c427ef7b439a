package edgekit.core

import edgekit.core.bundle.Bundle
import edgekit.core.engine.Engine
import edgekit.core.engine.FloatTensor
import edgekit.core.engine.LongTensor
import edgekit.core.engine.OnnxDelegate
import edgekit.core.engine.OnnxEngine
import edgekit.core.json.Fields
import edgekit.core.json.Json
import edgekit.core.tasks.Answer
import edgekit.core.tasks.Numbers
import edgekit.core.tasks.Query
import edgekit.core.tokenizer.Truncation
import java.io.File
import java.util.concurrent.CountDownLatch
import kotlin.concurrent.thread
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assert.fail
import org.junit.Assume.assumeTrue
import org.junit.Test

/** The answers of bundles equal to those that Python gave with the same files. */
class AnswersTest {
    private val bundles by lazy { Expectations.folder("bundles") }

    private fun expected(folder: File): Fields = Expectations.fields(File(folder, "expected.json"))

    @Test
    fun everyAnswerIsThatOfEdgekitRun() {
        val folders = bundles.listFiles()!!.filter { it.name != "minilm" }.sorted()
        assertTrue("only $folders", folders.size >= 3)
        folders.forEach { answers(it) }
    }

    private fun answers(folder: File) {
        EdgeKitCore.open(File(folder, "bundle")).use { model ->
            for (item in expected(folder).list("answers")) {
                val asked = item.fields("query")
                val where = "${folder.name}: ${asked.text("text").take(40)}"
                try {
                    val made = model.run(query(asked)).json
                    if (item.has("error")) fail("$where gave an answer instead of ${item.text("error")}")
                    assertSame(where, item.raw("answer"), made)
                } catch (error: EdgeKitException) {
                    assertEquals("$where: ${error.message}", item.optionalText("error"), error.code)
                    assertTrue(error.hint.isNotEmpty())
                }
            }
        }
    }

    private fun query(asked: Fields): Query = Query(
        asked.text("text"),
        asked.optionalText("context"),
        if (asked.has("labels")) asked.texts("labels") else emptyList(),
        if (asked.has("choices")) asked.texts("choices") else emptyList(),
        multiLabel = asked.flag("multi_label", false),
        aggregation = asked.optionalText("aggregation") ?: "first",
        topK = if (asked.has("top_k")) asked.count("top_k") else 5,
    )

    /** Equal but for the last digits, which differ between two versions of ONNX Runtime. */
    private fun assertSame(where: String, wanted: Json, made: Json) {
        when (wanted) {
            is Json.Object -> {
                val members = (made as Json.Object).members
                assertEquals(where, wanted.members.keys, members.keys)
                for ((name, value) in wanted.members) assertSame("$where.$name", value, members.getValue(name))
            }
            is Json.Array -> {
                val items = (made as Json.Array).items
                assertEquals(where, wanted.items.size, items.size)
                wanted.items.forEachIndexed { index, value -> assertSame("$where[$index]", value, items[index]) }
            }
            is Json.Number -> {
                val difference = abs(wanted.lexeme.toDouble() - (made as Json.Number).lexeme.toDouble())
                assertTrue("$where: ${wanted.lexeme} and ${made.lexeme}", difference <= 2e-5)
            }
            is Json.Text -> assertEquals(where, wanted.value, (made as Json.Text).value)
            else -> fail("$where holds $wanted")
        }
    }

    @Test
    fun goldensOfTheTinyBundleAreEqual(): Unit = goldens(File(bundles, "sentence-similarity"))

    @Test
    fun goldensOfTheRealMiniLmAreEqual() {
        assumeTrue("the real MiniLM is exported by the slow tests", File(bundles, "minilm").isDirectory)
        goldens(File(bundles, "minilm"))
    }

    /** From the text: the same ids. From the ids: an embedding as near as the manifest's tolerance asks. */
    private fun goldens(folder: File) {
        val goldens = expected(folder).fields("goldens")
        val samples = goldens.list("samples")
        assertTrue(samples.isNotEmpty())
        var worst = 1.0
        EdgeKitCore.open(File(folder, "bundle")).use { model ->
            OnnxEngine.open(model.bundle.artifact("onnx")!!).use { engine ->
                for (sample in samples) {
                    val ids = Expectations.ints(sample.raw("input_ids"))
                    // A golden was cut at the limit, or padded where the graph asks for it.
                    val whole = model.tokenizer.encode(sample.text("text"))
                    val cut = Truncation(model.bundle.manifest.maxLength)
                    val tokens = model.tokenizer.encode(sample.text("text"), truncation = cut)
                    assertEquals(sample.text("text"), ids.asList().take(tokens.size), tokens.ids.asList())
                    val values = LongArray(ids.size) { ids[it].toLong() }
                    val input = LongTensor(values, longArrayOf(1, ids.size.toLong()))
                    val wanted = sample.items("expected").map { (it as Json.Number).lexeme.toFloat() }.toFloatArray()
                    worst = minOf(worst, Numbers.cosine(wanted, engine.run(mapOf("input_ids" to input)).values.single().values))
                    if (whole.size <= model.bundle.manifest.maxLength) {
                        val answer = model.run(sample.text("text")) as Answer.Embedding
                        worst = minOf(worst, Numbers.cosine(wanted, answer.vector))
                    }
                }
            }
        }
        println("goldens of ${folder.name}: ${samples.size} samples, worst cosine $worst")
        assertTrue("worst cosine $worst", worst >= goldens.real("same_artifact"))
    }

    @Test
    fun aRunIsCancelledFromAnotherThread() {
        val folder = File(bundles, "sentence-similarity/bundle")
        EdgeKitCore.open(folder).use { model ->
            model.cancel() // nothing runs: nothing happens
            model.run("A text.")
            val started = CountDownLatch(1)
            var stop = false
            val canceller = thread {
                started.await()
                while (!stop) model.cancel()
            }
            var cancelled = false
            val end = System.nanoTime() + 60_000_000_000
            started.countDown()
            while (!cancelled && System.nanoTime() < end) {
                try {
                    model.run("The train to the coast leaves at seven in the morning.")
                } catch (error: EdgeKitException.Cancelled) {
                    cancelled = true
                }
            }
            stop = true
            canceller.join()
            assertTrue("no run was cancelled in a minute", cancelled)
            model.run("It answers again.")
        }
    }

    @Test
    fun aCancelledQueryDoesNotGoOnWithItsNextPass() {
        val bundle = Bundle.open(File(bundles, "zero-shot-classification/bundle"))
        var passes = 0
        lateinit var model: EdgeKitCore
        val engine = OnnxEngine.open(bundle.artifact("onnx")!!)
        val stopping = object : Engine by engine {
            override fun run(inputs: Map<String, LongTensor>): Map<String, FloatTensor> {
                passes++
                return engine.run(inputs).also { model.cancel() }
            }
        }
        model = EdgeKitCore(bundle, bundle.tokenizer(), stopping)
        model.use {
            val query = Query("A text.", labels = listOf("one", "two", "three"))
            assertThrows(EdgeKitException.Cancelled::class.java) { it.run(query) }
            assertEquals(1, passes)
        }
    }

    @Test
    fun eachPartOfTheRuntimeIsMeasuredOrSaysWhyNot() {
        val scratch = java.nio.file.Files.createTempDirectory("profiles").toFile()
        EdgeKitCore.open(File(bundles, "sentence-similarity/bundle")).use { model ->
            val all = model.delegates(Query("A text."), scratch, runs = 3).associateBy { it.delegate }
            assertEquals(OnnxDelegate.values().toSet(), all.keys)
            val cpu = all.getValue(OnnxDelegate.CPU)
            assertEquals(setOf("CPUExecutionProvider"), cpu.nodes.keys)
            assertTrue("${cpu.nodes} in ${cpu.millis} ms", cpu.nodes.values.single() > 10 && cpu.millis > 0)
            assertEquals(null, cpu.problem)
            // A desktop has no NNAPI: that is said, and the others are measured all the same.
            val nnapi = all.getValue(OnnxDelegate.NNAPI)
            assertTrue("${nnapi.problem}", nnapi.problem is EdgeKitException.Unsupported && nnapi.nodes.isEmpty())
            assertThrows(EdgeKitException.TextRefused::class.java) { model.delegates(Query(""), scratch) }
        }
        assertEquals("no profile is left", 0, scratch.list()!!.size)
        scratch.delete()
    }

    @Test
    fun threadsMayShareAModel() {
        EdgeKitCore.open(File(bundles, "sentence-similarity/bundle")).use { model ->
            val texts = List(40) { "A text with the number $it." }
            val alone = texts.map { (model.run(it) as Answer.Embedding).vector.asList() }
            val together = arrayOfNulls<List<Float>>(texts.size)
            val threads = (0 until 4).map { part ->
                thread {
                    for (at in part until texts.size step 4) {
                        together[at] = (model.run(texts[at]) as Answer.Embedding).vector.asList()
                    }
                }
            }
            threads.forEach { it.join() }
            assertEquals(alone, together.toList())
        }
    }
}
