package edgekit.core.generation

import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.bundle.Golden
import edgekit.core.bundle.Replayed
import edgekit.core.bundle.SelfTest
import edgekit.core.json.Fields
import edgekit.core.json.FormRefused
import edgekit.core.tasks.Sampler
import edgekit.core.tasks.Sampling
import edgekit.core.tokenizer.Tokenizer
import java.io.Closeable
import java.util.concurrent.atomic.AtomicInteger

/**
 * An answer, and how it went.
 *
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

/** A decoder bundle that answers, token by token. One answer at a time; [cancel] from any thread. */
public class Generator(
    public val bundle: Bundle,
    public val tokenizer: Tokenizer,
    private val decoder: Decoder,
) : Closeable {
    private val facts = Facts.of(bundle)
    private val cancels = AtomicInteger()
    private var cached = IntArray(0)

    /** How the bundle's maker meant tokens to be drawn. */
    public val sampling: Sampling get() = facts.sampling

    /** The bundle's form of a chat; null where it has none, or one that is beyond this core. */
    public val chat: ChatTemplate? by lazy { facts.template?.let { ChatTemplate.read(it, facts.specials) } }

    /**
     * Goes on with a prompt.
     *
     * @param raw whether the tokenizer's own frame is left out: a rendered chat has its own
     * @param onPiece told of the text as it grows, never of half a character, on the calling thread
     * @throws EdgeKitException.TextRefused the prompt has no token, or fills the context
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
        val ids = ids(prompt, raw)
        var logits = read(ids)
        val first = (System.nanoTime() - start) / 1e6
        val said = ArrayList<Int>()
        val sampler = Sampler(sampling)
        val stream = tokenizer.stream()
        val text = StringBuilder()
        var endedBy = "length"
        fun tell(piece: String) {
            text.append(piece)
            if (piece.isNotEmpty()) onPiece(piece)
        }
        while (said.size < most) {
            if (cancels.get() != before) throw EdgeKitException.Cancelled("the answer was cancelled")
            val id = sampler.next(logits, cached)
            said.add(id)
            if (id in facts.ends) {
                endedBy = "eos"
                break
            }
            tell(stream.next(id))
            if (said.size == most) break
            if (cached.size == decoder.context) {
                endedBy = "context"
                break
            }
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
        val ids = golden.inputs["input_ids"]?.values ?: LongArray(0)
        val (rows, width) = golden.expected.shape.takeIf { it.size == 2 }?.map { it.toInt() } ?: listOf(0, 0)
        val columns = golden.inputs["columns"]?.values
        val prompt = ids.size - rows + 1
        if (prompt < 1 || columns == null || columns.size != rows * width || ids.size >= decoder.context) {
            throw EdgeKitException.BundleCorrupt("the goldens do not fit the decoder")
        }
        val tokens = IntArray(ids.size) { ids[it].toInt() }
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

    /** Stops what is under way; nothing happens where nothing is. */
    public fun cancel() {
        cancels.incrementAndGet()
        decoder.cancel()
    }

    /** Releases the native memory. */
    override fun close(): Unit = decoder.close()

    private fun ids(prompt: String, raw: Boolean): IntArray {
        val ids = tokenizer.encode(prompt, addSpecial = !raw).ids
        if (ids.isEmpty()) throw EdgeKitException.TextRefused("the prompt is empty", "Give at least one word.")
        if (ids.size >= decoder.context) {
            throw EdgeKitException.TextRefused(
                "the prompt has ${ids.size} tokens, the model's context holds ${decoder.context} with the answer",
                "Shorten it; edgekit never cuts it in silence.",
            )
        }
        return ids
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

    private class Facts(
        val context: Int,
        val ends: Set<Int>,
        val template: String?,
        val specials: Map<String, String>,
        val sampling: Sampling,
        val mostTokens: Int,
    ) {
        companion object {
            fun of(bundle: Bundle): Facts = try {
                val all = Fields(bundle.manifest.json, "the manifest").fields("generation")
                val how = all.fields("sampling")
                val specials = if (all.has("special_tokens")) all.fields("special_tokens") else null
                Facts(
                    all.count("context"),
                    all.items("eos_token_ids").mapNotNull { Fields.whole(it)?.toInt() }.toSet(),
                    all.optionalText("chat_template"),
                    specials?.names.orEmpty().associateWith { specials!!.text(it) },
                    Sampling(how.real("temperature"), how.count("top_k"), how.real("top_p"), how.real("repetition_penalty")),
                    how.count("max_new_tokens"),
                )
            } catch (error: FormRefused) {
                throw EdgeKitException.BundleCorrupt("the bundle is no decoder: ${error.message}", error)
            }
        }
    }

    public companion object {
        /**
         * The most tokens that a decoder bundle takes.
         *
         * @throws EdgeKitException.BundleCorrupt the bundle is no decoder
         */
        @JvmStatic
        public fun context(bundle: Bundle): Int = Facts.of(bundle).context
    }
}
