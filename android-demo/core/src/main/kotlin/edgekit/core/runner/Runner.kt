package edgekit.core.runner

import edgekit.core.EdgeKitException
import edgekit.core.engine.Delegates
import edgekit.core.engine.FloatTensor
import edgekit.core.engine.LongTensor
import edgekit.core.engine.OnnxDelegate
import edgekit.core.engine.OnnxEngine
import edgekit.core.engine.OnnxOptions
import java.io.File
import java.io.IOException

internal class Done(val samples: Long, val rounds: Long)

internal fun millisSince(start: Long): Double = (System.nanoTime() - start) / 1e6

/**
 * Runs a job file over an .onnx model and tells what happens as JSON lines: the protocol of
 * edgekit's native runner, spoken from inside an app, where NNAPI is.
 *
 * A time in an event holds the copies in and out of Java besides the runtime's own call.
 *
 * @property folder holds the job's files; no name in a job reaches out of it
 * @property pid of the process, for the `hello` event
 */
public class Runner(
    private val folder: File,
    private val delegate: OnnxDelegate = OnnxDelegate.CPU,
    private val pid: Long = 0,
    out: (String) -> Unit,
) {
    private val events = Events(out)

    /** Runs the job in the file [name]. Gives the exit status of the native runner, 0 where all is well. */
    public fun run(name: String): Int {
        try {
            val start = System.nanoTime()
            events.send(
                "hello", "protocol" to PROTOCOL, "runtime" to RUNTIME, "version" to OnnxEngine.version(),
                "machine" to System.getProperty("os.arch"), "pid" to pid, "providers" to delegate.name.lowercase(),
            )
            val job = JobFile.read(File(folder, name), RUNTIME)
            if (job.cores != null) throw RunnerFailure("cores", "the cores cannot be chosen inside an app")
            if (!File(folder, job.model).isFile) throw RunnerFailure("missing", "no model file ${job.model}")
            val samples = TensorStream.read(File(folder, job.inputs))
            environment("before")
            val done = events.Heartbeat().use { Work(job, samples, it).run() }
            environment("after")
            events.send("done", "samples" to done.samples, "rounds" to done.rounds, "ms" to millisSince(start))
            return 0
        } catch (failure: RunnerFailure) {
            return fail(failure)
        } catch (error: EdgeKitException) {
            return fail(RunnerFailure.of(error))
        } catch (error: OutOfMemoryError) {
            return fail(RunnerFailure("internal", "not enough memory: $error"))
        }
    }

    private fun fail(failure: RunnerFailure): Int {
        events.send("error", "code" to failure.code, "message" to failure.message.orEmpty(), "status" to failure.status)
        return STATUSES[failure.code] ?: INTERNAL
    }

    private fun environment(at: String) = events.send(
        "environment",
        "when" to at,
        "mem_available_kb" to kilobytes("/proc/meminfo", "MemAvailable:"),
        "cpus" to emptyList<Any>(),
        "thermal" to emptyList<Any>(),
    )

    private fun memory() = events.send(
        "memory",
        "vm_hwm_kb" to kilobytes("/proc/self/status", "VmHWM:"),
        "rss_kb" to kilobytes("/proc/self/status", "VmRSS:"),
        "pss_kb" to kilobytes("/proc/self/smaps_rollup", "Pss:"),
    )

    /** A line of a file of the kernel; null where an app may not read it. */
    private fun kilobytes(file: String, key: String): Long? = try {
        File(file).useLines { lines ->
            lines.firstOrNull { it.startsWith(key) }?.removePrefix(key)?.trim()?.substringBefore(' ')?.toLongOrNull()
        }
    } catch (_: IOException) {
        null
    }

    private inner class Work(val job: JobFile, val samples: List<List<LongTensor>>, val heartbeat: Events.Heartbeat) {
        fun run(): Done {
            if (samples.isEmpty() && job.mode != Mode.GOLDENS) throw RunnerFailure("inputs", "no samples")
            if (job.context > 0) {
                val options = OnnxOptions(delegate, job.threads)
                return DecoderWork(folder, job, samples, options, events, heartbeat) { memory() }.run()
            }
            return when (job.mode) {
                Mode.GOLDENS -> goldens()
                Mode.LATENCY -> latency()
                Mode.LOAD -> load()
                Mode.GENERATE -> error("generate is of decoders") // JobFile refuses it
            }
        }

        private fun goldens(): Done = opened(0, false).use { engine ->
            TensorStream.Writer(File(folder, job.outputs!!), samples.size).use { writer ->
                samples.forEachIndexed { index, sample ->
                    heartbeat.sample.set(index.toLong())
                    writer.add(timed(engine, sample, index, 0).values)
                }
                writer.finish()
            }
            memory()
            Done(samples.size.toLong(), 1)
        }.also { placement() }

        /** Where the nodes ran, of a session of its own: one that keeps a profile is slower. */
        private fun placement() {
            val sample = samples.firstOrNull() ?: return
            val options = OnnxOptions(delegate, job.threads)
            val nodes = Delegates.placement(File(folder, job.model), options, folder) { named(it, sample) }
            events.send("placement", "delegate" to delegate.name.lowercase(), "nodes" to nodes)
        }

        private fun latency(): Done = opened(0, false).use { engine ->
            for (round in 0 until job.warmUps) for (sample in samples) engine.run(named(engine, sample))
            var rounds = 0L
            var count = 0L
            val start = System.nanoTime()
            while (rounds < job.runs || millisSince(start) < job.milliseconds) {
                samples.forEachIndexed { index, sample ->
                    heartbeat.sample.set(count++)
                    timed(engine, sample, index, rounds)
                }
                rounds++
            }
            memory()
            job.outputs?.let { name ->
                // One more round, untimed: what has just been timed must also be right.
                TensorStream.Writer(File(folder, name), samples.size).use { writer ->
                    for (sample in samples) writer.add(engine.run(named(engine, sample)).values)
                    writer.finish()
                }
            }
            Done(count, rounds)
        }

        /** An app cannot drop a file from the system's cache: the cold load of a pair is as warm as the other. */
        private fun load(): Done {
            for (index in 0 until job.runs) {
                heartbeat.sample.set(index)
                for (cold in listOf(true, false)) {
                    opened(index, cold, samples.first()).close()
                    if (!cold && index + 1 == job.runs) memory()
                }
            }
            return Done(job.runs, job.runs)
        }

        private fun opened(index: Long, cold: Boolean, first: List<LongTensor>? = null): OnnxEngine {
            val engine = OnnxEngine.open(File(folder, job.model), OnnxOptions(delegate, job.threads))
            try {
                val fields = arrayListOf<Pair<String, Any?>>(
                    "index" to index, "cold" to cold, "ms" to engine.report.loadMillis,
                    "open_ms" to engine.report.loadMillis, "prepare_ms" to null, "threads" to maxOf(job.threads, 1),
                )
                if (first != null) {
                    val start = System.nanoTime()
                    engine.run(named(engine, first))
                    fields += listOf("first_ms" to millisSince(start), "resident" to null)
                }
                events.send("loaded", *fields.toTypedArray())
                return engine
            } catch (error: Exception) {
                engine.close()
                throw error
            }
        }

        private fun timed(engine: OnnxEngine, sample: List<LongTensor>, index: Int, round: Long): Map<String, FloatTensor> {
            val inputs = named(engine, sample)
            val start = System.nanoTime()
            val answer = engine.run(inputs)
            events.send("sample", "index" to index, "round" to round, "ms" to millisSince(start))
            return answer
        }

        private fun named(engine: OnnxEngine, sample: List<LongTensor>): Map<String, LongTensor> {
            if (sample.size != engine.inputNames.size) {
                throw RunnerFailure("inputs", "a sample has ${sample.size} tensors, the model takes ${engine.inputNames.size}")
            }
            return engine.inputNames.zip(sample).toMap()
        }
    }

    private companion object {
        const val PROTOCOL = 3
        const val RUNTIME = "onnx"
        const val INTERNAL = 70
        val STATUSES = mapOf(
            "job" to 64, "cores" to 64, "inputs" to 65, "stream" to 65, "model" to 65,
            "missing" to 66, "output" to 73, "storage-full" to 74,
        )
    }
}
