package edgekit.core.json

/** A JSON value. Numbers keep their text: a manifest's seal is over the bytes as they were written. */
public sealed class Json {
    /** An object; the order of its members is kept. */
    public class Object(public val members: Map<String, Json>) : Json()

    /** An array. */
    public class Array(public val items: List<Json>) : Json()

    /** A string. */
    public class Text(public val value: String) : Json()

    /** A number as it was written. */
    public class Number(public val lexeme: String) : Json() {
        /** Whether it was written without a fraction and an exponent. */
        public val isWhole: Boolean get() = lexeme.none { it == '.' || it == 'e' || it == 'E' }
    }

    /** `true` or `false`. */
    public class Bool(public val value: Boolean) : Json()

    /** `null`. */
    public object Null : Json()
}

/** The text is not JSON, or more than the reader takes. */
public class JsonRefused(message: String) : Exception(message)
