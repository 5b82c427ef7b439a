package edgekit.core.unicode

import edgekit.core.EdgeKitException
import java.io.IOException

/**
 * Properties of characters as Python's tokenizers library sees them, the same on every phone.
 *
 * Android versions differ in their Unicode tables, and a tokenizer that asked the system would give
 * other ids on an old phone. The tables lie in `unicode.bin`; `tests/android/unicode_tables.py` writes
 * them and says what each bit means.
 */
internal object Unicode {
    const val LIMIT = 0x110000
    const val BREAK_SHIFT = 5
    private const val CLASS_SHIFT = 9
    private const val FLAG_SHIFT = 17

    const val SPACE = 1 shl FLAG_SHIFT
    const val CLEAN_REMOVED = 1 shl (FLAG_SHIFT + 1)
    const val MARK_NONSPACING = 1 shl (FLAG_SHIFT + 2)
    const val COMBINING = 1 shl (FLAG_SHIFT + 3)
    const val PUNCTUATION = 1 shl (FLAG_SHIFT + 4)
    const val NUMERIC = 1 shl (FLAG_SHIFT + 5)
    const val WORD = 1 shl (FLAG_SHIFT + 6)
    const val PATTERN_SPACE = 1 shl (FLAG_SHIFT + 7)
    const val PATTERN_WORD = 1 shl (FLAG_SHIFT + 8)
    const val PICTOGRAPHIC = 1 shl (FLAG_SHIFT + 9)

    /** General categories in the order of their numbers. */
    val CATEGORIES: List<String> = (
        "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co"
        ).split(' ')

    private const val PAGE_BITS = 7
    private const val PAGE = 1 shl PAGE_BITS
    private val pages = ShortArray(LIMIT shr PAGE_BITS)
    private val profiles: IntArray
    private val cells: ShortArray
    private val ascii: IntArray

    private val lowercase: MapTable
    private val canonical: MapTable
    private val compatible: MapTable
    private val pairs: LongArray
    private val composed: IntArray

    init {
        val reader = TableReader(resource())
        reader.expect("EKU1")
        profiles = IntArray(reader.varint()) { reader.varint() }
        cells = readPages(reader)
        lowercase = MapTable.read(reader)
        canonical = MapTable.read(reader)
        compatible = MapTable.read(reader)
        val count = reader.varint()
        pairs = LongArray(count)
        composed = IntArray(count)
        for (index in 0 until count) {
            pairs[index] = pair(reader.varint(), reader.varint())
            composed[index] = reader.varint()
        }
        ascii = IntArray(128) { profiles[cells[(pages[it shr PAGE_BITS].toInt() shl PAGE_BITS) + it].toInt()] }
    }

    /** All bits of a code point. */
    fun profile(point: Int): Int {
        if (point < 128) return ascii[point]
        val page = pages[point shr PAGE_BITS].toInt()
        return profiles[cells[(page shl PAGE_BITS) + (point and (PAGE - 1))].toInt()]
    }

    fun has(point: Int, flag: Int): Boolean = profile(point) and flag != 0

    /** Number of the general category, see [CATEGORIES]. */
    fun category(point: Int): Int = profile(point) and 31

    fun graphemeBreak(point: Int): Int = (profile(point) shr BREAK_SHIFT) and 15

    fun combiningClass(point: Int): Int = (profile(point) shr CLASS_SHIFT) and 255

    /** The characters that a lower-cased one becomes; null where it stays. */
    fun lowercase(point: Int): IntArray? = lowercase.find(point)

    /** Full decomposition; null where the character stays. Hangul is not in it. */
    fun decomposition(point: Int, compatibility: Boolean): IntArray? =
        (if (compatibility) compatible.find(point) else null) ?: canonical.find(point)

    /** The primary composite of two characters, or -1. Hangul is not in it. */
    fun composition(first: Int, second: Int): Int {
        val index = pairs.binarySearch(pair(first, second))
        return if (index < 0) -1 else composed[index]
    }

    private fun pair(first: Int, second: Int): Long = (first.toLong() shl 21) or second.toLong()

    private fun readPages(reader: TableReader): ShortArray {
        val runs = reader.varint()
        val flat = ShortArray(LIMIT)
        var at = 0
        repeat(runs) {
            val count = reader.varint()
            flat.fill(reader.varint().toShort(), at, at + count)
            at += count
        }
        val numbers = HashMap<String, Int>()
        val distinct = ArrayList<ShortArray>()
        for (page in pages.indices) {
            val cell = flat.copyOfRange(page shl PAGE_BITS, (page + 1) shl PAGE_BITS)
            val key = String(CharArray(PAGE) { cell[it].toInt().toChar() })
            pages[page] = numbers.getOrPut(key) {
                distinct.add(cell)
                distinct.size - 1
            }.toShort()
        }
        return ShortArray(distinct.size * PAGE) { distinct[it shr PAGE_BITS][it and (PAGE - 1)] }
    }

    private fun resource(): ByteArray {
        val name = "/edgekit/core/unicode.bin"
        val stream = Unicode::class.java.getResourceAsStream(name)
            ?: throw EdgeKitException.InternalError("the app lacks the resource $name")
        try {
            return stream.use { it.readBytes() }
        } catch (error: IOException) {
            throw EdgeKitException.InternalError("cannot read the resource $name", error)
        }
    }
}

/** Reads unsigned LEB128 numbers. */
internal class TableReader(private val bytes: ByteArray) {
    private var at = 0

    fun expect(magic: String) {
        for (char in magic) check(bytes[at++].toInt() == char.code) { "unicode.bin is of another version" }
    }

    fun varint(): Int {
        var value = 0
        var shift = 0
        while (true) {
            val byte = bytes[at++].toInt()
            value = value or ((byte and 0x7F) shl shift)
            if (byte >= 0) return value
            shift += 7
        }
    }
}

/** Code point to a few code points. */
internal class MapTable private constructor(private val keys: IntArray, private val texts: Array<IntArray>) {
    fun find(point: Int): IntArray? {
        if (keys.isEmpty() || point < keys[0]) return null
        val index = keys.binarySearch(point)
        return if (index < 0) null else texts[index]
    }

    companion object {
        fun read(reader: TableReader): MapTable {
            val count = reader.varint()
            val keys = IntArray(count)
            var last = 0
            val texts = Array(count) { index ->
                last += reader.varint()
                keys[index] = last
                IntArray(reader.varint()) { reader.varint() }
            }
            return MapTable(keys, texts)
        }
    }
}
