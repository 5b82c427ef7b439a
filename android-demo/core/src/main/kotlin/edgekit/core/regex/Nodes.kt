package edgekit.core.regex

/** The text that is searched, and how much work may still be spent on it. */
internal class Input(val points: IntArray, val length: Int, searched: Int) {
    private var budget = STEPS + STEPS_A_CHARACTER * searched

    fun spend(steps: Int) {
        budget -= steps
        if (budget < 0) throw PatternTooSlow()
    }

    private companion object {
        const val STEPS = 10_000_000L
        const val STEPS_A_CHARACTER = 100L
    }
}

/** A pattern went back and forth over a text too often. */
internal class PatternTooSlow : Exception("the tokenizer's pattern takes too long on this text")

/** A compiled part of a pattern; each knows what follows it. */
internal interface Node {
    /** Where the whole pattern ends when this part starts at [at]; -1 where it does not match. */
    fun match(input: Input, at: Int): Int
}

internal object End : Node {
    override fun match(input: Input, at: Int): Int = at
}

internal class Literal(private val point: Int, private val next: Node) : Node {
    override fun match(input: Input, at: Int): Int =
        if (at < input.length && input.points[at] == point) next.match(input, at + 1) else -1
}

internal class One(private val set: PointSet, private val next: Node) : Node {
    override fun match(input: Input, at: Int): Int =
        if (at < input.length && set.has(input.points[at])) next.match(input, at + 1) else -1
}

/** A repeated set: as many as there are, then fewer, unless [keeps] all. */
internal class Repeat(
    private val set: PointSet,
    private val least: Int,
    private val most: Int,
    private val keeps: Boolean,
    private val next: Node,
) : Node {
    override fun match(input: Input, at: Int): Int {
        var end = at
        val limit = if (most > input.length - at) input.length else at + most
        while (end < limit && set.has(input.points[end])) end++
        input.spend(end - at + 1)
        if (end - at < least) return -1
        if (next === End) return end
        while (true) {
            val found = next.match(input, end)
            if (found >= 0 || keeps || end - at == least) return found
            end--
            input.spend(1)
        }
    }
}

internal class Choice(private val ways: Array<Node>) : Node {
    override fun match(input: Input, at: Int): Int {
        for (way in ways) {
            val found = way.match(input, at)
            if (found >= 0) return found
        }
        return -1
    }
}

/** Looks ahead without moving. */
internal class Ahead(private val body: Node, private val wanted: Boolean, private val next: Node) : Node {
    override fun match(input: Input, at: Int): Int =
        if ((body.match(input, at) >= 0) == wanted) next.match(input, at) else -1
}
