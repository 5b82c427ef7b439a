package edgekit.core.tokenizer

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer
import edgekit.core.Expectations
import java.io.File
import org.junit.Assert.assertTrue
import org.junit.Test

/** A second witness beside Python: the same library under Java, by way of ai.djl's binding. */
class WitnessTest {
    private val options = mapOf("truncation" to "false", "padding" to "false")

    @Test
    fun everyTextGivesTheTokensOfTheBindingForJava() {
        val root = Expectations.folder("tokenizers")
        val texts = Expectations.texts(Expectations.json(File(root, "texts.json")))
        assertTrue("only ${texts.size} texts", texts.size >= 5000)
        val folders = root.listFiles()!!.filter { it.isDirectory }.sorted()
        assertTrue("only ${folders.size} tokenizers", folders.size >= 6)
        val wrong = ArrayList<String>()
        for (folder in folders) {
            val file = File(folder, "tokenizer.json")
            val mine = Tokenizer.read(file.readBytes())
            HuggingFaceTokenizer.newInstance(file.toPath(), options).use { other ->
                for (text in texts) difference(mine, other, text)?.let { wrong.add("${folder.name}: $it") }
            }
        }
        println("second witness: ${folders.size} tokenizers, ${texts.size} texts each, ${wrong.size} differ")
        assertTrue("${wrong.size} differ:\n" + wrong.take(25).joinToString("\n"), wrong.isEmpty())
    }

    /** Ids, and where each token lies; a token of the template lies nowhere. */
    private fun difference(mine: Tokenizer, other: HuggingFaceTokenizer, text: String): String? {
        val got = mine.encode(text)
        val wanted = other.encode(text, true, false)
        val ids = wanted.ids.map { it.toInt() }
        if (ids != got.ids.asList()) return "${text.take(60)}: $ids, got ${got.ids.asList()}".take(300)
        val spans = wanted.charTokenSpans
        for (index in ids.indices) {
            val span = spans[index]
            // What the template added lies in no text.
            if ((span == null) != (got.sequences[index] < 0)) return "${text.take(60)}: token $index is of another text"
            if (span == null) continue
            if (span.start != got.starts[index] || span.end != got.ends[index]) {
                return "${text.take(60)}: token $index at ${span.start} to ${span.end}, got ${got.starts[index]} to ${got.ends[index]}"
            }
        }
        return null
    }
}
