package edgekit.core.tokenizer

import edgekit.core.regex.Pattern
import edgekit.core.unicode.IntList
import edgekit.core.unicode.Unicode

/** Cuts a text into the words that a model takes. */
internal interface PreTokenizer {
    fun split(span: Span, into: MutableList<Span>)
}

internal class PreTokenizerSequence(private val steps: List<PreTokenizer>) : PreTokenizer {
    override fun split(span: Span, into: MutableList<Span>) {
        var spans: List<Span> = listOf(span)
        for (step in steps) {
            val next = ArrayList<Span>(spans.size)
            for (each in spans) step.split(each, next)
            spans = next
        }
        into.addAll(spans)
    }
}

/** Splits at single characters. */
internal class CharacterSplit(
    private val behavior: Behavior,
    private val separates: (Int) -> Boolean,
) : PreTokenizer {
    override fun split(span: Span, into: MutableList<Span>) {
        val cuts = Cuts(span.from, span.to)
        for (at in span.from until span.to) if (separates(span.text.points[at])) cuts.match(at, at + 1)
        cuts.finish().forEach(behavior) { start, end -> into.add(Span(span.text, start, end)) }
    }

    companion object {
        fun isPunctuation(point: Int): Boolean = Unicode.has(point, Unicode.PUNCTUATION)

        fun isSpace(point: Int): Boolean = Unicode.has(point, Unicode.SPACE)

        fun isNumeric(point: Int): Boolean = Unicode.has(point, Unicode.NUMERIC)
    }
}

/** BERT's words: no white space, punctuation alone. */
internal object BertPreTokenizer : PreTokenizer {
    override fun split(span: Span, into: MutableList<Span>) {
        val points = span.text.points
        var begin = span.from
        for (at in span.from until span.to) {
            val profile = Unicode.profile(points[at])
            if (profile and (Unicode.SPACE or Unicode.PUNCTUATION) == 0) continue
            if (begin < at) into.add(Span(span.text, begin, at))
            if (profile and Unicode.SPACE == 0) into.add(Span(span.text, at, at + 1))
            begin = at + 1
        }
        if (begin < span.to) into.add(Span(span.text, begin, span.to))
    }
}

/** Runs of word characters and runs of other visible ones. */
internal object WhitespacePreTokenizer : PreTokenizer {
    override fun split(span: Span, into: MutableList<Span>) {
        val points = span.text.points
        var begin = span.from
        while (begin < span.to) {
            val kind = kind(points[begin])
            var end = begin + 1
            while (end < span.to && kind(points[end]) == kind) end++
            if (kind != SPACE) into.add(Span(span.text, begin, end))
            begin = end
        }
    }

    private const val SPACE = 0

    private fun kind(point: Int): Int {
        val profile = Unicode.profile(point)
        return if (profile and Unicode.WORD != 0) 2 else if (profile and Unicode.SPACE != 0) SPACE else 1
    }
}

internal class PatternSplit(
    private val pattern: Pattern,
    private val behavior: Behavior,
    private val invert: Boolean,
) : PreTokenizer {
    override fun split(span: Span, into: MutableList<Span>) {
        val found = pattern.findAll(span.text.points, span.from, span.to)
        val cuts = Cuts(span.from, span.to)
        for (index in 0 until found.size) cuts.match(found.start(index), found.end(index), invert)
        cuts.finish(invert).forEach(behavior) { start, end -> into.add(Span(span.text, start, end)) }
    }
}

/** White space becomes a visible mark, at which words begin. */
internal class Metaspace(
    private val mark: Int,
    private val scheme: Scheme,
    private val split: Boolean,
) : PreTokenizer {
    enum class Scheme { First, Never, Always }

    override fun split(span: Span, into: MutableList<Span>) {
        val text = span.text.part(span.from, span.to)
        text.map { if (it == ' '.code) mark else it }
        val first = scheme == Scheme.Always || scheme == Scheme.First && text.starts[0] == 0
        if (first && text.points[0] != mark) text.prepend(intArrayOf(mark))
        if (!split) {
            into.add(Span(text, 0, text.length))
            return
        }
        val cuts = Cuts(0, text.length)
        for (at in 0 until text.length) if (text.points[at] == mark) cuts.match(at, at + 1)
        cuts.finish().forEach(Behavior.MergedWithNext) { start, end -> into.add(Span(text, start, end)) }
    }
}

/** Every byte of UTF-8 becomes one visible character. */
internal class ByteLevel(private val prefixSpace: Boolean, private val useRegex: Boolean) : PreTokenizer {
    override fun split(span: Span, into: MutableList<Span>) {
        var text = span.text
        var from = span.from
        var to = span.to
        if (prefixSpace && text.points[from] != ' '.code) {
            text = text.part(from, to)
            text.prepend(intArrayOf(' '.code))
            from = 0
            to = text.length
        }
        val ends = IntList()
        if (useRegex) {
            val cuts = Cuts(from, to)
            val found = WORDS.findAll(text.points, from, to)
            for (index in 0 until found.size) cuts.match(found.start(index), found.end(index))
            cuts.finish().forEach(Behavior.Isolated) { _, end -> ends.add(end) }
        } else {
            ends.add(to)
        }
        emit(text, from, ends, into)
    }

    private fun emit(text: Aligned, from: Int, ends: IntList, into: MutableList<Span>) {
        val made = ByteText(ends[ends.size - 1] - from)
        val cuts = IntList(ends.size)
        var at = from
        for (index in 0 until ends.size) {
            while (at < ends[index]) {
                made.add(text.points[at], text.starts[at], text.ends[at])
                at++
            }
            cuts.add(made.length)
        }
        val bytes = made.aligned()
        var begin = 0
        for (index in 0 until cuts.size) {
            into.add(Span(bytes, begin, cuts[index]))
            begin = cuts[index]
        }
    }

    companion object {
        private val WORDS = Pattern.compile(
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        )
    }
}

/** Characters written as the visible characters of their bytes. */
internal class ByteText(capacity: Int) {
    private val points = IntList(capacity + 16)
    private val starts = IntList(capacity + 16)
    private val ends = IntList(capacity + 16)
    val length: Int get() = points.size

    fun add(point: Int, start: Int, end: Int) {
        when {
            point < 0x80 -> byte(point, start, end)
            point < 0x800 -> byte(0xC0 or (point shr 6), start, end)
            point < 0x10000 -> byte(0xE0 or (point shr 12), start, end)
            else -> byte(0xF0 or (point shr 18), start, end)
        }
        if (point >= 0x10000) byte(0x80 or (point shr 12 and 0x3F), start, end)
        if (point >= 0x800) byte(0x80 or (point shr 6 and 0x3F), start, end)
        if (point >= 0x80) byte(0x80 or (point and 0x3F), start, end)
    }

    fun aligned(): Aligned = Aligned(points.toArray(), starts.toArray(), ends.toArray(), points.size)

    private fun byte(byte: Int, start: Int, end: Int) {
        points.add(VISIBLE[byte])
        starts.add(start)
        ends.add(end)
    }

    companion object {
        /** The visible character of each byte: itself where it has one, else one from U+0100 on. */
        val VISIBLE: IntArray = run {
            var next = 0x100
            IntArray(256) { if (it in 0x21..0x7E || it in 0xA1..0xAC || it in 0xAE..0xFF) it else next++ }
        }

        /** The byte that a visible character stands for, or -1. */
        fun byteOf(point: Int): Int = BYTES.getOrElse(point) { -1 }

        private val BYTES: IntArray = IntArray(0x200) { -1 }.also { for (byte in 0..255) it[VISIBLE[byte]] = byte }
    }
}
