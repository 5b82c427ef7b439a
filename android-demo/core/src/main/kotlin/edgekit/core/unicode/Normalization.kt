package edgekit.core.unicode

/**
 * Unicode normalization that says of each made character how it came about.
 *
 * A change of 0 replaces one character, 1 adds one, -n replaces one and takes the n after it away.
 */
internal class Normalization private constructor(private val compatibility: Boolean) {
    private val points = IntList()
    private val changes = IntList()
    private val classes = IntList()

    companion object {
        private const val S = 0xAC00
        private const val L = 0x1100
        private const val V = 0x1161
        private const val T = 0x11A7
        private const val L_COUNT = 19
        private const val V_COUNT = 21
        private const val T_COUNT = 28
        private const val S_COUNT = L_COUNT * V_COUNT * T_COUNT

        /** NFD, or NFKD: made code points and their changes. */
        fun decomposed(text: IntArray, length: Int, compatibility: Boolean): Pair<IntList, IntList> {
            val made = Normalization(compatibility)
            made.decompose(text, length)
            return made.points to made.changes
        }

        /** NFC, or NFKC: made code points and their changes. */
        fun composed(text: IntArray, length: Int, compatibility: Boolean): Pair<IntList, IntList> {
            val made = Normalization(compatibility)
            made.decompose(text, length)
            return made.compose()
        }

        private fun join(first: Int, second: Int): Int {
            if (first in L until L + L_COUNT && second in V until V + V_COUNT) {
                return S + ((first - L) * V_COUNT + (second - V)) * T_COUNT
            }
            val open = first in S until S + S_COUNT && (first - S) % T_COUNT == 0
            if (open && second in T + 1 until T + T_COUNT) return first + (second - T)
            return Unicode.composition(first, second)
        }
    }

    private fun decompose(text: IntArray, length: Int) {
        for (index in 0 until length) {
            val point = text[index]
            if (point < 0xA0) {
                points.add(point)
                changes.add(0)
                classes.add(0)
            } else if (point in S until S + S_COUNT) {
                hangul(point - S)
            } else {
                val parts = Unicode.decomposition(point, compatibility)
                if (parts == null) push(point, 0) else for (n in parts.indices) push(parts[n], if (n == 0) 0 else 1)
            }
        }
    }

    private fun hangul(index: Int) {
        push(L + index / (V_COUNT * T_COUNT), 0)
        push(V + index % (V_COUNT * T_COUNT) / T_COUNT, 1)
        if (index % T_COUNT > 0) push(T + index % T_COUNT, 1)
    }

    /** Adds a character behind those of its class or below: a stable sort up to the last starter. */
    private fun push(point: Int, change: Int) {
        val order = Unicode.combiningClass(point)
        points.add(point)
        changes.add(change)
        classes.add(order)
        if (order == 0) return
        var at = points.size - 1
        while (at > 0 && classes[at - 1] > order) {
            points[at] = points[at - 1]
            changes[at] = changes[at - 1]
            classes[at] = classes[at - 1]
            at--
        }
        points[at] = point
        changes[at] = change
        classes[at] = order
    }

    private fun compose(): Pair<IntList, IntList> {
        val made = IntList(points.size)
        val how = IntList(points.size)
        var starter = -1
        var lastClass = -1
        for (index in 0 until points.size) {
            val point = points[index]
            val order = classes[index]
            // A mark is blocked from its starter by one of the same or a higher class between them.
            if (starter >= 0 && (lastClass < 0 || lastClass < order)) {
                val joined = join(made[starter], point)
                if (joined >= 0) {
                    made[starter] = joined
                    how[starter] = how[starter] + changes[index] - 1
                    continue
                }
            }
            if (order == 0) {
                starter = made.size
                lastClass = -1
            } else if (starter >= 0) {
                lastClass = order
            }
            made.add(point)
            how.add(changes[index])
        }
        return made to how
    }
}
