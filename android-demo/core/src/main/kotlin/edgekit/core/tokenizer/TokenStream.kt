package edgekit.core.tokenizer

/** Decodes tokens as they come, and never gives half a character. For one thread at a time. */
public class TokenStream internal constructor(private val tokenizer: Tokenizer, private val skipSpecial: Boolean) {
    private var ids = ArrayList<Int>()
    private var prefix = ""
    private var prefixLength = 0

    /** The text that one more token completes; empty while a character is not whole. */
    public fun next(id: Int): String {
        if (prefix.isEmpty() && ids.isNotEmpty()) {
            val made = decode()
            if (!made.endsWith(BROKEN)) {
                prefix = made
                prefixLength = ids.size
            }
        }
        ids.add(id)
        val text = decode()
        if (text.length <= prefix.length || text.endsWith(BROKEN) || !text.startsWith(prefix)) return ""
        val made = text.substring(prefix.length)
        keepFrom(prefixLength)
        return made
    }

    /** What is left when no token follows; broken characters are U+FFFD. */
    public fun finish(): String {
        val text = decode()
        val made = if (text.startsWith(prefix)) text.substring(prefix.length) else ""
        ids.clear()
        prefix = ""
        prefixLength = 0
        return made
    }

    private fun keepFrom(index: Int) {
        val length = ids.size - index
        ids = ArrayList(ids.subList(index, ids.size))
        prefix = decode()
        prefixLength = length
    }

    private fun decode(): String = tokenizer.decode(ids.toIntArray(), skipSpecial)

    private companion object {
        const val BROKEN = '\uFFFD'
    }
}
