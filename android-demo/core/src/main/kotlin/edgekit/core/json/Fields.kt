package edgekit.core.json

/** A JSON object has not the form that it should have; the message says where. */
public class FormRefused(message: String) : Exception(message)

/** An object's members by name, each with the type that it must have. */
public class Fields(value: Json?, private val where: String) {
    private val members: Map<String, Json> =
        (value as? Json.Object)?.members ?: throw FormRefused("$where is not an object")

    /** The names of all members. */
    public val names: Set<String> get() = members.keys

    /** Refuses members of any other name. */
    public fun only(vararg known: String) {
        val other = members.keys.firstOrNull { it !in known } ?: return
        throw FormRefused("$where has an unknown key \"${other.take(40)}\"")
    }

    /** A member; JSON's null where it is absent. */
    public fun raw(name: String): Json = members[name] ?: Json.Null

    /** Whether a member is there and not null. */
    public fun has(name: String): Boolean = raw(name) != Json.Null

    /** An object. */
    public fun fields(name: String): Fields = Fields(required(name), "$where.$name")

    /** The objects of an array. */
    public fun list(name: String): List<Fields> =
        items(name).mapIndexed { index, item -> Fields(item, "$where.$name[$index]") }

    /** The items of an array. */
    public fun items(name: String): List<Json> =
        (required(name) as? Json.Array)?.items ?: wrong(name, "an array")

    /** The strings of an array. */
    public fun texts(name: String): List<String> =
        items(name).map { (it as? Json.Text)?.value ?: wrong(name, "an array of strings") }

    /** A string. */
    public fun text(name: String): String = (required(name) as? Json.Text)?.value ?: wrong(name, "a string")

    /** A string, or null where it is absent or null. */
    public fun optionalText(name: String): String? = if (has(name)) text(name) else null

    /** A boolean. */
    public fun flag(name: String): Boolean = (required(name) as? Json.Bool)?.value ?: wrong(name, "true or false")

    /** A boolean, or [absent] where it is absent or null. */
    public fun flag(name: String, absent: Boolean): Boolean = if (has(name)) flag(name) else absent

    /** A whole number in the bounds of a long. */
    public fun whole(name: String): Long = whole(required(name)) ?: wrong(name, "a whole number")

    /** A whole number from 0 on in the bounds of an int. */
    public fun count(name: String): Int =
        whole(name).takeIf { it in 0..Int.MAX_VALUE }?.toInt() ?: wrong(name, "a whole number from 0 on")

    /** A number. */
    public fun real(name: String): Double =
        (required(name) as? Json.Number)?.lexeme?.toDouble() ?: wrong(name, "a number")

    /** Tells that a member is not what it should be. */
    public fun wrong(name: String, wanted: String): Nothing = throw FormRefused("$where.$name is not $wanted")

    private fun required(name: String): Json = members[name] ?: throw FormRefused("$where has no \"$name\"")

    public companion object {
        /** The whole number that a value is; null where it is none, or beyond a long. */
        public fun whole(value: Json): Long? = (value as? Json.Number)?.takeIf { it.isWhole }?.lexeme?.toLongOrNull()
    }
}
