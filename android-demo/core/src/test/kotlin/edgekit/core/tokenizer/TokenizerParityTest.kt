package edgekit.core.tokenizer

import edgekit.core.EdgeKitException
import edgekit.core.Expectations
import edgekit.core.json.Fields
import edgekit.core.json.Json
import java.io.DataInputStream
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Ids, offsets and texts equal to those of Python's tokenizers library, for every tokenizer it trained. */
class TokenizerParityTest {
    private val root by lazy { Expectations.folder("tokenizers") }
    private val texts by lazy { Expectations.texts(Expectations.json(File(root, "texts.json"))) }

    private fun each(check: (String, File, Tokenizer) -> Unit) {
        val folders = root.listFiles()!!.filter { it.isDirectory }.sorted()
        assertTrue("only ${folders.size} tokenizers", folders.size >= 13)
        for (folder in folders) check(folder.name, folder, Tokenizer.read(File(folder, "tokenizer.json").readBytes()))
    }

    @Test
    fun everyTextGivesTheSameTokens() {
        assertTrue("only ${texts.size} texts", texts.size >= 5000)
        val wrong = ArrayList<String>()
        each { name, folder, tokenizer ->
            DataInputStream(File(folder, "encoded.bin").inputStream().buffered()).use { stream ->
                for (text in texts) {
                    val size = stream.readInt()
                    val wanted = List(5) { IntArray(size) { stream.readInt() }.asList() }
                    val made = tokenizer.encode(text)
                    val got = listOf(made.ids, made.types, made.starts, made.ends, made.words).map { it.asList() }
                    if (got != wanted) wrong.add(difference(name, text, wanted, got))
                }
                assertEquals(-1, stream.read())
            }
        }
        report(wrong)
    }

    @Test
    fun pairsAndCutsAreTheSame() {
        val wrong = ArrayList<String>()
        each { name, folder, tokenizer ->
            for ((index, item) in Expectations.items(File(folder, "pairs.json")).withIndex()) {
                val asked = Fields(item, "pair")
                val first = texts[asked.count("first")]
                val second = if (asked.has("second")) texts[asked.count("second")] else null
                val wanted = (asked.raw("made") as? Json.Array)?.items?.map { Expectations.ints(it).asList() }
                val got = encoded(tokenizer, first, second, asked)
                if (got != wanted) wrong.add(difference("$name pair $index", "$first | $second", wanted.orEmpty(), got.orEmpty()))
            }
        }
        report(wrong)
    }

    private fun encoded(tokenizer: Tokenizer, first: String, second: String?, asked: Fields): List<List<Int>>? = try {
        val truncation = if (!asked.has("most")) null else Truncation(
            asked.count("most"),
            Cut.valueOf(asked.text("strategy").uppercase()),
            asked.text("direction") == "left",
        )
        val made = tokenizer.encode(first, second, truncation, asked.flag("special"))
        listOf(made.ids, made.types, made.starts, made.ends).map { it.asList() }
    } catch (error: EdgeKitException.TextRefused) {
        null
    }

    @Test
    fun decodedTextsAreTheSame() {
        val wrong = ArrayList<String>()
        each { name, folder, tokenizer ->
            for ((index, item) in Expectations.items(File(folder, "decoded.json")).withIndex()) {
                val ids = tokenizer.encode(texts[index]).ids
                val got = listOf(tokenizer.decode(ids), tokenizer.decode(ids, skipSpecial = false))
                if (got != Expectations.texts(item)) wrong.add("$name ${shown(texts[index])}: ${shown(got[0])}")
            }
        }
        report(wrong)
    }

    @Test
    fun streamsSayTheSameAndNeverHalfACharacter() {
        val wrong = ArrayList<String>()
        each { name, folder, tokenizer ->
            for (item in Expectations.items(File(folder, "streams.json"))) {
                val asked = Fields(item, "stream")
                val stream = tokenizer.stream()
                val said = Expectations.ints(asked.raw("ids")).map { stream.next(it) }
                if (said != asked.texts("said")) wrong.add("$name: $said instead of ${asked.texts("said")}")
                assertTrue(said.none { it.endsWith('\uFFFD') })
                val whole = said.joinToString("") + stream.finish()
                if (whole != asked.text("whole")) wrong.add("$name: ${shown(whole)} instead of ${shown(asked.text("whole"))}")
            }
        }
        report(wrong)
    }

    @Test
    fun utf16OffsetsCutTheSameTexts() {
        each { name, _, tokenizer ->
            for (text in texts.filter { it.length < 300 }.take(1500)) {
                val made = tokenizer.encode(text)
                val points = text.codePoints().toArray()
                for (index in 0 until made.size) {
                    if (made.sequences[index] < 0) continue
                    val wanted = String(points, made.starts[index], made.ends[index] - made.starts[index])
                    assertEquals("$name ${shown(text)}", wanted, made.covered(index))
                }
            }
        }
    }

    private fun report(wrong: List<String>) {
        assertTrue("${wrong.size} differ:\n" + wrong.take(25).joinToString("\n"), wrong.isEmpty())
    }

    private fun difference(name: String, text: String, wanted: List<List<Int>>, got: List<List<Int>>): String {
        val kinds = listOf("ids", "types", "starts", "ends", "words")
        val kind = kinds.indices.firstOrNull { wanted.getOrNull(it) != got.getOrNull(it) } ?: 0
        val one = wanted.getOrNull(kind).orEmpty()
        val other = got.getOrNull(kind).orEmpty()
        val at = one.indices.firstOrNull { one[it] != other.getOrNull(it) } ?: one.size
        val around = maxOf(0, at - 3)..at + 3
        val parts = listOf(one, other).map { list -> "${list.slice(around.filter { it < list.size })} of ${list.size}" }
        return "$name ${shown(text)}: ${kinds[kind]} at $at: ${parts[0]}, got ${parts[1]}"
    }

    private fun shown(text: String): String =
        text.take(60).map { if (it in ' '..'~') it.toString() else "\\u%04x".format(it.code) }.joinToString("")
}
