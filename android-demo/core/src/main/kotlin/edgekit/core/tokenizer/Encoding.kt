package edgekit.core.tokenizer

/**
 * The tokens of a text or of two.
 *
 * @property ids token ids
 * @property types 0 or 1: the segment that a token belongs to
 * @property starts where each token begins in its text, in code points; 0 for a token of the template
 * @property ends where it ends, exclusive
 * @property words which piece of its split text each token is from; -1 for tokens of the template
 * @property sequences 0 for the first text, 1 for the second, -1 for tokens of the template
 */
public class Encoding internal constructor(
    public val ids: IntArray,
    public val types: IntArray,
    public val starts: IntArray,
    public val ends: IntArray,
    public val words: IntArray,
    public val sequences: IntArray,
    private val texts: List<String>,
) {
    /** How many tokens there are. */
    public val size: Int get() = ids.size

    /** [starts] as indices of Kotlin's strings, which count UTF-16 units. */
    public val utf16Starts: IntArray by lazy { utf16(starts) }

    /** [ends] as indices of Kotlin's strings, which count UTF-16 units. */
    public val utf16Ends: IntArray by lazy { utf16(ends) }

    /** The part of its text that a token stands for; empty for a token of the template. */
    public fun covered(index: Int): String =
        if (sequences[index] < 0) "" else texts[sequences[index]].substring(utf16Starts[index], utf16Ends[index])

    private fun utf16(places: IntArray): IntArray {
        val units = texts.map { text ->
            val made = IntArray(text.codePointCount(0, text.length) + 1)
            var at = 0
            for (index in made.indices) {
                made[index] = at
                if (at < text.length) at += Character.charCount(text.codePointAt(at))
            }
            made
        }
        return IntArray(places.size) { if (sequences[it] < 0) 0 else units[sequences[it]][places[it]] }
    }
}

/** Which of two texts is cut when they are too long together. */
public enum class Cut {
    /** Whichever is longer. */
    LONGEST_FIRST,

    /** The first only. */
    ONLY_FIRST,

    /** The second only. */
    ONLY_SECOND,
}

/**
 * How to cut what is too long.
 *
 * @property most tokens to keep, those of the template included
 * @property cut which of two texts is cut
 * @property fromLeft whether the beginning goes, instead of the end
 */
public class Truncation(
    public val most: Int,
    public val cut: Cut = Cut.LONGEST_FIRST,
    public val fromLeft: Boolean = false,
)
