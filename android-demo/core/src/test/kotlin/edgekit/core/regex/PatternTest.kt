package edgekit.core.regex

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class PatternTest {
    private fun found(pattern: String, text: String): List<String> {
        val points = text.codePoints().toArray()
        val ranges = Pattern.compile(pattern).findAll(points, 0, points.size)
        return (0 until ranges.size).map { String(points, ranges.start(it), ranges.end(it) - ranges.start(it)) }
    }

    @Test
    fun findsFromLeftToRight() {
        assertEquals(listOf("ab", "abb"), found("ab+", "xab abb"))
        assertEquals(listOf("aab"), found("a*ab", "aab"))
        assertEquals(emptyList<String>(), found("a*+ab", "aab"))
        assertEquals(listOf("12", "345"), found("\\d{2,3}", "12 3456"))
        assertEquals(listOf(" ", " ", "  "), found("\\s+(?!\\S)|\\s+", "a  b  "))
        assertEquals(listOf("'S", "'ll"), found("'(?i:[sdmt]|ll|ve|re)", "IT'S we'll 'x"))
        assertEquals(listOf("x=1", "y"), found("[a-z](?:=\\d)?", "x=1 y="))
        assertEquals(listOf("", "aa", ""), found("a*", "xaax"))
        assertEquals(listOf("😀", "é"), found("[^\\p{L}\\s]|\\p{Ll}", "😀 é"))
        assertEquals(listOf("ſ"), found("(?i:s)", "ſ"))
    }

    @Test
    fun whatIsNotKnownIsRefusedByName() {
        val refused = listOf(
            "(?:ab)+", "a+?", "^a", "a$", "(?<=a)b", "(?<n>a)", "\\1", "\\bword", "[a&&b]", "[[:alpha:]]", "(a", "a)", "[a",
            "\\p{Han}", "a{3,1}", "*a", "(?i:st)", "(?i:é)", "[^(?i:a)", "\\", "(".repeat(60) + "a" + ")".repeat(60),
        )
        for (pattern in refused) assertThrows(pattern, PatternRefused::class.java) { Pattern.compile(pattern) }
    }

    @Test
    fun aPatternThatRunsAwayIsStopped() {
        val points = IntArray(20_000) { 'a'.code }
        val slow = Pattern.compile("a*a*a*b")
        assertThrows(PatternTooSlow::class.java) { slow.findAll(points, 0, points.size) }
        val long = IntArray(1_000_000) { ' '.code }
        assertTrue(Pattern.compile("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+").findAll(long, 0, long.size).size == 1)
    }
}
