package edgekit.core.bundle

import edgekit.core.unicode.Unicode

/** File names from a manifest or an archive, checked before they touch a file system. */
public object SafeNames {
    private const val LONGEST_PART = 255
    private const val LONGEST_NAME = 1024
    private val INVISIBLE = setOf("Cc", "Cf", "Cs", "Zl", "Zp").map { Unicode.CATEGORIES.indexOf(it) }.toSet()

    /** What is wrong with a name as a plain relative path; null where nothing is. */
    public fun fault(name: String): String? {
        val parts = name.split('/')
        return when {
            name.isEmpty() -> "it is empty"
            name.codePoints().anyMatch { Unicode.category(it) in INVISIBLE } -> "it has a control or invisible character"
            '\\' in name -> "it has a backslash"
            name.startsWith('/') -> "it is an absolute path"
            ':' in name -> "it has a colon, as a drive letter does"
            ".." in parts -> "it has '..' in it"
            "." in parts || "" in parts -> "it has an empty part or '.' in it"
            parts.any { bytes(it) > LONGEST_PART } || bytes(name) > LONGEST_NAME -> "it is too long"
            else -> null
        }
    }

    private fun bytes(text: String): Int = text.toByteArray(Charsets.UTF_8).size
}
