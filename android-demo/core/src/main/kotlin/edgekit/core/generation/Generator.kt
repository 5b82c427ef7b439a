package edgekit.core.generation

import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.bundle.Golden
import edgekit.core.bundle.Replayed
import edgekit.core.bundle.SelfTest
import edgekit.core.engine.EngineFactory
import edgekit.core.tasks.CodePoints
import edgekit.core.tasks.Sampler
import edgekit.core.tasks.Sampling
import edgekit.core.tokenizer.Tokenizer
import java.io.Closeable
import java.util.concurrent.atomic.AtomicInteger

/**
 * An answer, and how it went.
 *
 * @property text what was said
 * @property tokens of the answer, the one that ended it included
 * @property firstMillis from the call to the first token
 * @property perSecond tokens a second after the first; 0 where there are none
 * @property endedBy `eos`, `length` or `context`
 */
public class Generated(
    public val text: String,
    public val tokens: Int,
    public val firstMillis: Double,
    public val perSecond: Double,
    public val endedBy: String,
)

/**
 * A bundle that answers token by token: a decoder, which goes on with a prompt, or an encoder-decoder,
 * which reads a text and answers it. One answer at a time; [cancel] from any thread.
 *
 * The likeliest token is taken each time, or one is drawn. Python's `edgekit run` looks for the likeliest
 * answer where the makers of an encoder-decoder do (`Manifest.beams`); with `--beams 1` it does the same.
 *
 * @property bundle what is open
 * @property tokenizer its own
 * @throws EdgeKitException.BundleCorrupt the bundle does not generate, or its rules do not fit the decoder
 */
