package edgekit.core.tokenizer

import edgekit.core.json.Fields
import edgekit.core.regex.Pattern

/** The members that several components of a tokenizer.json share. */
internal object Patterns {
    /** What to look for: a text as it stands, or a regular expression. */
    fun read(fields: Fields): Pattern {
        val pattern = fields.fields("pattern")
        return when (pattern.names.singleOrNull()) {
            "String" -> Pattern.literal(pattern.text("String"))
            "Regex" -> Pattern.compile(pattern.text("Regex"))
            else -> fields.wrong("pattern", "a String or a Regex")
        }
    }

    fun behavior(fields: Fields): Behavior {
        val name = fields.text("behavior")
        return Behavior.values().firstOrNull { it.name == name } ?: fields.wrong("behavior", "a known one")
    }

    fun mark(fields: Fields): Int = character(fields, "replacement")

    /** A string of one character. */
    fun character(fields: Fields, name: String): Int {
        val text = fields.text(name)
        if (text.isEmpty() || text.codePointCount(0, text.length) != 1) fields.wrong(name, "one character")
        return text.codePointAt(0)
    }
}

internal object Base64Text {
    fun decode(text: String): ByteArray = try {
        java.util.Base64.getDecoder().decode(text)
    } catch (error: IllegalArgumentException) {
        throw CharsmapDamaged("it is not base64")
    }
}
