package edgekit.core.tokenizer

import edgekit.core.regex.Pattern
import edgekit.core.unicode.IntList
import edgekit.core.unicode.Normalization
import edgekit.core.unicode.Unicode

/** Changes a text before it is split. */
internal interface Normalizer {
    fun normalize(text: Aligned)
}

internal class NormalizerSequence(private val steps: List<Normalizer>) : Normalizer {
    override fun normalize(text: Aligned) {
        for (step in steps) step.normalize(text)
    }
}

/** NFC, NFD, NFKC or NFKD. */
internal class UnicodeForm(private val composes: Boolean, private val compatibility: Boolean) : Normalizer {
    override fun normalize(text: Aligned) {
        if ((0 until text.length).all { text.points[it] < 0x80 }) return
        val (points, changes) = if (composes) {
            Normalization.composed(text.points, text.length, compatibility)
        } else {
            Normalization.decomposed(text.points, text.length, compatibility)
        }
        text.transform(points, changes)
    }

    companion object {
        val NFD = UnicodeForm(composes = false, compatibility = false)
    }
}

internal object Lowercase : Normalizer {
    override fun normalize(text: Aligned) {
        var grows = false
        for (at in 0 until text.length) {
            val point = text.points[at]
            if (point < 128) {
                if (point in 'A'.code..'Z'.code) text.points[at] = point + 32
            } else {
                val lower = Unicode.lowercase(point) ?: continue
                if (lower.size == 1) text.points[at] = lower[0] else grows = true
            }
        }
        if (grows) expand(text)
    }

    private fun expand(text: Aligned) {
        val points = IntList(text.length + 8)
        val changes = IntList(text.length + 8)
        for (at in 0 until text.length) {
            val lower = Unicode.lowercase(text.points[at]) ?: intArrayOf(text.points[at])
            for (index in lower.indices) {
                points.add(lower[index])
                changes.add(if (index == 0) 0 else 1)
            }
        }
        text.transform(points, changes)
    }
}

internal object StripAccents : Normalizer {
    override fun normalize(text: Aligned) = text.filter { !Unicode.has(it, Unicode.COMBINING) }
}

/** White space at the ends goes. */
internal class Strip(private val left: Boolean, private val right: Boolean) : Normalizer {
    override fun normalize(text: Aligned) {
        var from = 0
        var to = text.length
        while (left && from < to && Unicode.has(text.points[from], Unicode.SPACE)) from++
        while (right && to > from && Unicode.has(text.points[to - 1], Unicode.SPACE)) to--
        if (to - from == text.length) return
        val kept = text.part(from, to)
        text.points = kept.points
        text.starts = kept.starts
        text.ends = kept.ends
        text.length = kept.length
    }
}

internal class Replace(private val pattern: Pattern, content: String) : Normalizer {
    private val content = content.codePoints().toArray()

    override fun normalize(text: Aligned) = text.replace(pattern.findAll(text.points, 0, text.length), content)
}

internal class Prepend(text: String) : Normalizer {
    private val content = text.codePoints().toArray()

    override fun normalize(text: Aligned) = text.prepend(content)
}

/** Every byte of UTF-8 becomes one visible character, before anything is split. */
internal object ByteLevelNormalizer : Normalizer {
    override fun normalize(text: Aligned) {
        val made = ByteText(text.length)
        for (at in 0 until text.length) made.add(text.points[at], text.starts[at], text.ends[at])
        val bytes = made.aligned()
        text.points = bytes.points
        text.starts = bytes.starts
        text.ends = bytes.ends
        text.length = bytes.length
    }
}

/** BERT's cleaning: control characters, white space, Chinese characters apart, accents, case. */
internal class BertNormalizer(
    private val cleanText: Boolean,
    private val chineseApart: Boolean,
    private val stripAccents: Boolean,
    private val lowercase: Boolean,
) : Normalizer {
    override fun normalize(text: Aligned) {
        if (cleanText) {
            text.filter { !Unicode.has(it, Unicode.CLEAN_REMOVED) }
            text.map { if (Unicode.has(it, Unicode.SPACE)) ' '.code else it }
        }
        if (chineseApart) separate(text)
        if (stripAccents) {
            UnicodeForm.NFD.normalize(text)
            text.filter { !Unicode.has(it, Unicode.MARK_NONSPACING) }
        }
        if (lowercase) Lowercase.normalize(text)
    }

    private fun separate(text: Aligned) {
        if ((0 until text.length).none { isChinese(text.points[it]) }) return
        val points = IntList(text.length + 16)
        val changes = IntList(text.length + 16)
        for (at in 0 until text.length) {
            val point = text.points[at]
            if (isChinese(point)) {
                points.add(' '.code)
                changes.add(0)
                points.add(point)
                changes.add(1)
                points.add(' '.code)
                changes.add(1)
            } else {
                points.add(point)
                changes.add(0)
            }
        }
        text.transform(points, changes)
    }

    // BERT's own list, in the bounds that the tokenizers library gives it.
    private fun isChinese(point: Int): Boolean = point >= 0x3400 && (
        point in 0x4E00..0x9FFF || point in 0x3400..0x4DBF || point in 0x20000..0x2A6DF ||
            point in 0x2A700..0x2B73F || point in 0x2B740..0x2B81F || point in 0x2B920..0x2CEAF ||
            point in 0xF900..0xFAFF || point in 0x2F800..0x2FA1F
        )
}