public class Generator(
    public val bundle: Bundle,
    public val tokenizer: Tokenizer,
    private val decoder: Decoder,
) : Closeable {
    private val facts = Facts.of(bundle)
    private val cancels = AtomicInteger()
    private var cached = IntArray(0)

    init {
        val named = facts.answers?.rules?.largest ?: 0
        if (named >= decoder.vocabulary || (facts.answers == null) != (decoder !is TextDecoder)) {
            throw EdgeKitException.BundleCorrupt("the manifest's rules of answers are of another model")
        }
    }

    /** How the bundle's maker meant tokens to be drawn. */
    public val sampling: Sampling get() = facts.sampling

    /** The bundle's form of a chat; null where it has none, or one that is beyond this core. */
    public val chat: ChatTemplate? by lazy { facts.template?.let { ChatTemplate.read(it, facts.specials) } }

    /**
     * Goes on with a prompt, or answers a text.
     *
     * @param raw whether the tokenizer's own frame is left out: a rendered chat has its own
     * @param onPiece told of the text as it grows, never of half a character, on the calling thread
     * @throws EdgeKitException.TextRefused the prompt is empty, fills the context or is longer than the
     *   model reads
     * @throws EdgeKitException.Cancelled [cancel] came in between; what was said has been told
     */
    @Synchronized
    public fun generate(
        prompt: String,
        sampling: Sampling = facts.sampling,
        most: Int = facts.mostTokens,
        raw: Boolean = false,
        onPiece: (String) -> Unit = {},
    ): Generated {
        if (most < 1) throw EdgeKitException.SpecError("at most $most tokens", "Ask for at least one.")
        val start = System.nanoTime()
        val before = cancels.get()
        val sampler = Sampler(sampling)
        var logits = begin(prompt, raw)
        val longest = minOf(cached.size + most, decoder.context)
        val first = (System.nanoTime() - start) / 1e6
        val said = ArrayList<Int>()
        val stream = tokenizer.stream()
        val text = StringBuilder()
        var endedBy: String
        while (true) {
            if (cancels.get() != before) throw EdgeKitException.Cancelled("the answer was cancelled")
            val id = sampler.next(facts.answers?.rules?.allowed(logits, cached, longest) ?: logits, cached)
            said.add(id)
            endedBy = if (id in facts.ends) "eos" else ""
            if (endedBy.isEmpty()) {
                val piece = stream.next(id)
                text.append(piece)
                if (piece.isNotEmpty()) onPiece(piece)
                if (said.size == most) endedBy = "length" else if (cached.size + 1 >= decoder.context) endedBy = "context"
            }
            if (endedBy.isNotEmpty()) break
            logits = feed(intArrayOf(id), cached.size)
        }
        // Half a character at the end is dropped, as edgekit run drops it.
        val rest = (System.nanoTime() - start) / 1e9 - first / 1e3
        return Generated(text.toString(), said.size, first, if (said.size > 1) (said.size - 1) / rest else 0.0, endedBy)
    }

    /** Replays the bundle's goldens, each text read token by token; see `EdgeKitCore.selfTest`. */
    @Synchronized
    public fun selfTest(onEach: (Replayed) -> Unit = {}): List<Replayed> {
        val before = cancels.get()
        return SelfTest.replay(bundle, "onnx") { golden ->
            if (cancels.get() != before) throw EdgeKitException.Cancelled("the self-test was cancelled")
            reread(golden)
        }.onEach(onEach).toList()
    }

    /** The logits that a golden kept, of each token behind its prompt. */
    private fun reread(golden: Golden): FloatArray {
        val tokens = ids(golden, "input_ids")
        val (rows, width) = golden.expected.shape.takeIf { it.size == 2 }?.map { it.toInt() } ?: listOf(0, 0)
        val columns = golden.inputs["columns"]?.values
        val prompt = tokens.size - rows + 1
        if (prompt < 1 || columns == null || columns.size != rows * width || tokens.size > decoder.context) {
            throw EdgeKitException.BundleCorrupt("the goldens do not fit the decoder")
        }
        readText { ids(golden, "text_ids") }
        val made = FloatArray(rows * width)
        for (row in 0 until rows) {
            val read = if (row == 0) tokens.copyOf(prompt) else intArrayOf(tokens[prompt + row - 1])
            val logits = feed(read, if (row == 0) 0 else prompt + row - 1)
            for (column in 0 until width) {
                made[row * width + column] = logits.getOrNull(columns[row * width + column].toInt())
                    ?: throw EdgeKitException.BundleCorrupt("the goldens name a token that the model has not")
            }
        }
        return made
    }

    private fun ids(golden: Golden, name: String): IntArray {
        val values = golden.inputs[name]?.values ?: LongArray(0)
        if (values.any { it !in 0 until decoder.vocabulary.toLong() }) {
            throw EdgeKitException.BundleCorrupt("the goldens name a token that the model has not")
        }
        return IntArray(values.size) { values[it].toInt() }
    }

    /** Stops what is under way; nothing happens where nothing is. */
    public fun cancel() {
        cancels.incrementAndGet()
        decoder.cancel()
    }

    /** Releases the native memory. */
    override fun close(): Unit = decoder.close()

    /** Reads what was asked; the logits of the answer's first token. */
    private fun begin(prompt: String, raw: Boolean): FloatArray {
        if (CodePoints.isBlank(prompt)) {
            throw EdgeKitException.TextRefused("the text is empty", "Give at least one word.")
        }
        val ids = tokenizer.encode(prompt, addSpecial = !raw).ids
        val answers = facts.answers
        if (ids.isEmpty()) throw EdgeKitException.TextRefused("the text has no tokens", "Give at least one word.")
        if (answers != null && ids.size > answers.source) {
            tooLong("the text has ${ids.size} tokens, the model reads ${answers.source} at most")
        }
        if (answers == null && ids.size >= decoder.context) {
            tooLong("the prompt has ${ids.size} tokens, the model's context holds ${decoder.context} with the answer")
        }
        readText { ids }
        return if (answers == null) read(ids) else feed(answers.rules.start, 0)
    }

    private fun tooLong(message: String): Nothing =
        throw EdgeKitException.TextRefused(message, "Shorten it; edgekit never cuts it in silence.")

    /** What an encoder-decoder is to answer; nothing for a decoder. */
    private fun readText(ids: () -> IntArray) {
        val reader = decoder as? TextDecoder ?: return
        cached = IntArray(0)
        reader.read(ids())
    }

    /** What the cache holds of the prompt already is not read again. */
    private fun read(ids: IntArray): FloatArray {
        var same = 0
        while (same < minOf(cached.size, ids.size - 1) && cached[same] == ids[same]) same++
        return feed(ids.copyOfRange(same, ids.size), same)
    }

    private fun feed(ids: IntArray, position: Int): FloatArray {
        cached = cached.copyOf(position)
        val logits = decoder.feed(ids, position)
        cached += ids
        return logits
    }

    public companion object {
        /**
         * Loads the artifact of a bundle that generates.
         *
         * @throws EdgeKitException see [Bundle.tokenizer] and [EngineFactory.openDecoder]
         */
        @JvmStatic
        public fun open(bundle: Bundle, engines: EngineFactory): Generator {
            val tokenizer = bundle.tokenizer()
            val decoder = engines.openDecoder(bundle)
            try {
                return Generator(bundle, tokenizer, decoder)
            } catch (error: Throwable) {
                decoder.close()
                throw error
            }
        }

        /**
         * The most tokens of a bundle's prompts and answers, or of an encoder-decoder's answers.
         *
         * @throws EdgeKitException.BundleCorrupt the bundle does not generate
         */
        @JvmStatic
        public fun context(bundle: Bundle): Int = Facts.of(bundle).context

        /**
         * Whether a bundle is an encoder-decoder.
         *
         * @throws EdgeKitException.BundleCorrupt the bundle does not generate
         */
        @JvmStatic
        public fun answersTexts(bundle: Bundle): Boolean = Facts.of(bundle).answers != null
    }
}
