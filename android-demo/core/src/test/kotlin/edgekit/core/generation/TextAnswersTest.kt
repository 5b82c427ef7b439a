package edgekit.core.generation

import edgekit.core.EdgeKitException
import edgekit.core.Expectations
import edgekit.core.bundle.Bundle
import edgekit.core.engine.OnnxRuntime
import edgekit.core.json.Fields
import edgekit.core.tasks.Sampling
import java.io.File
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assert.fail
import org.junit.Test

/** An encoder-decoder against Python's answers; nothing is drawn, so they are the same. */
class TextAnswersTest {
    private val home by lazy { Expectations.folder("text") }
    private val expected by lazy { Expectations.fields(File(home, "expected.json")) }

    private fun <T> opened(work: (Generator) -> T): T =
        Generator.open(Bundle.open(File(home, "bundle")), OnnxRuntime()).use(work)

    @Test
    fun answersAndRefusalsArePythons() = opened { model ->
        val ends = HashSet<String>()
        for (asked in expected.list("answers")) {
            val text = asked.text("text")
            val pieces = StringBuilder()
            try {
                val answer = model.generate(text, Sampling(), asked.count("most")) { pieces.append(it) }
                if (asked.has("error")) fail("\"$text\" was answered, Python says ${asked.text("error")}")
                assertEquals(text, asked.text("answer"), answer.text)
                assertEquals(answer.text, pieces.toString())
                assertEquals(text, asked.count("tokens"), answer.tokens)
                assertEquals(text, asked.text("ended_by"), answer.endedBy)
                ends.add(answer.endedBy)
            } catch (error: EdgeKitException) {
                assertEquals("$text: ${error.message}", asked.optionalText("error"), error.code)
            }
        }
        assertTrue("$ends", ends.size > 1)
        assertEquals(2, model.bundle.manifest.beams)
    }

    @Test
    fun theGoldensAreReplayed() = opened { model ->
        val all = model.selfTest()
        assertTrue("${all.minOf { it.cosine }}", all.isNotEmpty() && all.all { it.passed })
    }

    @Test
    fun anAnswerIsCancelledAndTheNextOneIsWhole() = opened { model ->
        val whole = model.generate("the old dog", Sampling(), 20).text
        assertThrows(EdgeKitException.Cancelled::class.java) { model.generate("a", Sampling(), 30) { model.cancel() } }
        assertEquals(whole, model.generate("the old dog", Sampling(), 20).text)
    }

    @Test
    fun whatTheCacheHoldsIsReplaced() {
        val bundle = Bundle.open(File(home, "bundle"))
        (OnnxRuntime().openDecoder(bundle) as TextDecoder).use { decoder ->
            assertThrows(EdgeKitException.SpecError::class.java) { decoder.feed(intArrayOf(0), 0) }
            decoder.read(intArrayOf(20, 21, 22, 1))
            val at = decoder.feed(intArrayOf(0, 30, 31), 0)
            decoder.feed(intArrayOf(40, 41), 3)
            decoder.feed(intArrayOf(50), 1)
            // One at a time or together, over rows that were replaced: the same.
            decoder.feed(intArrayOf(30), 1)
            assertArrayEquals(at, decoder.feed(intArrayOf(31), 2), 1e-4f)
            decoder.read(intArrayOf(23, 1))
            assertTrue(decoder.feed(intArrayOf(0, 30, 31), 0).toList() != at.toList())
            decoder.close()
            assertThrows(EdgeKitException.SpecError::class.java) { decoder.read(intArrayOf(1)) }
        }
    }

    @Test
    fun aBundleWithoutItsEncoderIsRefused() {
        val copy = File(home, "lame")
        File(home, "bundle").copyRecursively(copy, overwrite = true)
        File(copy, "encoder_model.onnx").delete()
        assertThrows(EdgeKitException.BundleCorrupt::class.java) { Bundle.open(copy) }
        copy.deleteRecursively()
    }

    @Test
    fun rulesForbidWhatPythonsForbid() {
        for (case in expected.list("masks")) {
            val said = case.fields("rules")
            val rules = Rules(
                start = ids(said, "start"),
                ends = ids(case, "eos"),
                first = id(said, "first"),
                last = id(said, "last"),
                suppressed = ids(said, "suppressed"),
                suppressedFirst = ids(said, "suppressed_first"),
                banned = said.items("banned").map { Expectations.ints(it) },
                noRepeat = said.count("no_repeat"),
                least = said.count("least"),
            )
            val left = rules.allowed(FloatArray(case.count("size")), ids(case, "ids"), case.count("longest"))
            val forbidden = left.indices.filter { left[it] < -1e29f }
            assertEquals("${case.raw("rules")} ${case.raw("ids")}", ids(case, "forbidden").toList(), forbidden)
        }
    }

    private fun ids(fields: Fields, name: String): IntArray = Expectations.ints(fields.raw(name))

    private fun id(fields: Fields, name: String): Int? = if (fields.has(name)) fields.count(name) else null
}
