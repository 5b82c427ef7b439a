package edgekit.core.tasks

import kotlin.math.exp
import kotlin.math.sqrt

/** Sums that several tasks share. */
public object Numbers {
    /** Probabilities that add up to 1. */
    @JvmStatic
    public fun softmax(logits: DoubleArray): DoubleArray {
        val most = logits.maxOrNull() ?: return logits
        val made = DoubleArray(logits.size) { exp(logits[it] - most) }
        val sum = made.sum()
        return DoubleArray(made.size) { made[it] / sum }
    }

    /** One probability. */
    @JvmStatic
    public fun sigmoid(logit: Double): Double = 1.0 / (1.0 + exp(-logit))

    /** Places of the numbers from the highest down; equal ones stay in order. */
    @JvmStatic
    public fun descending(values: DoubleArray): List<Int> = values.indices.sortedByDescending { values[it] }

    /** Places of the [count] highest numbers from the highest down, without sorting the rest. */
    @JvmStatic
    public fun top(values: DoubleArray, count: Int): List<Int> {
        val best = ArrayList<Int>(count + 1)
        for (index in values.indices) {
            if (best.size == count && values[index] <= values[best[best.size - 1]]) continue
            var at = best.size
            while (at > 0 && values[best[at - 1]] < values[index]) at--
            best.add(at, index)
            if (best.size > count) best.removeAt(best.size - 1)
        }
        return best
    }

    /** Cosine of the angle between two vectors, -1 to 1; 0 where one has no length. */
    @JvmStatic
    public fun cosine(one: FloatArray, other: FloatArray): Double {
        require(one.size == other.size) { "vectors of ${one.size} and ${other.size} numbers" }
        var dot = 0.0
        var first = 0.0
        var second = 0.0
        for (index in one.indices) {
            dot += one[index].toDouble() * other[index]
            first += one[index].toDouble() * one[index]
            second += other[index].toDouble() * other[index]
        }
        return if (first == 0.0 || second == 0.0) 0.0 else dot / sqrt(first * second)
    }
}
