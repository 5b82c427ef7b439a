package edgekit.core.generation

import edgekit.core.EdgeKitException
import edgekit.core.tasks.CodePoints

/** One turn of a chat: `system`, `user` or `assistant`. */
public class Turn(public val role: String, public val content: String)

/**
 * A chat template of the common plain form: texts before, one run of texts for each turn, and texts that
 * begin the answer. Jinja has far more; a template that uses it is refused by name, not guessed at.
 */
public class ChatTemplate private constructor(
    private val before: List<Part>,
    private val turn: List<Part>,
    private val after: List<Part>,
    private val answer: List<Part>,
) {
    private enum class Kind { TEXT, ROLE, CONTENT, TRIMMED }

    private class Part(val kind: Kind, val text: String = "")

    /**
     * The prompt that asks for the next answer.
     *
     * @throws EdgeKitException.TextRefused a turn is empty
     */
    public fun render(turns: List<Turn>): String {
        if (turns.any { turn -> CodePoints.isBlank(turn.content) }) {
            throw EdgeKitException.TextRefused("a message is empty", "Give at least one word.")
        }
        val made = StringBuilder()
        for (part in before) made.append(part.text)
        for (each in turns) {
            for (part in turn) {
                made.append(
                    when (part.kind) {
                        Kind.TEXT -> part.text
                        Kind.ROLE -> each.role
                        Kind.CONTENT -> each.content
                        Kind.TRIMMED -> each.content.trim()
                    },
                )
            }
        }
        for (part in after + answer) made.append(part.text)
        return made.toString()
    }

    public companion object {
        private val TAG = Regex("""\{%(-?)\s*(.*?)\s*(-?)%\}|\{\{(-?)\s*(.*?)\s*(-?)\}\}""", RegexOption.DOT_MATCHES_ALL)
        private val EACH = Regex("""for message in messages""")
        private val STRING = Regex("""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"""")
        private val FIELD = Regex("""message(?:\['(role|content)'\]|\["(role|content)"\]|\.(role|content))(\s*\|\s*trim)?""")

        /**
         * Reads a template.
         *
         * @param specials the tokenizer's named tokens, `bos_token` and the like
         * @throws EdgeKitException.Unsupported it has more than plain texts, one loop and one question
         */
        @JvmStatic
        public fun read(template: String, specials: Map<String, String>): ChatTemplate {
            val lists = List(4) { ArrayList<Part>() }
            var place = 0
            var at = 0
            var trim = false
            for (tag in TAG.findAll(template)) {
                var plain = template.substring(at, tag.range.first)
                // Jinja as transformers sets it up: a block takes its line's break and indent along.
                val block = tag.value[1] == '%'
                if (trim) plain = plain.trimStart()
                if (tag.groupValues[1] == "-" || tag.groupValues[4] == "-") plain = plain.trimEnd()
                if (block && plain.substringAfterLast('\n').isBlank() && '\n' in plain) plain = plain.substringBeforeLast('\n') + "\n"
                if (plain.isNotEmpty()) lists[place].add(Part(Kind.TEXT, plain))
                at = tag.range.last + 1
                if (block && at < template.length && template[at] == '\n') at++
                trim = tag.groupValues[3] == "-" || tag.groupValues[6] == "-"
                if (block) place = next(place, tag.groupValues[2]) else lists[place].addAll(parts(tag.groupValues[5], specials, place == TURN))
            }
            val rest = template.substring(at).let { if (trim) it.trimStart() else it }
            if (rest.isNotEmpty()) lists[place].add(Part(Kind.TEXT, rest))
            if (place != AFTER) refuse("a block without its end")
            return ChatTemplate(lists[0], lists[TURN], lists[AFTER], lists[ANSWER])
        }

        private const val TURN = 1
        private const val AFTER = 2
        private const val ANSWER = 3

        private fun next(place: Int, block: String): Int = when {
            place == 0 && EACH.matches(block) -> TURN
            place == TURN && block == "endfor" -> AFTER
            place == AFTER && block == "if add_generation_prompt" -> ANSWER
            place == ANSWER && block == "endif" -> AFTER
            else -> refuse(block)
        }

        private fun parts(expression: String, specials: Map<String, String>, inTurn: Boolean): List<Part> {
            val found = ArrayList<Part>()
            var at = 0
            while (true) {
                val string = STRING.matchesFrom(expression, at)
                val field = FIELD.matchesFrom(expression, at)
                val name = Regex("""[a-z_]+""").matchesFrom(expression, at)
                val special = name?.value?.let { specials[it] }
                val end = when {
                    string != null -> {
                        found.add(Part(Kind.TEXT, unescaped(string.groupValues[1] + string.groupValues[2])))
                        string.range.last
                    }
                    field != null && inTurn -> {
                        val which = field.groupValues.subList(1, 4).first { it.isNotEmpty() }
                        val trims = field.groupValues[4].isNotEmpty()
                        if (which == "role" && trims) refuse(expression)
                        found.add(Part(if (which == "role") Kind.ROLE else if (trims) Kind.TRIMMED else Kind.CONTENT))
                        field.range.last
                    }
                    special != null -> {
                        found.add(Part(Kind.TEXT, special))
                        name.range.last
                    }
                    else -> refuse(expression)
                }
                val rest = expression.substring(end + 1).trimStart()
                if (rest.isEmpty()) return found
                if (rest[0] != '+') refuse(expression)
                at = expression.length - rest.substring(1).trimStart().length
            }
        }

        private fun Regex.matchesFrom(text: String, at: Int): MatchResult? = find(text, at)?.takeIf { it.range.first == at }

        private fun unescaped(text: String): String = Regex("""\\(.)""", RegexOption.DOT_MATCHES_ALL).replace(text) {
            when (val sign = it.groupValues[1]) {
                "n" -> "\n"
                "t" -> "\t"
                "\\", "'", "\"" -> sign
                else -> refuse("\\$sign")
            }
        }

        private fun refuse(what: String): Nothing = throw EdgeKitException.Unsupported(
            "the chat template has more than this core reads: ${what.take(80)}",
            "Build the prompt in the app, and generate with raw = true.",
        )
    }
}
