package edgekit.core.bundle

import edgekit.core.json.Fields
import edgekit.core.json.FormRefused
import edgekit.core.json.Json

/**
 * Checks a value against a JSON Schema, as far as edgekit's own schema of the manifest goes.
 *
 * The schema is the one that Python publishes, brought along as a resource: the form of a manifest
 * is said in one place. A keyword that is not known here is an error of edgekit, not of the bundle.
 */
internal class FormCheck(private val schema: Json.Object) {

    /** The first thing that is wrong with a value; null where nothing is. */
    fun problem(value: Json): String? = check(schema, value, "the top")

    private fun check(rule: Json.Object, value: Json, where: String): String? {
        // The type comes first: the other rules take it for granted.
        val type = rule.members["type"]?.let { text(it) }
        if (type != null && !isOf(value, type)) return "$where is not of type $type"
        for ((keyword, wanted) in rule.members) {
            val problem = when (keyword) {
                "properties" -> return members(rule, value, where)
                "additionalProperties" -> if ("properties" in rule.members) null else return entries(rule, value, where)
                "items" -> return items(rule, value, where)
                "\$ref" -> return check(definition(text(wanted)), value, where)
                "anyOf" -> if (any(wanted, value, where)) null else "is of no kind that it may be"
                "enum" -> if ((wanted as Json.Array).items.any { same(it, value) }) null else "is not one of what it may be"
                "const" -> if (same(wanted, value)) null else "is not what it must be"
                "minimum" -> if (number(value) >= number(wanted)) null else "is too small"
                "maximum" -> if (number(value) <= number(wanted)) null else "is too large"
                "pattern" -> if (isDigest(wanted, value)) null else "is not a SHA-256"
                "type", "\$schema", "\$defs", "title", "description", "default", "required" -> null
                else -> error("the manifest's schema has an unknown keyword $keyword")
            }
            if (problem != null) return "$where $problem"
        }
        return null
    }

    private fun members(rule: Json.Object, value: Json, where: String): String? {
        if (value !is Json.Object) return "$where is not an object"
        val known = (rule.members.getValue("properties") as Json.Object).members
        val other = value.members.keys.firstOrNull { it !in known }
        if (other != null) return "$where has an unknown key \"${other.take(40)}\""
        // What has a default may be absent: an older edgekit did not know it.
        val required = (rule.members["required"] as? Json.Array)?.items.orEmpty().map { text(it) }
        val missing = required.firstOrNull {
            it !in value.members && "default" !in (known.getValue(it) as Json.Object).members
        }
        if (missing != null) return "$where has no \"$missing\""
        return value.members.entries.asSequence()
            .mapNotNull { (name, item) -> check(known.getValue(name) as Json.Object, item, name) }
            .firstOrNull()
    }

    private fun entries(rule: Json.Object, value: Json, where: String): String? {
        if (value !is Json.Object) return "$where is not an object"
        val each = rule.members.getValue("additionalProperties") as? Json.Object ?: return null
        return value.members.entries.asSequence()
            .mapNotNull { (name, item) -> check(each, item, "$where.${name.take(40)}") }
            .firstOrNull()
    }

    private fun items(rule: Json.Object, value: Json, where: String): String? {
        if (value !is Json.Array) return "$where is not an array"
        val each = rule.members.getValue("items") as Json.Object
        return value.items.withIndex().asSequence()
            .mapNotNull { (index, item) -> check(each, item, "$where[$index]") }
            .firstOrNull()
    }

    private fun any(ways: Json, value: Json, where: String): Boolean =
        (ways as Json.Array).items.any { check(it as Json.Object, value, where) == null }

    private fun definition(reference: String): Json.Object {
        val all = schema.members.getValue("\$defs") as Json.Object
        return all.members.getValue(reference.removePrefix("#/\$defs/")) as Json.Object
    }

    private fun isOf(value: Json, type: String): Boolean = when (type) {
        "object" -> value is Json.Object
        "array" -> value is Json.Array
        "string" -> value is Json.Text && isUnicode(value.value)
        "integer" -> Fields.whole(value) != null
        "number" -> value is Json.Number
        "boolean" -> value is Json.Bool
        "null" -> value is Json.Null
        else -> error("the manifest's schema has an unknown type $type")
    }

    private fun isUnicode(text: String): Boolean = text.codePoints().noneMatch { it in 0xD800..0xDFFF }

    private fun same(one: Json, other: Json): Boolean = when (one) {
        is Json.Text -> other is Json.Text && one.value == other.value
        is Json.Number -> other is Json.Number && other.isWhole && one.lexeme == other.lexeme
        else -> error("the manifest's schema compares with what is neither text nor number")
    }

    private fun isDigest(pattern: Json, value: Json): Boolean {
        check(text(pattern) == "^[0-9a-f]{64}$") { "the manifest's schema has an unknown pattern" }
        return value is Json.Text && value.value.length == 64 && value.value.all { it in '0'..'9' || it in 'a'..'f' }
    }

    private fun number(value: Json): Double = (value as? Json.Number)?.lexeme?.toDouble() ?: Double.NaN

    private fun text(value: Json): String = (value as? Json.Text)?.value ?: throw FormRefused("the manifest's schema is not one")
}
