package edgekit.core.runner

import edgekit.core.Expectations
import edgekit.core.json.Fields
import edgekit.core.json.JsonReader
import java.io.File
import java.nio.file.Files
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

/** Jobs that Python wrote; Python reads the answers and events that are left here. */
class RunnerTest {
    private val jobs by lazy { Expectations.folder("jobs") }

    private fun run(folder: File, job: String = "job"): Pair<Int, List<Fields>> {
        val lines = ArrayList<String>()
        val status = Runner(folder) { lines.add(it) }.run(job)
        File(folder, "$job.events").writeText(lines.joinToString("") { "$it\n" })
        return status to lines.map { Fields(JsonReader.read(it.toByteArray()), "an event") }
    }

    @Test
    fun everyModeRunsToItsEnd() {
        for (mode in listOf("goldens", "latency", "load")) {
            val (status, events) = run(File(jobs, mode))
            assertEquals("$mode: ${events.last().optionalText("message")}", 0, status)
            assertEquals("hello", events.first().text("event"))
            assertEquals("done", events.last().text("event"))
            assertEquals(mode != "load", File(jobs, "$mode/outputs").isFile)
            assertFalse(File(jobs, "$mode/outputs.partial").exists())
            assertFalse(File(jobs, mode).list()!!.any { it.startsWith("profile") })
            val placed = events.filter { it.text("event") == "placement" }
            assertEquals(mode, if (mode == "goldens") 1 else 0, placed.size)
            for (each in placed) {
                assertEquals("cpu", each.text("delegate"))
                assertEquals(setOf("CPUExecutionProvider"), each.fields("nodes").names.toSet())
            }
        }
    }

    @Test
    fun everyModeOfADecoderRunsToItsEnd() {
        for (mode in listOf("goldens", "load", "generate")) {
            val (status, events) = run(File(jobs, "decoder-$mode"))
            assertEquals("$mode: ${events.last().optionalText("message")}", 0, status)
            assertEquals("done", events.last().text("event"))
        }
    }

    /** A copy of a sound job's folder, changed. */
    private fun changed(of: String = "goldens", change: (File) -> Unit): Pair<Int, String> {
        val folder = Files.createTempDirectory("job").toFile()
        try {
            File(jobs, of).listFiles()!!.forEach { it.copyTo(File(folder, it.name)) }
            File(folder, "outputs").delete()
            change(folder)
            val (status, events) = run(folder)
            assertEquals("error", events.last().text("event"))
            assertFalse("no outputs", File(folder, "outputs").exists() || File(folder, "outputs.partial").exists())
            return status to events.last().text("code")
        } finally {
            folder.deleteRecursively()
        }
    }

    private fun job(of: String = "goldens", change: (String) -> String) =
        changed(of) { File(it, "job").writeText(change(File(it, "job").readText())) }

    @Test
    fun brokenJobsAreRefused() {
        val refused = 64 to "job"
        assertEquals(refused, job { "" })
        assertEquals(refused, job { it.replace("edgekit-job 2", "edgekit-job 4") })
        assertEquals(refused, job { it.replace("model model.onnx", "model ../model.onnx") })
        assertEquals(refused, job { it.replace("inputs inputs", "inputs model.onnx") })
        assertEquals(refused, job { it.replace("runtime onnx", "runtime executorch") })
        assertEquals(refused, job { it.replace("mode goldens", "mode everything") })
        assertEquals(refused, job { it.replace("runs 3", "runs 0") })
        assertEquals(refused, job { it.replace("runs 3", "runs 99999999999999999999") })
        assertEquals(refused, job { it + "runs 3\n" })
        assertEquals(refused, job { it + "unknown 1\n" })
        assertEquals(refused, job { it.trimEnd() })
        assertEquals(refused, job { it + "threads ä\n" })
        assertEquals(refused, job { it + "x".repeat(5000) })
        assertEquals(64 to "cores", job { it + "cores 0\n" })
    }

    @Test
    fun brokenJobsOfDecodersAreRefused() {
        val refused = 64 to "job"
        val decoder = { change: (String) -> String -> job("decoder-generate", change) }
        assertEquals(refused, decoder { it.replace("edgekit-job 3", "edgekit-job 2") })
        assertEquals(refused, decoder { it.replace("mode generate", "mode latency") })
        assertEquals(refused, decoder { it.replace("mode generate", "mode goldens") })
        assertEquals(refused, decoder { it.replace(Regex("context .*\n"), "") })
        assertEquals(refused, decoder { it.replace(Regex("context .*\n"), "context 9999999\n") })
        assertEquals(refused, decoder { it.replace(Regex("tokens .*\n"), "") })
        assertEquals(refused, decoder { it + "eos\n" })
        assertEquals(refused, decoder { it + "eos 1 x\n" })
        assertEquals(refused, decoder { it + "eos 1073741824\n" })
        assertEquals(refused, decoder { it + "eos" + " 1".repeat(17) + "\n" })
        // The longest of the prompts leaves no room for an answer; another has an unknown id.
        assertEquals(65 to "inputs", decoder { it.replace(Regex("context .*\n"), "context 7\n") })
        assertEquals(65 to "inputs", changed("decoder-generate") { folder ->
            val bytes = File(folder, "inputs").readBytes()
            File(folder, "inputs").writeBytes(bytes.also { it[it.size - 7] = 127 })
        })
        // A model that is no decoder.
        assertEquals(65 to "inputs", changed("decoder-generate") { folder ->
            File(jobs, "goldens/model.onnx").copyTo(File(folder, "model.onnx"), overwrite = true)
        })
    }

    @Test
    fun brokenFilesAreRefused() {
        assertEquals(66 to "missing", changed { File(it, "model.onnx").delete() })
        assertEquals(66 to "missing", changed { File(it, "job").delete() })
        assertEquals(66 to "missing", changed { File(it, "inputs").delete() })
        assertEquals(65 to "model", changed { File(it, "model.onnx").writeText("no model") })
        val inputs = { change: (ByteArray) -> ByteArray ->
            changed { File(it, "inputs").writeBytes(change(File(it, "inputs").readBytes())) }
        }
        assertEquals(65 to "stream", inputs { it.copyOf(it.size - 1) })
        assertEquals(65 to "stream", inputs { it + 0 })
        assertEquals(65 to "stream", inputs { ByteArray(0) })
        // The sizes of the first tensor: too many samples, too large a dimension.
        assertEquals(65 to "stream", inputs { it.also { bytes -> bytes[15] = 127 } })
        assertEquals(65 to "stream", inputs { it.also { bytes -> bytes[28 + 7] = 127 } })
        assertEquals(65 to "inputs", inputs { it.also { bytes -> bytes[20] = 1 } })
        assertTrue(File(jobs, "goldens/inputs").length() > 100)
    }
}
