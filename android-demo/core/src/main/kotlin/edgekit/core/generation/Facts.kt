package edgekit.core.generation

import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import edgekit.core.json.Fields
import edgekit.core.json.FormRefused
import edgekit.core.json.Json
import edgekit.core.tasks.Sampling

/**
 * What a manifest says of generation.
 *
 * @property context the most tokens: of prompt and answer, or of an encoder-decoder's answer
 * @property ends ids that end an answer
 * @property answers how an encoder-decoder answers; null for a decoder
 */
internal class Facts(
    val context: Int,
    val ends: Set<Int>,
    val template: String?,
    val specials: Map<String, String>,
    val sampling: Sampling,
    val mostTokens: Int,
    val answers: Answers?,
) {
    /** @property source the most tokens of a text */
    class Answers(val source: Int, val rules: Rules)

    companion object {
        /**
         * @throws EdgeKitException.BundleCorrupt the bundle's manifest says nothing, or nonsense
         */
        fun of(bundle: Bundle): Facts = try {
            val all = Fields(bundle.manifest.json, "the manifest").fields("generation")
            val how = all.fields("sampling")
            val specials = if (all.has("special_tokens")) all.fields("special_tokens") else null
            val ends = ids(all, "eos_token_ids").toSet()
            Facts(
                all.count("context"),
                ends,
                all.optionalText("chat_template"),
                specials?.names.orEmpty().associateWith { specials!!.text(it) },
                Sampling(how.real("temperature"), how.count("top_k"), how.real("top_p"), how.real("repetition_penalty")),
                how.count("max_new_tokens"),
                if (all.has("answers")) answers(all.fields("answers"), ends) else null,
            )
        } catch (error: FormRefused) {
            throw EdgeKitException.BundleCorrupt("the bundle does not generate: ${error.message}", error)
        }

        private fun answers(said: Fields, ends: Set<Int>): Answers {
            val rules = Rules(
                start = ids(said, "start"),
                ends = ends.toIntArray(),
                first = id(said, "first"),
                last = id(said, "last"),
                suppressed = ids(said, "suppressed"),
                suppressedFirst = ids(said, "suppressed_first"),
                banned = if (said.has("banned")) said.items("banned").map { ids(it) ?: said.wrong("banned", "lists of ids") } else emptyList(),
                noRepeat = if (said.has("no_repeat")) said.count("no_repeat") else 0,
                least = if (said.has("least")) said.count("least") else 0,
            )
            if (rules.start.isEmpty() || rules.banned.any { it.isEmpty() }) said.wrong("start", "a token to begin with")
            return Answers(said.count("source"), rules)
        }

        private fun id(said: Fields, name: String): Int? = if (said.has(name)) said.count(name) else null

        private fun ids(said: Fields, name: String): IntArray =
            if (said.has(name)) ids(said.raw(name)) ?: said.wrong(name, "a list of ids") else IntArray(0)

        private fun ids(list: Json): IntArray? {
            val found = (list as? Json.Array)?.items?.map { Fields.whole(it) } ?: return null
            if (found.any { it == null || it !in 0..Int.MAX_VALUE.toLong() }) return null
            return IntArray(found.size) { found[it]!!.toInt() }
        }
    }
}
