package edgekit.core.regex

import edgekit.core.tokenizer.Ranges

/** A compiled pattern, searched from left to right without overlaps. */
internal class Pattern private constructor(private val start: Node) {

    /** All matches in a part of a text; an empty one right behind another is left out. */
    fun findAll(points: IntArray, begin: Int, stop: Int): Ranges {
        val input = Input(points, stop, stop - begin)
        val found = Ranges()
        var from = begin
        var last = -1
        while (from <= stop) {
            var at = from
            var end = start.match(input, at)
            while (end < 0 && at < stop) end = start.match(input, ++at)
            input.spend(at - from + 1)
            if (end < 0) break
            if (end == at && end == last) {
                from = maxOf(from, at) + 1
                continue
            }
            found.add(at, end)
            from = end
            last = end
        }
        return found
    }

    companion object {
        /**
         * Compiles a regular expression.
         *
         * @throws PatternRefused it has something that this reader does not know
         */
        fun compile(text: String): Pattern {
            if (text.length > LONGEST) throw PatternRefused("a pattern of ${text.length} characters")
            return Pattern(link(PatternParser(text).parse(), End))
        }

        /** The pattern that finds a text as it stands. */
        fun literal(text: String): Pattern {
            if (text.length > LONGEST) throw PatternRefused("a text of ${text.length} characters to look for")
            val points = text.codePoints().toArray()
            return Pattern(points.foldRight(End as Node) { point, next -> Literal(point, next) })
        }

        private const val LONGEST = 2000

        private fun link(part: Part, next: Node): Node = when (part) {
            is Part.Set -> One(part.set, next)
            is Part.Many -> Repeat(part.set, part.least, part.most, part.keeps, next)
            is Part.Maybe -> Choice(arrayOf(link(part.body, next), next))
            is Part.Row -> part.parts.foldRight(next) { each, rest -> link(each, rest) }
            is Part.Either -> Choice(Array(part.ways.size) { link(part.ways[it], next) })
            is Part.Look -> Ahead(link(part.body, End), part.wanted, next)
        }
    }
}
