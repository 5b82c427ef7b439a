package edgekit.core.runner

import java.io.Closeable
import java.util.Locale
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicLong

/** The events of a run as JSON lines, as native/events.cpp writes them. */
internal class Events(private val out: (String) -> Unit) {
    fun send(name: String, vararg fields: Pair<String, Any?>) {
        val line = StringBuilder("{\"event\":").append(quoted(name))
        for ((key, value) in fields) line.append(',').append(quoted(key)).append(':').append(json(value))
        synchronized(this) { out(line.append('}').toString()) }
    }

    /** Says every few seconds that the runner lives, and where it is. */
    inner class Heartbeat : Closeable {
        val sample: AtomicLong = AtomicLong()
        private val clock = Executors.newSingleThreadScheduledExecutor { Thread(it, "edgekit-heartbeat").apply { isDaemon = true } }

        init {
            clock.scheduleAtFixedRate({ send("heartbeat", "sample" to sample.get()) }, PERIOD, PERIOD, TimeUnit.MILLISECONDS)
        }

        override fun close() {
            clock.shutdownNow()
        }
    }

    private companion object {
        const val PERIOD = 5000L
        const val LONGEST = 1000

        fun json(value: Any?): String = when (value) {
            null -> "null"
            is Double -> String.format(Locale.ROOT, "%.4f", value)
            is Number, is Boolean -> value.toString()
            is List<*> -> value.joinToString(",", "[", "]") { json(it) }
            is Map<*, *> -> value.entries.joinToString(",", "{", "}") { (key, each) -> "${quoted(key.toString())}:${json(each)}" }
            else -> quoted(value.toString())
        }

        /** A message may quote a file name or a model's own strings: short and plain ASCII. */
        fun quoted(text: String): String {
            val line = StringBuilder("\"")
            for (char in text.take(LONGEST)) {
                if (char == '"' || char == '\\') line.append('\\')
                line.append(if (char in ' '..'~') char else '?')
            }
            return line.append('"').toString()
        }
    }
}
