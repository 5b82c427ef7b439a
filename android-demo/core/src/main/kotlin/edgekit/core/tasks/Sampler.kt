package edgekit.core.tasks

import edgekit.core.EdgeKitException
import kotlin.math.exp

/**
 * How the next token is drawn.
 *
 * @property temperature 0 takes the most likely token always; above 1 flattens
 * @property topK how many tokens stay in the draw; 0 keeps all
 * @property topP the least sum of probabilities that stays in the draw, the most likely first
 * @property repetitionPenalty above 1 makes tokens that were said less likely
 * @property seed of the draw: the same seed and logits give the same tokens on every device
 */
public class Sampling(
    public val temperature: Double = 0.0,
    public val topK: Int = 0,
    public val topP: Double = 1.0,
    public val repetitionPenalty: Double = 1.0,
    public val seed: Long = 0,
)

/**
 * Draws tokens. For one thread at a time.
 *
 * @throws EdgeKitException.SpecError an option is out of its bounds
 */
public class Sampler(private val how: Sampling) {
    private var state = how.seed

    init {
        val fault = when {
            !(how.temperature >= 0.0 && how.temperature.isFinite()) -> "the temperature is ${how.temperature}"
            how.topK < 0 -> "topK is ${how.topK}"
            !(how.topP > 0.0 && how.topP <= 1.0) -> "topP is ${how.topP}"
            !(how.repetitionPenalty > 0.0 && how.repetitionPenalty.isFinite()) ->
                "the repetition penalty is ${how.repetitionPenalty}"
            else -> null
        }
        if (fault != null) {
            throw EdgeKitException.SpecError(fault, "temperature >= 0, topK >= 0, 0 < topP <= 1, repetitionPenalty > 0.")
        }
    }

    /** The next token's id. [said] are the tokens so far, the prompt's included; logits stay as they are. */
    public fun next(logits: FloatArray, said: IntArray): Int {
        val scores = DoubleArray(logits.size) { if (logits[it].isNaN()) Double.NEGATIVE_INFINITY else logits[it].toDouble() }
        if (how.repetitionPenalty != 1.0) {
            for (id in said.toSet()) if (id in scores.indices) scores[id] = penalized(scores[id])
        }
        if (how.temperature == 0.0) return Numbers.top(scores, 1).single()
        for (index in scores.indices) scores[index] /= how.temperature
        return draw(scores)
    }

    private fun penalized(score: Double): Double =
        if (score < 0) score * how.repetitionPenalty else score / how.repetitionPenalty

    private fun draw(scores: DoubleArray): Int {
        val ordered = if (how.topK in 1 until scores.size) Numbers.top(scores, how.topK) else Numbers.descending(scores)
        val most = scores[ordered[0]]
        val weights = DoubleArray(ordered.size) { exp(scores[ordered[it]] - most) }
        val sum = weights.sum()
        var kept = 0
        var held = 0.0
        while (kept < weights.size && (kept == 0 || held < how.topP * sum)) held += weights[kept++]
        var left = uniform() * held
        for (index in 0 until kept) {
            left -= weights[index]
            if (left < 0) return ordered[index]
        }
        return ordered[kept - 1]
    }

    /** SplitMix64: written out, so that no version of a library changes what a seed gives. */
    private fun uniform(): Double {
        state += -7046029254386353131L
        var mixed = state
        mixed = (mixed xor (mixed ushr 30)) * -4658895280553007687L
        mixed = (mixed xor (mixed ushr 27)) * -7723592293110705685L
        mixed = mixed xor (mixed ushr 31)
        return (mixed ushr 11) * (1.0 / (1L shl 53))
    }
}
