package edgekit.core.generation

import ai.onnxruntime.NodeInfo
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo
import edgekit.core.EdgeKitException
import edgekit.core.engine.OnnxEngine
import edgekit.core.engine.OnnxOptions
import edgekit.core.engine.OnnxRun
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.LongBuffer

/** An .onnx decoder in ONNX Runtime: each cache is one buffer, read and written in place. */
public class OnnxDecoder private constructor(
    private val session: OrtSession,
    private val environment: OrtEnvironment,
    private val name: String,
    override val context: Int,
) : Decoder {
    override val vocabulary: Int = vocabularyOf(session, name)
    private val passes = OnnxRun(name)
    private var closed = false
    private val caches: Map<String, OnnxTensor> = session.inputInfo.filterKeys { it.startsWith(PAST) }
        .entries.associate { (past, info) -> past.removePrefix(PAST) to cache(info) }

    override fun feed(ids: IntArray, position: Int): FloatArray {
        if (closed) throw EdgeKitException.SpecError("the decoder is closed", "Open it again.")
        val total = position + ids.size
        val given = linkedMapOf(
            "input_ids" to LongArray(ids.size) { ids[it].toLong() },
            "attention_mask" to LongArray(total) { 1L },
            "position_ids" to LongArray(ids.size) { (position + it).toLong() },
        )
        val inputs = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((key, values) in given) {
                inputs[key] = OnnxTensor.createTensor(environment, LongBuffer.wrap(values), longArrayOf(1, values.size.toLong()))
            }
            val all = inputs + caches.mapKeys { PAST + it.key }
            return passes.pass("at position $position") { options ->
                session.run(all, setOf(LOGITS), caches.mapKeys { PRESENT + it.key }, options).use { result ->
                    val buffer = (result[LOGITS].get() as OnnxTensor).floatBuffer
                    FloatArray(buffer.remaining()).also { buffer.get(it) }
                }
            }
        } finally {
            inputs.values.forEach { it.close() }
        }
    }

    override fun cancel(): Unit = passes.cancel()

    override fun close() {
        if (closed) return
        closed = true
        caches.values.forEach { it.close() }
        session.close()
    }

    /** Of the whole context, zeroed: rows that were never written are read, times zero. */
    private fun cache(info: NodeInfo): OnnxTensor {
        val shape = (info.info as TensorInfo).shape
        if (shape.size != RANK || shape[HEADS] < 1 || shape[WIDTH] < 1) {
            throw EdgeKitException.Unsupported("$name has a cache of ${shape.joinToString(" x ")}", "Export it again.")
        }
        val whole = longArrayOf(1, shape[HEADS], context.toLong(), shape[WIDTH])
        val bytes = whole.fold(4L) { all, each -> Math.multiplyExact(all, each) }
        if (bytes > Int.MAX_VALUE) throw EdgeKitException.Unsupported("a cache of $bytes bytes", "Export it with a shorter context.")
        val buffer = ByteBuffer.allocateDirect(bytes.toInt()).order(ByteOrder.nativeOrder()).asFloatBuffer()
        return OnnxTensor.createTensor(environment, buffer, whole)
    }

    public companion object {
        internal fun vocabularyOf(session: OrtSession, name: String): Int {
            val width = (session.outputInfo[LOGITS]?.info as? TensorInfo)?.shape?.lastOrNull() ?: 0
            if (width in 1..Int.MAX_VALUE.toLong()) return width.toInt()
            throw EdgeKitException.Unsupported("$name does not say how many logits it gives", "Export it again.")
        }

        private const val PAST = "past_key_values."
        private const val PRESENT = "present."
        private const val LOGITS = "logits"
        private const val RANK = 4
        private const val HEADS = 1
        private const val WIDTH = 3

        /** Written by export: the attention operator writes into the cache that it reads. */
        private const val IN_PLACE = "edgekit.cache_in_place"

        /**
         * Loads a decoder by its path.
         *
         * @param context the most tokens, from the manifest
         * @throws EdgeKitException as for [OnnxEngine.open]; `Unsupported` where the cache is not one
         *   that is written in place
         */
        @JvmStatic
        public fun open(file: File, context: Int, options: OnnxOptions = OnnxOptions()): OnnxDecoder {
            val (environment, session) = OnnxEngine.session(file, options)
            try {
                if (IN_PLACE !in session.metadata.customMetadata) {
                    throw EdgeKitException.Unsupported(
                        "${file.name} does not write its cache in place",
                        "Export it with this edgekit, without another tool behind it.",
                    )
                }
                return OnnxDecoder(session, environment, file.name, context)
            } catch (error: Throwable) {
                session.close()
                throw error
            }
        }
    }
}
