package edgekit.core.runner

import java.io.File
import java.io.IOException

internal enum class Mode { GOLDENS, LATENCY, LOAD, GENERATE }

/** A job as edgekit/device/job.py writes it; the native runner's job.cpp holds the same bounds. */
internal class JobFile(
    val mode: Mode,
    val model: String,
    val inputs: String,
    val outputs: String?,
    val threads: Int,
    val cores: String?,
    val warmUps: Long,
    val runs: Long,
    val milliseconds: Long,
    /** Of a decoder, whose jobs are of version 3: the most tokens in all; 0 says that the model is none. */
    val context: Int,
    val tokens: Int,
    val eos: List<Long>,
) {
    companion object {
        private const val HEADER = "edgekit-job 2"
        private const val DECODER_HEADER = "edgekit-job 3"
        private const val MOST_CONTEXT = 1L shl 20
        private const val MOST_TOKENS = 2048L
        private const val MOST_EOS = 16
        private const val MOST_ID = (1L shl 30) - 1
        private const val MOST_BYTES = 4096L
        private const val MOST_THREADS = 256L
        private const val MOST_WARM_UPS = 10_000L
        private const val MOST_RUNS = 10_000_000L
        private const val MOST_MILLISECONDS = 86_400_000L
        private val NAME = Regex("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
        private val NUMBER = Regex("[0-9]{1,18}")
        private val KEYS = setOf(
            "mode", "runtime", "model", "inputs", "outputs", "threads", "cores", "warm_ups", "runs", "milliseconds",
            "context", "tokens", "eos",
        )

        fun read(file: File, runtime: String): JobFile {
            val lines = lines(text(file))
            val keys = keys(lines.drop(1))
            for (key in listOf("mode", "runtime", "model", "inputs")) if (key !in keys) refuse("no line for $key")
            if (keys["runtime"] != runtime) refuse("it is for ${keys["runtime"]}, this runner has $runtime")
            val mode = Mode.values().firstOrNull { it.name.lowercase() == keys["mode"] } ?: refuse("unknown mode ${keys["mode"]}")
            val names = listOf("model", "inputs", "outputs").mapNotNull { key -> keys[key]?.let { name(it, key) } }
            if (names.toSet().size != names.size) refuse("two files of one name")
            if (mode == Mode.GOLDENS && "outputs" !in keys) refuse("goldens without outputs")
            if (mode == Mode.LOAD && "outputs" in keys) refuse("loading writes no outputs")
            refuseContradictions(keys, mode, lines[0] == HEADER)
            return JobFile(
                mode,
                keys.getValue("model"),
                keys.getValue("inputs"),
                keys["outputs"],
                number(keys, "threads", 1, MOST_THREADS, 0).toInt(),
                keys["cores"],
                number(keys, "warm_ups", 0, MOST_WARM_UPS, 0),
                number(keys, "runs", 1, MOST_RUNS, 1),
                number(keys, "milliseconds", 0, MOST_MILLISECONDS, 0),
                number(keys, "context", 1, MOST_CONTEXT, 0).toInt(),
                number(keys, "tokens", 1, MOST_TOKENS, 0).toInt(),
                ids(keys["eos"]),
            )
        }

        private fun refuseContradictions(keys: Map<String, String>, mode: Mode, version2: Boolean) {
            val decoding = listOf("context", "tokens", "eos").filter { it in keys }
            if (version2 && (mode == Mode.GENERATE || decoding.isNotEmpty())) refuse("decoders need $DECODER_HEADER")
            if (mode == Mode.LATENCY && "context" in keys) refuse("a decoder is timed by generate")
            if (mode == Mode.GENERATE && ("context" !in keys || "tokens" !in keys)) refuse("generate needs context and tokens")
            if (mode != Mode.GENERATE && ("tokens" in keys || "eos" in keys)) refuse("tokens and eos are of generate")
        }

        private fun ids(text: String?): List<Long> {
            val words = text?.split(' ') ?: return emptyList()
            if (words.size > MOST_EOS) refuse("more than $MOST_EOS eos")
            return words.map { number(mapOf("eos" to it), "eos", 0, MOST_ID, 0) }
        }

        private fun text(file: File): String = try {
            if (!file.isFile) throw RunnerFailure("missing", "${file.name} is not a regular file")
            if (file.length() > MOST_BYTES) refuse("more than $MOST_BYTES bytes")
            String(file.readBytes(), Charsets.ISO_8859_1)
        } catch (error: IOException) {
            throw RunnerFailure("missing", "cannot open ${file.name}: $error")
        }

        private fun lines(text: String): List<String> {
            if (text.any { it != '\n' && it !in ' '..'~' }) refuse("a byte that is not printable ASCII")
            if (text.isNotEmpty() && !text.endsWith('\n')) refuse("the last line does not end")
            val lines = text.removeSuffix("\n").split('\n')
            if (lines[0] != HEADER && lines[0] != DECODER_HEADER) refuse("the first line is not $HEADER or 3")
            return lines
        }

        private fun keys(lines: List<String>): Map<String, String> {
            val keys = LinkedHashMap<String, String>()
            for (line in lines) {
                val key = line.substringBefore(' ')
                if (' ' !in line) refuse("a line without a value: $line")
                if (key !in KEYS) refuse("unknown key $key")
                if (keys.put(key, line.substringAfter(' ')) != null) refuse("two lines for $key")
            }
            return keys
        }

        private fun name(text: String, what: String): String =
            if (NAME.matches(text)) text else refuse("$what takes a plain file name, not $text")

        private fun number(keys: Map<String, String>, key: String, least: Long, most: Long, absent: Long): Long {
            val text = keys[key] ?: return absent
            return text.takeIf { NUMBER.matches(it) }?.toLong()?.takeIf { it in least..most }
                ?: refuse("$key takes a number from $least to $most, not $text")
        }

        private fun refuse(why: String): Nothing = throw RunnerFailure("job", "job file: $why")
    }
}
