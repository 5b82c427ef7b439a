package edgekit.core.bundle

import edgekit.core.EdgeKitException
import edgekit.core.json.Fields
import edgekit.core.json.FormRefused
import kotlin.math.sqrt

/**
 * A golden that was run again.
 *
 * @property cosine of the angle between the answer here and the one of the machine that made the bundle
 * @property floor the least cosine that passes
 */
public class Replayed(public val text: String, public val cosine: Double, public val floor: Double) {
    /** Whether it is near enough. */
    public val passed: Boolean get() = cosine >= floor
}

/** Replays goldens; the comparison is that of Python's edgekit/parity.py. */
internal object SelfTest {
    /** Below so many numbers a row, all rows point the same way: their common length is one more number. */
    private const val NARROW = 16

    fun replay(bundle: Bundle, runtime: String, run: (Golden) -> FloatArray): Sequence<Replayed> {
        val floor = try {
            Fields(bundle.manifest.json, "the manifest").fields("goldens").fields("tolerances").fields(runtime).real("same_artifact")
        } catch (error: FormRefused) {
            throw EdgeKitException.BundleCorrupt("the bundle has no tolerance for $runtime: ${error.message}", error)
        }
        val goldens = Goldens.read(bundle, runtime)
        val scale = scale(goldens)
        return goldens.asSequence().map { Replayed(it.text, cosine(it.expected.values, run(it), scale), floor) }
    }

    private fun scale(goldens: List<Golden>): Double {
        val width = goldens.firstOrNull()?.expected?.shape?.lastOrNull() ?: return 0.0
        if (width !in 1 until NARROW) return 0.0
        var squares = 0.0
        var rows = 0L
        for (golden in goldens) {
            for (value in golden.expected.values) squares += value.toDouble() * value
            rows += golden.expected.values.size / width
        }
        return sqrt(squares / rows)
    }

    /** What padding added behind the expected rows is left out. */
    private fun cosine(expected: FloatArray, given: FloatArray, scale: Double): Double {
        if (given.size < expected.size) return -1.0
        var dot = scale * scale
        var one = dot
        var other = dot
        for (index in expected.indices) {
            dot += expected[index].toDouble() * given[index]
            one += expected[index].toDouble() * expected[index]
            other += given[index].toDouble() * given[index]
        }
        val lengths = sqrt(one) * sqrt(other)
        return if (lengths == 0.0) 1.0 else (dot / lengths).let { if (it.isNaN()) -1.0 else it.coerceIn(-1.0, 1.0) }
    }
}
