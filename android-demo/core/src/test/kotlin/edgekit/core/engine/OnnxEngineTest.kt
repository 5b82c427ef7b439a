package edgekit.core.engine

import edgekit.core.EdgeKitException
import edgekit.core.Expectations
import java.io.File
import java.nio.file.Files
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class OnnxEngineTest {
    private val model by lazy { File(Expectations.folder("bundles"), "sentence-similarity/bundle/model.onnx") }
    private val input = mapOf("input_ids" to LongTensor(longArrayOf(2, 5, 6, 3), longArrayOf(1, 4)))

    @Test
    fun theReportSaysWhatWasAsked() {
        OnnxEngine.open(model, OnnxOptions(threads = 1)).use { engine ->
            assertEquals("onnx", engine.report.runtime)
            assertEquals("model.onnx", engine.report.file)
            assertEquals("cpu", engine.report.delegate)
            assertEquals(1, engine.report.threads)
            assertTrue(engine.report.version.matches(Regex("""\d+\.\d+\.\d+""")))
            assertTrue(engine.report.loadMillis > 0)
            assertEquals("", engine.report.warning)
        }
    }

    @Test
    fun nnapiOnAJvmIsRefused() {
        val file = model
        val error = assertThrows(EdgeKitException.Unsupported::class.java) {
            OnnxEngine.open(file, OnnxOptions(OnnxDelegate.NNAPI))
        }
        assertEquals("unsupported", error.code)
        assertTrue(error.message!!.contains("NNAPI"))
    }

    @Test
    fun xnnpackRunsOrIsRefused() {
        try {
            OnnxEngine.open(model, OnnxOptions(OnnxDelegate.XNNPACK, threads = 1)).use { assertTrue(it.run(input).isNotEmpty()) }
        } catch (error: EdgeKitException.Unsupported) {
            assertTrue(error.message!!.contains("XNNPACK"))
        }
    }

    @Test
    fun thePlacementOfEveryNodeIsKnown() {
        val folder = Files.createTempDirectory("profile").toFile()
        try {
            OnnxEngine.open(model, OnnxOptions(profile = File(folder, "run"))).use { engine ->
                engine.run(input)
                val placed = engine.placement()
                assertEquals(setOf("CPUExecutionProvider"), placed.keys)
                assertTrue("$placed", placed.values.single() > 10)
            }
        } finally {
            folder.deleteRecursively()
        }
    }

    @Test
    fun aFileThatIsNoModelIsATypedError() {
        val file = File.createTempFile("text", ".onnx").also { it.writeText("not a model") }
        try {
            assertThrows(EdgeKitException.InternalError::class.java) { OnnxEngine.open(file) }
            file.delete()
            assertThrows(EdgeKitException.InternalError::class.java) { OnnxEngine.open(file) }
        } finally {
            file.delete()
        }
    }

    @Test
    fun wrongInputsAreATypedError() {
        OnnxEngine.open(model).use { engine ->
            assertThrows(EdgeKitException.InternalError::class.java) { engine.run(emptyMap()) }
            val huge = mapOf("input_ids" to LongTensor(longArrayOf(2, 1L shl 40), longArrayOf(1, 2)))
            assertThrows(EdgeKitException.InternalError::class.java) { engine.run(huge) }
            val wrong = mapOf("input_ids" to LongTensor(longArrayOf(2), longArrayOf(1, 2)))
            assertThrows(EdgeKitException.InternalError::class.java) { engine.run(wrong) }
            assertTrue(engine.run(input).isNotEmpty())
        }
    }

    @Test
    fun aClosedEngineSaysSo() {
        val engine = OnnxEngine.open(model)
        engine.close()
        engine.close()
        engine.cancel()
        assertThrows(EdgeKitException.SpecError::class.java) { engine.run(input) }
        assertThrows(EdgeKitException.SpecError::class.java) { engine.placement() }
    }
}
