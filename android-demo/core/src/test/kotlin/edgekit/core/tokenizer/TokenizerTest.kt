package edgekit.core.tokenizer

import edgekit.core.EdgeKitException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class TokenizerTest {
    private val model = """{"type":"WordPiece","unk_token":"?","continuing_subword_prefix":"##",
        "max_input_chars_per_word":9,"vocab":{"?":0,"a":1,"##b":2}}"""

    private fun read(vararg parts: Pair<String, String>): Tokenizer {
        val members = linkedMapOf("model" to model).also { it.putAll(parts) }
        return Tokenizer.read(members.entries.joinToString(",", "{", "}") { "\"${it.key}\":${it.value}" }.toByteArray())
    }

    @Test
    fun aLoneSurrogateIsRefusedWithItsPlace() {
        for (text in listOf("a\uD800", "😀\uDC00b", "\uDC00\uD800")) {
            val error = assertThrows(EdgeKitException.TextRefused::class.java) { read().encode(text) }
            val place = text.codePoints().toArray().indexOfFirst { it in 0xD800..0xDFFF }
            assertTrue(error.message!!, error.message!!.endsWith("at character $place"))
        }
    }

    @Test
    fun unsupportedComponentsAreRefusedByName() {
        val parts = mapOf(
            "normalizer" to listOf("Nmt", "Fancy"),
            "pre_tokenizer" to listOf("UnicodeScripts", "Delimiter", "FixedLength"),
            "post_processor" to listOf("Fancy"),
            "decoder" to listOf("CTC"),
            "model" to listOf("WordLevel"),
        )
        for ((part, types) in parts) for (type in types) {
            val error = assertThrows(EdgeKitException.Unsupported::class.java) { read(part to """{"type":"$type"}""") }
            assertTrue(error.message!!, error.message!!.contains(type))
        }
        val split = """{"type":"Split","pattern":{"Regex":"(?<=a)b"},"behavior":"Isolated","invert":false}"""
        assertThrows(EdgeKitException.Unsupported::class.java) { read("pre_tokenizer" to split) }
        val dropout = """{"type":"BPE","dropout":0.1,"vocab":{},"merges":[]}"""
        assertThrows(EdgeKitException.Unsupported::class.java) { read("model" to dropout) }
    }

    @Test
    fun damagedComponentsAreRefused() {
        val damaged = listOf(
            "model" to """{"type":"WordPiece","vocab":{}}""",
            "model" to """{"type":"BPE","vocab":{"a":0},"merges":["a b"]}""",
            "model" to """{"type":"BPE","vocab":{"a":99999999999},"merges":[]}""",
            "model" to """{"type":"Unigram","unk_id":3,"vocab":[["a",-1]]}""",
            "normalizer" to """{"type":"Precompiled","precompiled_charsmap":"AAAA"}""",
            "normalizer" to """{"type":"Precompiled","precompiled_charsmap":"*"}""",
            "normalizer" to """{"type":"Lowercase","type":"NFC"}""",
            "pre_tokenizer" to """{"type":"Metaspace","replacement":"__"}""",
            "post_processor" to """{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],"pair":[],"special_tokens":{}}""",
            "added_tokens" to """[{"content":"x"}]""",
        )
        for ((part, text) in damaged) {
            assertThrows("$part $text", EdgeKitException.BundleCorrupt::class.java) { read(part to text) }
        }
        for (text in listOf("", "[]", "{}", "\uFEFF{}")) {
            assertThrows(EdgeKitException.BundleCorrupt::class.java) { Tokenizer.read(text.toByteArray()) }
        }
    }

    @Test
    fun idsAndTextsAreFound() {
        val tokenizer = read()
        assertEquals(3, tokenizer.vocabularySize)
        assertEquals("##b", tokenizer.token(2))
        assertEquals(null, tokenizer.token(3))
        assertEquals(1, tokenizer.id("a"))
        assertEquals(null, tokenizer.id("b"))
        assertEquals(listOf(1, 2, 2), tokenizer.encode("abb").ids.asList())
        assertEquals(listOf(0), tokenizer.encode("abc").ids.asList())
    }

    @Test
    fun aMillionCharactersAreNoTrouble() {
        val tokenizer = read("pre_tokenizer" to """{"type":"BertPreTokenizer"}""")
        assertEquals(500_000, tokenizer.encode("a ".repeat(500_000)).size)
        assertEquals(1, tokenizer.encode("a".repeat(1_000_000)).size)
    }
}
