package edgekit.core.runner

import edgekit.core.engine.FloatTensor
import edgekit.core.engine.LongTensor
import edgekit.core.engine.OnnxOptions
import edgekit.core.generation.OnnxDecoder
import java.io.File
import kotlin.math.ceil

/** The jobs of a decoder: texts read to logits, greedy answers timed, loading up to a first pass. */
internal class DecoderWork(
    private val folder: File,
    private val job: JobFile,
    private val samples: List<List<LongTensor>>,
    private val options: OnnxOptions,
    private val events: Events,
    private val heartbeat: Events.Heartbeat,
    private val memory: () -> Unit,
) {
    fun run(): Done = when (job.mode) {
        Mode.GOLDENS -> goldens()
        Mode.LOAD -> load()
        Mode.GENERATE -> generate()
        Mode.LATENCY -> error("a decoder is timed by generate") // JobFile refuses it
    }

    private class Opened(val decoder: OnnxDecoder, val millis: Double)

    private fun open(): Opened {
        val start = System.nanoTime()
        return Opened(OnnxDecoder.open(File(folder, job.model), job.context, options), millisSince(start))
    }

    private fun loaded(index: Long, cold: Boolean, millis: Double, vararg more: Pair<String, Any?>) = events.send(
        "loaded", "index" to index, "cold" to cold, "ms" to millis, "open_ms" to millis, "prepare_ms" to null,
        "threads" to maxOf(job.threads, 1), *more,
    )

    private fun ready(): OnnxDecoder = open().also { loaded(0, false, it.millis) }.decoder

    private fun goldens(): Done = ready().use { decoder ->
        TensorStream.Writer(File(folder, job.outputs!!), samples.size).use { writer ->
            samples.forEachIndexed { index, sample ->
                heartbeat.sample.set(index.toLong())
                if (sample.size > 2) throw RunnerFailure("inputs", "more than two tensors in a decoder's sample")
                val ids = ids(sample, job.context, decoder, index)
                val first = if (sample.size == 2) numbers(sample[1], 1, "the first pass")[0] else ids.size.toLong()
                if (first !in 1L..ids.size) throw RunnerFailure("inputs", "the first pass takes $first of ${ids.size} ids")
                val (rows, millis) = read(decoder, ids, first.toInt())
                writer.add(listOf(rows))
                events.send("sample", "index" to index, "round" to 0, "ms" to millis)
            }
            writer.finish()
        }
        memory()
        Done(samples.size.toLong(), 1)
    }

    /** The logits after the first pass and after every token behind it, and how long they took. */
    private fun read(decoder: OnnxDecoder, ids: IntArray, first: Int): Pair<FloatTensor, Double> {
        val passes = 1 + ids.size - first
        val width = decoder.vocabulary
        if (passes.toLong() * width > MOST_LOGITS) throw RunnerFailure("inputs", "over 256 MiB of logits in a sample")
        val rows = FloatArray(passes * width)
        var millis = 0.0
        var at = 0
        for (pass in 0 until passes) {
            val count = if (pass == 0) first else 1
            val start = System.nanoTime()
            val logits = decoder.feed(ids.copyOfRange(at, at + count), at)
            millis += millisSince(start)
            logits.copyInto(rows, pass * width)
            at += count
        }
        return FloatTensor(rows, longArrayOf(passes.toLong(), width.toLong())) to millis
    }

    private fun load(): Done {
        for (index in 0 until job.runs) {
            heartbeat.sample.set(index)
            for (cold in listOf(true, false)) {
                val opened = open()
                opened.decoder.use { decoder ->
                    val ids = ids(samples.first(), job.context, decoder, 0)
                    val start = System.nanoTime()
                    decoder.feed(ids, 0)
                    loaded(index, cold, opened.millis, "first_ms" to millisSince(start), "resident" to null)
                    if (!cold && index + 1 == job.runs) memory()
                }
            }
        }
        return Done(job.runs, job.runs)
    }

    private fun generate(): Done = ready().use { decoder ->
        val prompts = samples.mapIndexed { index, sample ->
            if (sample.size != 1) throw RunnerFailure("inputs", "a prompt is one tensor")
            // A prompt that fills the context leaves no room for an answer.
            ids(sample, job.context - 1, decoder, index)
        }
        for (round in 0 until job.warmUps) for (prompt in prompts) answer(decoder, prompt)
        val last = prompts.map { LongArray(0) }.toMutableList()
        var rounds = 0L
        var count = 0L
        val start = System.nanoTime()
        while (rounds < job.runs || millisSince(start) < job.milliseconds) {
            prompts.forEachIndexed { index, prompt ->
                heartbeat.sample.set(count++)
                val made = answer(decoder, prompt)
                tell(index, rounds, prompt.size, made)
                last[index] = LongArray(made.ids.size) { made.ids[it].toLong() }
            }
            rounds++
        }
        memory()
        job.outputs?.let { name ->
            TensorStream.Writer(File(folder, name), last.size).use { writer ->
                for (ids in last) writer.add(LongTensor(ids, longArrayOf(1, ids.size.toLong())))
                writer.finish()
            }
        }
        Done(count, rounds)
    }

    private class Made(val ids: List<Int>, val prefill: Double, val first: Double, val steps: List<Double>, val endedBy: String)

    private fun answer(decoder: OnnxDecoder, prompt: IntArray): Made {
        val start = System.nanoTime()
        var logits = decoder.feed(prompt, 0)
        val prefill = millisSince(start)
        val ids = arrayListOf(likeliest(logits))
        val first = millisSince(start)
        val steps = ArrayList<Double>()
        var end = end(ids, prompt.size)
        while (end == null) {
            val step = System.nanoTime()
            logits = decoder.feed(intArrayOf(ids.last()), prompt.size + ids.size - 1)
            ids += likeliest(logits)
            steps += millisSince(step)
            end = end(ids, prompt.size)
        }
        return Made(ids, prefill, first, steps, end)
    }

    private fun end(ids: List<Int>, prompt: Int): String? = when {
        ids.last().toLong() in job.eos -> "eos"
        ids.size >= job.tokens -> "length"
        prompt + ids.size >= job.context -> "context"
        else -> null
    }

    private fun tell(index: Int, round: Long, prompt: Int, made: Made) {
        val decoding = made.steps.sum()
        events.send(
            "answer", "index" to index, "round" to round, "prompt_tokens" to prompt, "tokens" to made.ids.size,
            "ended_by" to made.endedBy, "prefill_ms" to made.prefill, "first_ms" to made.first,
            "prefill_tokens_per_s" to 1e3 * prompt / made.prefill,
            "decode_tokens_per_s" to if (decoding > 0) 1e3 * made.steps.size / decoding else null,
            "step_p50_ms" to quantile(made.steps, 0.50), "step_p95_ms" to quantile(made.steps, 0.95),
            "step_ms" to made.steps, "ids" to made.ids,
        )
    }

    /** The token ids of a sample, at most [most] and each of the model's vocabulary. */
    private fun ids(sample: List<LongTensor>, most: Int, decoder: OnnxDecoder, index: Int): IntArray {
        if (sample.isEmpty()) throw RunnerFailure("inputs", "prompt $index has no tensor")
        val found = numbers(sample[0], most, "prompt $index")
        found.firstOrNull { it !in 0L until decoder.vocabulary }?.let {
            throw RunnerFailure("inputs", "prompt $index has the token id $it, the model knows 0 to ${decoder.vocabulary - 1}")
        }
        return IntArray(found.size) { found[it].toInt() }
    }

    private fun numbers(tensor: LongTensor, most: Int, what: String): LongArray {
        val row = tensor.shape.size == 1 || (tensor.shape.size == 2 && tensor.shape[0] == 1L)
        if (!row) throw RunnerFailure("inputs", "$what must be int64 [n] or [1, n]")
        val count = tensor.values.size
        if (count !in 1..most) throw RunnerFailure("inputs", "$what has $count numbers, not 1 to $most")
        return tensor.values
    }

    private companion object {
        const val MOST_LOGITS = 64L shl 20

        fun likeliest(logits: FloatArray): Int {
            var best = 0
            for (index in logits.indices) {
                if (!logits[index].isFinite()) throw RunnerFailure("outputs", "the model gave logits that are no numbers")
                if (logits[index] > logits[best]) best = index
            }
            return best
        }

        /** The least of the times that [share] of them do not exceed. */
        fun quantile(times: List<Double>, share: Double): Double? =
            if (times.isEmpty()) null else times.sorted()[maxOf(ceil(share * times.size).toInt(), 1) - 1]
    }
}
