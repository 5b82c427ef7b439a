package edgekit.core.generation

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo
import edgekit.core.EdgeKitException
import edgekit.core.engine.OnnxEngine
import edgekit.core.engine.OnnxOptions
import edgekit.core.engine.OnnxRun
import java.io.File
import java.nio.FloatBuffer
import java.nio.LongBuffer

/**
 * An encoder-decoder of two .onnx files in ONNX Runtime. The first reads a text once, into keys and
 * values of every layer; the second answers over them, its own caches handed in and out.
 */
public class OnnxTextDecoder private constructor(
    private val encode: OrtSession,
    private val decode: OrtSession,
    private val environment: OrtEnvironment,
    file: File,
    override val context: Int,
) : TextDecoder {
    override val vocabulary: Int = OnnxDecoder.vocabularyOf(decode, file.name)
    private val reading = OnnxRun(ENCODER)
    private val answering = OnnxRun(file.name)
    private val own: Map<String, LongArray> = decode.inputInfo.filterKeys { it.startsWith(PAST) && ENCODER_PART !in it }
        .mapValues { (name, info) -> empty(name, info.info as? TensorInfo) }
    private val ofText: Set<String> = decode.inputInfo.keys.filterTo(LinkedHashSet()) { it.startsWith(PAST) && ENCODER_PART in it }
    private var text: OrtSession.Result? = null
    private var past: Map<String, OnnxTensor> = emptyMap()
    private var closed = false

    override fun read(text: IntArray) {
        requireOpen()
        forget()
        this.text = ids(text).use { given ->
            val wanted = ofText.mapTo(LinkedHashSet()) { PRESENT + it.removePrefix(PAST) }
            reading.pass("on a text of ${text.size} tokens") { encode.run(mapOf(IDS to given), wanted, it) }
        }
        past = own.mapValues { (_, shape) -> OnnxTensor.createTensor(environment, FloatBuffer.allocate(0), shape) }
    }

    override fun feed(ids: IntArray, position: Int): FloatArray {
        requireOpen()
        val read = text ?: throw EdgeKitException.SpecError("no text was read", "Read a text before its answer.")
        cut(position)
        val inputs = LinkedHashMap<String, OnnxTensor>(past)
        for (name in ofText) inputs[name] = read[PRESENT + name.removePrefix(PAST)].get() as OnnxTensor
        val made = ids(ids).use { given ->
            inputs[IDS] = given
            val wanted = past.keys.mapTo(linkedSetOf(LOGITS)) { PRESENT + it.removePrefix(PAST) }
            answering.pass("at position $position") { decode.run(inputs, wanted, it) }
        }
        val logits = (made[LOGITS].get() as OnnxTensor).use { tensor ->
            val all = tensor.floatBuffer
            // The last token's alone are asked for.
            FloatArray(vocabulary).also { (all.position(all.limit() - vocabulary) as FloatBuffer).get(it) }
        }
        val kept = past.mapValues { (name, _) -> made[PRESENT + name.removePrefix(PAST)].get() as OnnxTensor }
        past.values.forEach { it.close() }
        past = kept
        return logits
    }

    override fun cancel() {
        reading.cancel()
        answering.cancel()
    }

    override fun close() {
        if (closed) return
        closed = true
        forget()
        encode.close()
        decode.close()
    }

    private fun requireOpen() {
        if (closed) throw EdgeKitException.SpecError("the decoder is closed", "Open it again.")
    }

    private fun forget() {
        past.values.forEach { it.close() }
        past = emptyMap()
        text?.close()
        text = null
    }

    /** Forgets what the answer's cache holds from [length] on. */
    private fun cut(length: Int) {
        past = past.mapValues { (_, states) ->
            val (one, heads, held, width) = states.info.shape
            if (held <= length) return@mapValues states
            val all = states.floatBuffer
            val rows = FloatArray((heads * length * width).toInt())
            for (head in 0 until heads.toInt()) {
                all.position((head * held * width).toInt())
                all.get(rows, (head * length * width).toInt(), (length * width).toInt())
            }
            states.close()
            OnnxTensor.createTensor(environment, FloatBuffer.wrap(rows), longArrayOf(one, heads, length.toLong(), width))
        }
    }

    private fun ids(values: IntArray): OnnxTensor = OnnxTensor.createTensor(
        environment,
        LongBuffer.wrap(LongArray(values.size) { values[it].toLong() }),
        longArrayOf(1, values.size.toLong()),
    )

    public companion object {
        /** The file that reads; it lies beside the one that answers. */
        private const val ENCODER = "encoder_model.onnx"
        private const val ENCODER_PART = ".encoder."
        private const val PAST = "past_key_values."
        private const val PRESENT = "present."
        private const val LOGITS = "logits"
        private const val IDS = "input_ids"
        private const val RANK = 4

        /**
         * Loads both files of an encoder-decoder.
         *
         * @param file the one that answers, the bundle's artifact
         * @param context the most tokens of an answer, from the manifest
         * @throws EdgeKitException as for [OnnxEngine.open]; `Unsupported` where a cache has another form
         */
        @JvmStatic
        public fun open(file: File, context: Int, options: OnnxOptions = OnnxOptions()): OnnxTextDecoder {
            val (environment, decode) = OnnxEngine.session(file, options)
            var encode: OrtSession? = null
            try {
                encode = OnnxEngine.session(File(file.parentFile, ENCODER), options).second
                return OnnxTextDecoder(encode, decode, environment, file, context)
            } catch (error: Throwable) {
                encode?.close()
                decode.close()
                throw error
            }
        }

        private fun empty(name: String, info: TensorInfo?): LongArray {
            val shape = info?.shape
            if (shape == null || shape.size != RANK || shape[1] < 1 || shape[RANK - 1] < 1) {
                throw EdgeKitException.Unsupported("the cache $name is ${shape?.joinToString(" x ")}", "Export it again.")
            }
            return longArrayOf(1, shape[1], 0, shape[RANK - 1])
        }
    }
}
