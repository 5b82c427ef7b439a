package edgekit.core.regex

import edgekit.core.unicode.Unicode

/** A pattern has something that this reader does not know; the message names it. */
internal class PatternRefused(message: String) : Exception(message)

/** What a pattern says, before it is linked. */
internal sealed interface Part {
    class Set(val set: PointSet, val letter: Int = -1) : Part

    class Many(val set: PointSet, val least: Int, val most: Int, val keeps: Boolean) : Part

    class Maybe(val body: Part) : Part

    class Row(val parts: List<Part>) : Part

    class Either(val ways: List<Part>) : Part

    class Look(val body: Part, val wanted: Boolean) : Part
}

/**
 * Reads the part of Oniguruma's syntax that tokenizers use.
 *
 * Whatever could mean something else than it says here is refused: lazy and repeated groups,
 * anchors, look-behind, back references, intersections of classes.
 */
internal class PatternParser(text: String) {
    private val points = text.codePoints().toArray()
    private var at = 0
    private var depth = 0

    fun parse(): Part {
        val made = either(false)
        if (at < points.size) refuse("a closing parenthesis too many")
        return made
    }

    private fun refuse(what: String): Nothing = throw PatternRefused("$what, at character $at of the pattern")

    private fun peek(): Int = if (at < points.size) points[at] else -1

    private fun take(char: Char): Boolean {
        if (peek() != char.code) return false
        at++
        return true
    }

    private fun take(word: String): Boolean {
        for (index in word.indices) {
            if (at + index >= points.size || points[at + index] != word[index].code) return false
        }
        at += word.length
        return true
    }

    private fun either(ignoreCase: Boolean): Part {
        if (++depth > DEEPEST) refuse("groups nested too deeply")
        val ways = ArrayList<Part>()
        do {
            ways.add(row(ignoreCase))
        } while (take('|'))
        depth--
        return if (ways.size == 1) ways[0] else Part.Either(ways)
    }

    private fun row(ignoreCase: Boolean): Part {
        val parts = ArrayList<Part>()
        var before = -1
        while (at < points.size && peek() != '|'.code && peek() != ')'.code) {
            val atom = atom(ignoreCase)
            val letter = (atom as? Part.Set)?.letter ?: -1
            if (ignoreCase && before >= 0 && letter >= 0 && "${before.toChar()}${letter.toChar()}" in JOINED) {
                refuse("letters that a ligature can stand for, without case")
            }
            before = letter
            parts.add(quantified(atom))
        }
        return Part.Row(parts)
    }

    private fun quantified(atom: Part): Part {
        val (least, most) = when {
            take('?') -> 0 to 1
            take('*') -> 0 to ENDLESS
            take('+') -> 1 to ENDLESS
            peek() == '{'.code -> bounds()
            else -> return atom
        }
        val counted = points[at - 1] == '}'.code
        val keeps = !counted && take('+')
        if (peek() == '?'.code || peek() == '+'.code || peek() == '*'.code) refuse("a lazy or doubled quantifier")
        if (atom is Part.Set) return Part.Many(atom.set, least, most, keeps)
        if (atom is Part.Look || keeps || least != 0 || most != 1) refuse("a repeated group")
        return Part.Maybe(atom)
    }

    private fun bounds(): Pair<Int, Int> {
        at++
        val least = number()
        val most = if (take(',')) (if (peek() == '}'.code) ENDLESS else number()) else least
        if (!take('}') || least < 0 || most < least) refuse("a quantifier")
        return least to most
    }

    private fun number(): Int {
        var value = -1
        while (peek() in '0'.code..'9'.code) {
            value = maxOf(value, 0) * 10 + (points[at++] - '0'.code)
            if (value > 1000) refuse("a quantifier above 1000")
        }
        return value
    }

    private fun atom(ignoreCase: Boolean): Part {
        val point = points[at++]
        return when (point.toChar().takeIf { point < 128 }) {
            '(' -> group(ignoreCase)
            '[' -> Part.Set(characterClass(ignoreCase))
            '.' -> Part.Set(PointSet.Builder().apply { range('\n'.code, '\n'.code) }.build(negated = true))
            '\\' -> escape(PointSet.Builder(), ignoreCase)
            '^', '$' -> refuse("an anchor")
            '*', '+', '?', '{' -> refuse("a quantifier of nothing")
            else -> literal(point, PointSet.Builder(), ignoreCase)
        }
    }

