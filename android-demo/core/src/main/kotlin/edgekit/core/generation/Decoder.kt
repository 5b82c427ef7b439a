package edgekit.core.generation

import java.io.Closeable

/** A loaded decoder with its cache. For one thread at a time; [cancel] may come from any. */
public interface Decoder : Closeable {
    /** The most tokens in all, prompt and answer. */
    public val context: Int

    /** How many token ids there are, which is how many logits a pass gives. */
    public val vocabulary: Int

    /**
     * Reads tokens from [position] on, and gives the logits of what follows the last. What the cache
     * holds from [position] on is replaced.
     *
     * @throws edgekit.core.EdgeKitException.Cancelled [cancel] came in between
     * @throws edgekit.core.EdgeKitException.InternalError the runtime failed
     */
    public fun feed(ids: IntArray, position: Int): FloatArray

    /** Stops the pass that is under way; nothing happens where none is. */
    public fun cancel()
}

/** A loaded encoder-decoder: what [feed] reads are tokens of the answer, [context] is their most. */
public interface TextDecoder : Decoder {
    /**
     * Reads a text that is to be answered; what was answered before is forgotten.
     *
     * @throws edgekit.core.EdgeKitException as for [feed]
     */
    public fun read(text: IntArray)
}
