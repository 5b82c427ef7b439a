package edgekit.core.engine

import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.json.Fields
import edgekit.core.json.FormRefused
import edgekit.core.json.JsonReader
import edgekit.core.json.JsonRefused

/**
 * What `edgekit bench --threads auto --tuning FILE` found: for each bundle and runtime, with how many
 * threads it answers fastest.
 */
public class Tuning private constructor(private val chosen: List<Chosen>, private val tried: List<Tried>) {
    private class Chosen(val bundle: String, val seal: String, val threads: Map<String, Int>)

    private class Tried(val artifact: String, val threads: Int, val millis: Double)

    /**
     * The fastest number of threads: the one that was chosen, or, on a phone with fewer processors, the
     * fastest of those that were tried and fit. 0 where the file says nothing of these very bytes.
     *
     * @param processors of this phone
     */
    @JvmOverloads
    public fun threads(bundle: Bundle, runtime: String, processors: Int = Runtime.getRuntime().availableProcessors()): Int {
        val mine = chosen.firstOrNull { it.seal == bundle.seal } ?: return 0
        val threads = mine.threads[runtime] ?: return 0
        if (threads <= processors) return threads
        val file = bundle.artifact(runtime)?.name ?: return 0
        // Where several bundles were measured, the bundle's name is in front.
        return tried.filter { it.artifact == file || it.artifact == "${mine.bundle}/$file" }
            .filter { it.threads <= processors }.minByOrNull { it.millis }?.threads ?: 0
    }

    public companion object {
        private const val KIND = "edgekit-tuning"
        private const val NEWEST = 1L
        private const val LARGEST = 1 shl 20
        private const val MOST_THREADS = 1024

        /** Without a measurement: half of the processors, for the others are often small ones; at most 4. */
        @JvmStatic
        @JvmOverloads
        public fun usual(processors: Int = Runtime.getRuntime().availableProcessors()): Int = (processors / 2).coerceIn(1, 4)

        /**
         * Reads the file.
         *
         * @throws EdgeKitException.SpecError it is no tuning file, or one of a newer edgekit
         */
        @JvmStatic
        public fun read(bytes: ByteArray): Tuning = try {
            if (bytes.size > LARGEST) throw FormRefused("it has more than $LARGEST bytes")
            val all = Fields(JsonReader.read(bytes), "the tuning file")
            if (all.text("kind") != KIND) throw FormRefused("its kind is not $KIND")
            if (all.whole("schema_version") !in 1..NEWEST) throw FormRefused("it is of another edgekit, version ${all.whole("schema_version")}")
            val bundles = all.fields("bundles")
            Tuning(bundles.names.map { chosen(it, bundles.fields(it)) }, all.list("tried").map { tried(it) })
        } catch (error: JsonRefused) {
            refuse(error)
        } catch (error: FormRefused) {
            refuse(error)
        }

        private fun chosen(name: String, said: Fields): Chosen {
            val threads = said.fields("threads")
            return Chosen(name, said.text("digest"), threads.names.associateWith { count(threads, it) })
        }

        private fun tried(said: Fields) = Tried(said.text("artifact"), count(said, "threads"), said.real("median_ms"))

        private fun count(said: Fields, name: String): Int =
            said.count(name).takeIf { it in 1..MOST_THREADS } ?: said.wrong(name, "a number of threads")

        private fun refuse(error: Exception): Nothing = throw EdgeKitException.SpecError(
            "the tuning file cannot be used: ${error.message}",
            "Write it anew: edgekit bench BUNDLE --threads auto --tuning FILE.",
        )
    }
}
