package edgekit.core.json

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.CodingErrorAction

/**
 * Strict JSON (RFC 8259) from strangers: bounded depth, no key twice, no number beyond a double.
 *
 * Android's org.json takes comments, unquoted text and keys that occur twice, and does not exist on
 * a plain JVM; a bundle must be refused in the same cases as on the machine that made it.
 */
public class JsonReader private constructor(private val text: String) {
    private var at = 0
    private var depth = 0

    public companion object {
        private const val DEEPEST = 200

        /**
         * The one value that the bytes hold, in UTF-8.
         *
         * @throws JsonRefused they hold anything else
         */
        public fun read(bytes: ByteArray): Json = read(decode(bytes))

        /** The one value that a text holds. */
        public fun read(text: String): Json {
            val reader = JsonReader(text)
            val value = reader.value()
            reader.space()
            if (reader.at != text.length) reader.refuse("more after the value")
            return value
        }

        private fun decode(bytes: ByteArray): String {
            val decoder = Charsets.UTF_8.newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT)
            try {
                return decoder.decode(ByteBuffer.wrap(bytes)).toString()
            } catch (error: CharacterCodingException) {
                throw JsonRefused("not UTF-8: $error")
            }
        }
    }

    private fun refuse(reason: String): Nothing = throw JsonRefused("$reason at character $at")

    private fun space() {
        while (at < text.length) {
            val char = text[at]
            if (char > ' ' || char != ' ' && char != '\n' && char != '\t' && char != '\r') return
            at++
        }
    }

    private fun value(): Json {
        space()
        if (at == text.length) refuse("the text ends")
        return when (text[at]) {
            '{' -> nested { members() }
            '[' -> nested { items() }
            '"' -> Json.Text(string())
            't' -> word("true", Json.Bool(true))
            'f' -> word("false", Json.Bool(false))
            'n' -> word("null", Json.Null)
            else -> number()
        }
    }

    private inline fun nested(read: () -> Json): Json {
        if (++depth > DEEPEST) refuse("nested too deeply")
        at++
        val made = read()
        depth--
        return made
    }

    private fun members(): Json {
        val found = LinkedHashMap<String, Json>()
        space()
        if (take('}')) return Json.Object(found)
        do {
            space()
            if (at == text.length || text[at] != '"') refuse("no key")
            val key = string()
            space()
            if (!take(':')) refuse("no colon")
            if (found.put(key, value()) != null) refuse("the key \"${key.take(40)}\" occurs twice")
            space()
        } while (take(','))
        if (!take('}')) refuse("an object does not end")
        return Json.Object(found)
    }

    private fun items(): Json {
        val found = ArrayList<Json>()
        space()
        if (take(']')) return Json.Array(found)
        do {
            found.add(value())
            space()
        } while (take(','))
        if (!take(']')) refuse("an array does not end")
        return Json.Array(found)
    }

    private fun take(char: Char): Boolean {
        if (at < text.length && text[at] == char) {
            at++
            return true
        }
        return false
    }

    private fun word(word: String, value: Json): Json {
        if (!text.startsWith(word, at)) refuse("no value")
        at += word.length
        return value
    }

    private fun string(): String {
        val from = ++at
        while (at < text.length && text[at] != '"' && text[at] != '\\' && text[at] >= ' ') at++
        if (at < text.length && text[at] == '"') return text.substring(from, at++)
        val made = StringBuilder().append(text, from, at)
        while (true) {
            if (at == text.length) refuse("a string does not end")
            val char = text[at++]
            when {
                char == '"' -> return made.toString()
                char == '\\' -> made.append(escaped())
                char < ' ' -> refuse("a control character in a string")
                else -> made.append(char)
            }
        }
    }

    private fun escaped(): Char {
        if (at == text.length) refuse("a string does not end")
        return when (val char = text[at++]) {
            '"', '\\', '/' -> char
            'b' -> '\b'
            'f' -> '\u000C'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> unit()
            else -> refuse("an unknown escape")
        }
    }

    private fun unit(): Char {
        if (at + 4 > text.length) refuse("a string does not end")
        var code = 0
        repeat(4) {
            val digit = Character.digit(text[at], 16)
            if (digit < 0 || text[at].code > 127) refuse("an unknown escape")
            code = code * 16 + digit
            at++
        }
        return code.toChar()
    }

    private fun number(): Json {
        val from = at
        take('-')
        if (!take('0') && digits() == 0) {
            at = from
            refuse("no value")
        }
        if (take('.') && digits() == 0) refuse("a number ends in a point")
        if (at < text.length && text[at] in "eE") {
            at++
            if (at < text.length && text[at] in "+-") at++
            if (digits() == 0) refuse("a number without its exponent")
        }
        val made = Json.Number(text.substring(from, at))
        if (!made.isWhole && !made.lexeme.toDouble().isFinite()) refuse("too large a number")
        return made
    }

    private fun digits(): Int {
        val from = at
        while (at < text.length && text[at] in '0'..'9') at++
        return at - from
    }
}
