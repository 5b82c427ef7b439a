package edgekit.core.tokenizer

import edgekit.core.regex.Pattern

/** Turns tokens into pieces of text. */
internal interface Decoder {
    fun decode(tokens: List<String>): List<String>
}

internal class DecoderSequence(private val steps: List<Decoder>) : Decoder {
    override fun decode(tokens: List<String>): List<String> = steps.fold(tokens) { made, step -> step.decode(made) }
}

/** Visible characters back to the bytes that they stand for. */
internal object ByteLevelDecoder : Decoder {
    override fun decode(tokens: List<String>): List<String> {
        var bytes = ByteArray(64)
        var length = 0
        for (token in tokens) {
            val points = token.codePoints().toArray()
            val visible = points.all { ByteText.byteOf(it) >= 0 }
            val size = if (visible) points.size else Utf8.size(points, 0, points.size)
            if (length + size > bytes.size) bytes = bytes.copyOf(2 * (length + size))
            if (visible) {
                for (point in points) bytes[length++] = ByteText.byteOf(point).toByte()
            } else {
                val part = ByteArray(size)
                Utf8.write(points, 0, points.size, part)
                part.copyInto(bytes, length)
                length += size
            }
        }
        return listOf(Utf8.lossy(bytes, length))
    }
}

internal class WordPieceDecoder(private val prefix: String, private val cleansUp: Boolean) : Decoder {
    override fun decode(tokens: List<String>): List<String> = tokens.mapIndexed { index, token ->
        val piece = when {
            index == 0 -> token
            token.startsWith(prefix) -> token.substring(prefix.length)
            else -> " $token"
        }
        if (cleansUp) CLEANED.fold(piece) { text, (from, to) -> text.replace(from, to) } else piece
    }

    private companion object {
        val CLEANED = listOf(
            " ." to ".", " ?" to "?", " !" to "!", " ," to ",", " ' " to "'", " n't" to "n't", " 'm" to "'m",
            " do not" to " don't", " 's" to "'s", " 've" to "'ve", " 're" to "'re",
        )
    }
}

internal class MetaspaceDecoder(private val mark: Int, private val adds: Boolean) : Decoder {
    override fun decode(tokens: List<String>): List<String> = tokens.mapIndexed { index, token ->
        val made = StringBuilder()
        token.codePoints().forEach {
            if (it != mark) made.appendCodePoint(it) else if (index > 0 || !adds) made.append(' ')
        }
        made.toString()
    }
}

internal class BpeDecoder(private val suffix: String) : Decoder {
    override fun decode(tokens: List<String>): List<String> = tokens.mapIndexed { index, token ->
        val between = if (index == tokens.size - 1) "" else " "
        if (suffix.isEmpty()) token else token.replace(suffix, between)
    }
}

internal class ReplaceDecoder(private val pattern: Pattern, private val content: String) : Decoder {
    override fun decode(tokens: List<String>): List<String> = tokens.map { token ->
        val points = token.codePoints().toArray()
        val found = pattern.findAll(points, 0, points.size)
        val made = StringBuilder()
        var done = 0
        for (index in 0 until found.size) {
            for (at in done until found.start(index)) made.appendCodePoint(points[at])
            made.append(content)
            done = found.end(index)
        }
        for (at in done until points.size) made.appendCodePoint(points[at])
        made.toString()
    }
}

internal object FuseDecoder : Decoder {
    override fun decode(tokens: List<String>): List<String> = listOf(tokens.joinToString(""))
}

/** Takes up to so many of one character off the ends of each token. */
internal class StripDecoder(private val content: Int, private val start: Int, private val stop: Int) : Decoder {
    override fun decode(tokens: List<String>): List<String> = tokens.map { token ->
        val points = token.codePoints().toArray()
        var from = 0
        while (from < start && from < points.size && points[from] == content) from++
        var to = points.size
        while (to > from && points.size - to < stop && points[to - 1] == content) to--
        String(points, from, to - from)
    }
}

/** `<0xE4>` and its like back to characters. */
internal object ByteFallbackDecoder : Decoder {
    override fun decode(tokens: List<String>): List<String> {
        val made = ArrayList<String>(tokens.size)
        val bytes = ArrayList<Byte>()
        for (token in tokens) {
            val byte = byte(token)
            if (byte >= 0) {
                bytes.add(byte.toByte())
            } else {
                flush(bytes, made)
                made.add(token)
            }
        }
        flush(bytes, made)
        return made
    }

    private fun byte(token: String): Int {
        if (token.length != 6 || !token.startsWith("<0x") || token[5] != '>') return -1
        val high = Character.digit(token[3], 16)
        val low = Character.digit(token[4], 16)
        return if (high < 0 || low < 0 || token[3].code > 127 || token[4].code > 127) -1 else high * 16 + low
    }

    private fun flush(bytes: MutableList<Byte>, made: MutableList<String>) {
        if (bytes.isEmpty()) return
        val text = Utf8.strict(bytes.toByteArray())
        if (text != null) made.add(text) else repeat(bytes.size) { made.add("\uFFFD") }
        bytes.clear()
    }
}
