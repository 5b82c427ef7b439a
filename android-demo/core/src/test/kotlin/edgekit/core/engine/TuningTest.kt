package edgekit.core.engine

import edgekit.core.EdgeKitCore
import edgekit.core.EdgeKitException
import edgekit.core.Expectations
import edgekit.core.bundle.Bundle
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** The file that `edgekit bench --tuning` wrote: four threads are best, two come next. */
class TuningTest {
    private val home by lazy { Expectations.folder("tuning") }
    private val bundle by lazy { Bundle.open(File(home, "bundle")) }

    private fun read(name: String) = Tuning.read(File(home, name).readBytes())

    @Test
    fun theFastestThatThePhoneHas() {
        val tuning = read("tuning.json")
        assertEquals(4, tuning.threads(bundle, "onnx", processors = 8))
        assertEquals(4, tuning.threads(bundle, "onnx", processors = 4))
        assertEquals(2, tuning.threads(bundle, "onnx", processors = 3))
        assertEquals(1, tuning.threads(bundle, "onnx", processors = 1))
        assertEquals(0, tuning.threads(bundle, "another", processors = 8))
        assertEquals("other bytes", 0, read("other.json").threads(bundle, "onnx", processors = 8))
    }

    @Test
    fun theEngineRunsWithThem() {
        val tuned = OnnxRuntime().tuned(read("tuning.json"))
        EdgeKitCore.open(bundle, tuned).use { assertEquals(read("tuning.json").threads(bundle, "onnx"), it.report.threads) }
        EdgeKitCore.open(bundle, OnnxRuntime()).use { assertEquals(Tuning.usual(), it.report.threads) }
        // What the app asks for itself comes first.
        val asked = OnnxRuntime(OnnxOptions(threads = 3)).tuned(read("tuning.json"))
        EdgeKitCore.open(bundle, asked).use { assertEquals(3, it.report.threads) }
    }

    @Test
    fun withoutAFileHalfOfTheProcessors() {
        assertEquals(listOf(1, 1, 1, 2, 4, 4), listOf(1, 2, 3, 4, 8, 16).map { Tuning.usual(it) })
    }

    @Test
    fun aBrokenFileIsATypedError() {
        val whole = File(home, "tuning.json").readText()
        val broken = listOf(
            "", "[]", "{}", whole.take(whole.length / 2), whole.replace("edgekit-tuning", "edgekit-bench"),
            whole.replace(Regex("\"schema_version\": ?1"), "\"schema_version\":2"),
            whole.replace(Regex("\"threads\": ?4"), "\"threads\":0"),
            whole.replace(Regex("\"onnx\": ?4"), "\"onnx\":\"four\""),
        )
        for (text in broken) {
            val error = assertThrows(text.take(60), EdgeKitException.SpecError::class.java) { Tuning.read(text.toByteArray()) }
            assertTrue("edgekit bench" in error.hint)
        }
        assertThrows(EdgeKitException.SpecError::class.java) { Tuning.read(ByteArray(2 shl 20)) }
    }
}
