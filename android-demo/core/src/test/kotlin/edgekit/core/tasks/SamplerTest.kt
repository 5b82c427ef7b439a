package edgekit.core.tasks

import edgekit.core.EdgeKitException
import kotlin.math.abs
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class SamplerTest {
    private val logits = floatArrayOf(1f, 3f, 2f, -1f, 3f)
    private val nobody = IntArray(0)

    private fun shares(how: Sampling, count: Int = 20_000): DoubleArray {
        val sampler = Sampler(how)
        val found = DoubleArray(logits.size)
        repeat(count) { found[sampler.next(logits, nobody)] += 1.0 / count }
        return found
    }

    @Test
    fun greedyTakesTheFirstOfTheHighest() {
        assertEquals(1, Sampler(Sampling()).next(logits, nobody))
        assertEquals(4, Sampler(Sampling(repetitionPenalty = 1.5)).next(logits, intArrayOf(1)))
        val low = floatArrayOf(-1f, -1.2f)
        assertEquals(1, Sampler(Sampling(repetitionPenalty = 2.0)).next(low, intArrayOf(0, 0, 99)))
        assertEquals(1, Sampler(Sampling()).next(floatArrayOf(Float.NaN, 0f), nobody))
    }

    @Test
    fun sharesAreTheProbabilities() {
        for (temperature in listOf(0.7, 1.0, 2.0)) {
            val wanted = Numbers.softmax(DoubleArray(logits.size) { logits[it] / temperature })
            val made = shares(Sampling(temperature, seed = 4))
            for (index in wanted.indices) assertTrue("$index", abs(wanted[index] - made[index]) < 0.015)
        }
    }

    @Test
    fun topKAndTopPLeaveTheUnlikelyOut() {
        val two = shares(Sampling(1.0, topK = 2, seed = 1))
        assertArrayEquals(doubleArrayOf(0.0, 0.5, 0.0, 0.0, 0.5), two, 0.02)
        // The two highest hold 0.79 of all, the third brings it to 0.93.
        assertEquals(0.0, shares(Sampling(1.0, topP = 0.75, seed = 1))[2], 0.0)
        assertTrue(shares(Sampling(1.0, topP = 0.85, seed = 1))[2] > 0.1)
        assertEquals(1.0, shares(Sampling(1.0, topP = 1e-9, seed = 1), 100)[1], 1e-9)
    }

    @Test
    fun aSeedGivesTheSameTokens() {
        fun drawn(seed: Long) = Sampler(Sampling(1.0, seed = seed)).let { sampler -> List(50) { sampler.next(logits, nobody) } }
        assertEquals(drawn(7), drawn(7))
        assertNotEquals(drawn(7), drawn(8))
    }

    @Test
    fun optionsOutOfBoundsAreRefused() {
        val bad = listOf(
            Sampling(temperature = -1.0), Sampling(temperature = Double.NaN), Sampling(topK = -1), Sampling(topP = 0.0),
            Sampling(topP = 1.1), Sampling(repetitionPenalty = 0.0),
        )
        for (how in bad) assertThrows(EdgeKitException.SpecError::class.java) { Sampler(how) }
    }
}
