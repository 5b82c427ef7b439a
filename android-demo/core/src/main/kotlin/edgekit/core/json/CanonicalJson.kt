package edgekit.core.json

/**
 * JSON in edgekit's one form: keys sorted by code point, one space of indent, UTF-8, one newline.
 *
 * Numbers are written as they were read.
 */
public object CanonicalJson {
    private val byCodePoint = Comparator<String> { one, other -> compare(one, other) }

    /** The bytes of a value; null when a string in it is not valid Unicode. */
    public fun bytes(value: Json): ByteArray? {
        val made = StringBuilder()
        write(value, 0, made)
        made.append('\n')
        return if (isUnicode(made)) made.toString().toByteArray(Charsets.UTF_8) else null
    }

    /** A text as a JSON string, quotes included. */
    public fun quoted(text: String): String = StringBuilder().also { quote(text, it) }.toString()

    private fun write(value: Json, level: Int, made: StringBuilder) {
        when (value) {
            is Json.Object -> {
                val keys = value.members.keys.sortedWith(byCodePoint)
                group('{', '}', keys, level, made) {
                    quote(it, made)
                    made.append(": ")
                    write(value.members.getValue(it), level + 1, made)
                }
            }
            is Json.Array -> group('[', ']', value.items, level, made) { write(it, level + 1, made) }
            is Json.Text -> quote(value.value, made)
            is Json.Number -> made.append(value.lexeme)
            is Json.Bool -> made.append(value.value)
            is Json.Null -> made.append("null")
        }
    }

    private inline fun <T> group(
        open: Char,
        close: Char,
        items: Collection<T>,
        level: Int,
        made: StringBuilder,
        write: (T) -> Unit,
    ) {
        made.append(open)
        var first = true
        for (item in items) {
            if (!first) made.append(',')
            first = false
            line(level + 1, made)
            write(item)
        }
        if (!first) line(level, made)
        made.append(close)
    }

    private fun line(level: Int, made: StringBuilder) {
        made.append('\n')
        repeat(level) { made.append(' ') }
    }

    private fun quote(text: String, made: StringBuilder) {
        made.append('"')
        for (char in text) {
            when (char) {
                '"' -> made.append("\\\"")
                '\\' -> made.append("\\\\")
                '\n' -> made.append("\\n")
                '\r' -> made.append("\\r")
                '\t' -> made.append("\\t")
                '\b' -> made.append("\\b")
                '\u000C' -> made.append("\\f")
                else -> if (char < ' ') made.append("\\u00").append(hex(char.code)) else made.append(char)
            }
        }
        made.append('"')
    }

    private fun hex(code: Int): String = "" + Character.forDigit(code shr 4, 16) + Character.forDigit(code and 15, 16)

    private fun compare(one: String, other: String): Int {
        var at = 0
        while (at < one.length && at < other.length) {
            val a = one.codePointAt(at)
            val b = other.codePointAt(at)
            if (a != b) return a.compareTo(b)
            at += Character.charCount(a)
        }
        return one.length.compareTo(other.length)
    }

    private fun isUnicode(text: CharSequence): Boolean {
        var at = 0
        while (at < text.length) {
            val code = Character.codePointAt(text, at)
            if (code in 0xD800..0xDFFF) return false
            at += Character.charCount(code)
        }
        return true
    }
}