    private fun literal(point: Int, into: PointSet.Builder, ignoreCase: Boolean): Part {
        if (ignoreCase && point > 127) refuse("a letter beyond ASCII without case")
        into.range(point, point, ignoreCase)
        val small = if (point < 128) Character.toLowerCase(point) else -1
        return Part.Set(into.build(), if (small in 'a'.code..'z'.code) small else -1)
    }

    private fun group(ignoreCase: Boolean): Part {
        val body = when {
            take("?:") -> either(ignoreCase)
            take("?i:") -> either(true)
            take("?=") -> Part.Look(either(ignoreCase), true)
            take("?!") -> Part.Look(either(ignoreCase), false)
            peek() == '?'.code -> refuse("a group of another kind")
            else -> either(ignoreCase)
        }
        if (!take(')')) refuse("a group that does not end")
        // A group of one set is that set: it may be repeated.
        return ((body as? Part.Row)?.parts?.singleOrNull() as? Part.Set)?.let { Part.Set(it.set) } ?: body
    }

    private fun escape(into: PointSet.Builder, ignoreCase: Boolean): Part {
        val point = escaped(into) ?: return Part.Set(into.build())
        return literal(point, into, ignoreCase)
    }

    /** The one character that an escape stands for; null when it stands for a set, which is added. */
    private fun escaped(into: PointSet.Builder): Int? {
        if (at == points.size) refuse("a lone backslash")
        val point = points[at++]
        when (point.toChar().takeIf { point < 128 }) {
            'n' -> return '\n'.code
            'r' -> return '\r'.code
            't' -> return '\t'.code
            'f' -> return 0x0C
            's' -> into.property(Unicode.PATTERN_SPACE, true)
            'S' -> into.property(Unicode.PATTERN_SPACE, false)
            'w' -> into.property(Unicode.PATTERN_WORD, true)
            'W' -> into.property(Unicode.PATTERN_WORD, false)
            'd' -> into.categories(mask("Nd"))
            'D' -> into.categories(mask("Nd").inv())
            'p' -> category(into, false)
            'P' -> category(into, true)
            'u' -> return code(4)
            else -> if (point > 127 || Character.isLetterOrDigit(point)) refuse("an unknown escape") else return point
        }
        return null
    }

    private fun code(digits: Int): Int {
        var value = 0
        repeat(digits) {
            val digit = if (at < points.size) Character.digit(points[at++], 16) else -1
            if (digit < 0) refuse("an unknown escape")
            value = value * 16 + digit
        }
        return value
    }

    private fun category(into: PointSet.Builder, without: Boolean) {
        if (!take('{')) refuse("a property without braces")
        val negated = take('^') != without
        val name = StringBuilder()
        while (at < points.size && peek() != '}'.code) name.appendCodePoint(points[at++])
        if (!take('}')) refuse("a property that does not end")
        val mask = mask(name.toString())
        into.categories(if (negated) mask.inv() else mask)
    }

    private fun mask(name: String): Int {
        val number = Unicode.CATEGORIES.indexOf(name)
        if (number >= 0) return 1 shl number
        val found = Unicode.CATEGORIES.withIndex().filter { name.length == 1 && it.value.startsWith(name) }
        if (found.isEmpty()) refuse("the property $name")
        return found.fold(0) { sum, item -> sum or (1 shl item.index) }
    }

    private fun characterClass(ignoreCase: Boolean): PointSet {
        val into = PointSet.Builder()
        val negated = take('^')
        var first = true
        while (first || peek() != ']'.code) {
            if (at == points.size) refuse("a class that does not end")
            if (peek() == '['.code || peek() == '&'.code && points.getOrNull(at + 1) == '&'.code || first && peek() == ']'.code) {
                refuse("a class in a class")
            }
            first = false
            val from = member(into) ?: continue
            var to = from
            if (peek() == '-'.code && points.getOrNull(at + 1) != ']'.code) {
                at++
                to = member(into) ?: refuse("a range to a set")
            }
            if (to < from) refuse("a range that runs backwards")
            if (ignoreCase && to > 127) refuse("a letter beyond ASCII without case")
            into.range(from, to, ignoreCase)
        }
        at++
        if (negated && into.hasLetters) refuse("a negated class without case")
        return into.build(negated)
    }

    private fun member(into: PointSet.Builder): Int? {
        if (at == points.size) refuse("a class that does not end")
        return if (take('\\')) escaped(into) else points[at++]
    }

    private companion object {
        const val ENDLESS = Int.MAX_VALUE
        const val DEEPEST = 50
        val JOINED = setOf("ss", "st", "ff", "fi", "fl")
    }
}
