package edgekit.core.generation

import edgekit.core.EdgeKitException
import edgekit.core.Expectations
import edgekit.core.bundle.Bundle
import edgekit.core.engine.OnnxRuntime
import edgekit.core.tasks.Sampling
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** A decoder bundle against Python's answers; nothing is drawn, so they are the same. */
class GeneratorTest {
    private val home by lazy { Expectations.folder("decoder") }

    private fun <T> opened(work: (Generator) -> T): T {
        val bundle = Bundle.open(File(home, "bundle"))
        return Generator(bundle, bundle.tokenizer(), OnnxRuntime().openDecoder(bundle)).use(work)
    }

    @Test
    fun answersArePythons() = opened { model ->
        for (expected in Expectations.fields(File(home, "expected.json")).list("answers")) {
            val prompt = if (expected.flag("chat")) {
                model.chat!!.render(listOf(Turn("user", expected.text("prompt"))))
            } else {
                expected.text("prompt")
            }
            val pieces = StringBuilder()
            val most = expected.count("most")
            val answer = model.generate(prompt, Sampling(), most, raw = expected.flag("chat")) { pieces.append(it) }
            assertEquals(expected.text("prompt"), expected.text("text"), answer.text)
            assertEquals(answer.text, pieces.toString())
            assertEquals(expected.count("tokens"), answer.tokens)
            assertEquals(expected.text("ended_by"), answer.endedBy)
        }
    }

    @Test
    fun theGoldensAreReplayed() = opened { model ->
        var told = 0
        val all = model.selfTest { told++ }
        assertTrue("${all.minOf { it.cosine }}", all.isNotEmpty() && all.all { it.passed })
        assertEquals(all.size, told)
    }

    @Test
    fun anAnswerIsCancelledAndTheNextOneIsWhole() = opened { model ->
        val whole = model.generate("what is", Sampling(), 20).text
        val said = StringBuilder()
        assertThrows(EdgeKitException.Cancelled::class.java) {
            model.generate("a", Sampling(temperature = 3.0, seed = 1), 200) {
                said.append(it)
                model.cancel()
            }
        }
        assertTrue(said.isNotEmpty())
        assertEquals(whole, model.generate("what is", Sampling(), 20).text)
    }

    @Test
    fun promptsThatDoNotFitAreRefused() = opened { model ->
        assertThrows(EdgeKitException.TextRefused::class.java) { model.generate("", raw = true) }
        assertThrows(EdgeKitException.TextRefused::class.java) { model.generate("word ".repeat(2000)) }
        assertThrows(EdgeKitException.SpecError::class.java) { model.generate("a", most = 0) }
        assertThrows(EdgeKitException.SpecError::class.java) { model.generate("a", Sampling(topP = 0.0)) }
        assertTrue(model.generate("a", Sampling(), 1000).endedBy in setOf("context", "eos"))
    }
}
