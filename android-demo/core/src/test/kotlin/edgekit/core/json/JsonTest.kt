package edgekit.core.json

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class JsonTest {
    private fun canonical(text: String) = CanonicalJson.bytes(JsonReader.read(text))?.toString(Charsets.UTF_8)

    @Test
    fun canonicalFormIsThatOfPython() {
        assertEquals("{\n \"a\": [\n  1,\n  -0.5e3,\n  []\n ],\n \"b\": {}\n}\n", canonical("""{"b":{},"a":[1,-0.5e3,[]]}"""))
        assertEquals("\"\\u0001\\\"\\\\\\n/é\u007f\"\n", canonical("\"\\u0001\\\"\\\\\\n\\/\\u00e9\\u007f\""))
        // Sorted by code point: U+FFFD comes before U+1F600, although its first UTF-16 unit does not.
        assertEquals("{\n \"\uFFFD\": 1,\n \"\uD83D\uDE00\": 2\n}\n", canonical("{\"\uD83D\uDE00\":2,\"\uFFFD\":1}"))
        assertEquals(null, canonical("\"\\ud800\""))
    }

    @Test
    fun whatIsNotJsonIsRefused() {
        val refused = listOf(
            "", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\":1,\"a\":2}", "01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "1e999",
            "'a'", "\"\t\"", "\"\\x\"", "\"\\u12\"", "\"a", "nul", "1 2", "// x\n1", "[".repeat(100_000), "{\"a\" 1}", "{a:1}",
        )
        for (text in refused) assertThrows(text.take(20), JsonRefused::class.java) { JsonReader.read(text) }
        assertThrows(JsonRefused::class.java) { JsonReader.read(byteArrayOf('"'.code.toByte(), -1, '"'.code.toByte())) }
    }

    @Test
    fun numbersKeepTheirText() {
        assertArrayEquals("1.10\n".toByteArray(), CanonicalJson.bytes(JsonReader.read("1.10")))
        assertEquals(null, Fields.whole(JsonReader.read("1.0")))
        assertEquals(null, Fields.whole(JsonReader.read("9223372036854775808")))
        assertEquals(12L, Fields.whole(JsonReader.read("12")))
    }
}
