package edgekit.core.tokenizer

import edgekit.core.unicode.IntList

/** Which two tokens join to which, in the order of their rank. */
internal class Merges(count: Int) {
    private val keys = LongArray(Trie.tableSize(count))
    private val ranks = IntArray(keys.size)
    private val made = IntArray(count)

    fun put(left: Int, right: Int, rank: Int, joined: Int) {
        val slot = slot(key(left, right))
        keys[slot] = key(left, right)
        ranks[slot] = rank
        made[rank] = joined
    }

    /** The rank of a pair, or -1. */
    fun rank(left: Int, right: Int): Int {
        val slot = slot(key(left, right))
        return if (keys[slot] == 0L) -1 else ranks[slot]
    }

    fun joined(rank: Int): Int = made[rank]

    private fun key(left: Int, right: Int): Long = (left.toLong() + 1 shl 32) or right.toLong()

    private fun slot(key: Long): Int {
        val mask = keys.size - 1
        var slot = Trie.mix(key xor (key ushr 29)) and mask
        while (keys[slot] != 0L && keys[slot] != key) slot = (slot + 1) and mask
        return slot
    }
}

/** What byte pair encoding does with a word beside its merges. */
internal class BpeOptions(
    val unknown: Int,
    val fusesUnknown: Boolean,
    val bytes: IntArray?,
    val prefix: IntArray,
    val suffix: IntArray,
    val wholeFirst: Boolean,
)

/** Byte pair encoding: characters first, then the pair of lowest rank joins, until none is left. */
internal class Bpe(
    override val texts: Array<String?>,
    override val trie: Trie,
    override val size: Int,
    private val merges: Merges,
    private val options: BpeOptions,
) : Model {
    private class Known(val points: IntArray, val ids: IntArray, val starts: IntArray, val ends: IntArray)

    // Words repeat. An entry never changes once it is made, so threads may share the table.
    private val cache = arrayOfNulls<Known>(CACHED)

    override fun tokenize(text: Aligned, from: Int, to: Int, into: Draft) {
        if (options.wholeFirst) {
            val id = trie.find(text.points, from, to)
            if (id != Trie.NONE) {
                into.add(id, text, from, to)
                return
            }
        }
        val known = known(text.points, from, to)
        for (index in known.ids.indices) {
            into.add(known.ids[index], text, from + known.starts[index], from + known.ends[index])
        }
    }

    private fun known(points: IntArray, from: Int, to: Int): Known {
        if (to - from > LONGEST_CACHED) return cut(points, from, to)
        var hash = 17
        for (at in from until to) hash = hash * 31 + points[at]
        val slot = (hash xor (hash ushr 15)) and (CACHED - 1)
        val found = cache[slot]
        if (found != null && found.points.size == to - from && same(found.points, points, from)) return found
        return cut(points, from, to).also { cache[slot] = it }
    }

    private fun same(known: IntArray, points: IntArray, from: Int): Boolean {
        for (index in known.indices) if (known[index] != points[from + index]) return false
        return true
    }

    private fun cut(points: IntArray, from: Int, to: Int): Known {
        val word = Word(points, from, to)
        word.merge()
        return word.known()
    }

    /** One word's symbols as a linked list in arrays; lengths are bytes of UTF-8. */
    private inner class Word(private val points: IntArray, private val from: Int, private val to: Int) {
        private val ids = IntList(to - from)
        private val lengths = IntList(to - from)
        private var unknownLength = 0

        init {
            for (at in from until to) spell(at)
            flush()
        }

        private val next = IntArray(ids.size) { if (it + 1 < ids.size) it + 1 else -1 }
        private val previous = IntArray(ids.size) { it - 1 }
        private val queue = LongHeap(ids.size)

        private fun spell(at: Int) {
            val bytes = Utf8.size(points[at])
            val id = symbol(at)
            if (id != Trie.NONE) {
                flush()
                add(id, bytes)
            } else if (!spellBytes(at) && options.unknown != Trie.NONE) {
                if (!options.fusesUnknown) flush()
                unknownLength += bytes
            }
        }

        private fun symbol(at: Int): Int {
            var node = Trie.ROOT
            if (at > from) node = trie.walk(node, options.prefix, 0, options.prefix.size)
            if (node != Trie.NONE) node = trie.child(node, points[at])
            if (node != Trie.NONE && at == to - 1) node = trie.walk(node, options.suffix, 0, options.suffix.size)
            return if (node == Trie.NONE) Trie.NONE else trie.id(node)
        }

        /** The bytes of a character as tokens; its unknown neighbours stay where they are, behind it. */
        private fun spellBytes(at: Int): Boolean {
            val table = options.bytes ?: return false
            var whole = if (at > from) options.prefix + points[at] else intArrayOf(points[at])
            if (at == to - 1) whole += options.suffix
            val bytes = ByteArray(Utf8.size(whole, 0, whole.size))
            Utf8.write(whole, 0, whole.size, bytes)
            if (bytes.any { table[it.toInt() and 0xFF] == Trie.NONE }) return false
            for (byte in bytes) add(table[byte.toInt() and 0xFF], 1)
            return true
        }

        private fun flush() {
            if (unknownLength > 0) add(options.unknown, unknownLength)
            unknownLength = 0
        }

        private fun add(id: Int, length: Int) {
            ids.add(id)
            lengths.add(length)
        }

        private fun offer(left: Int) {
            val right = next[left]
            if (right < 0) return
            val rank = merges.rank(ids[left], ids[right])
            if (rank >= 0) queue.push(rank.toLong() shl 32 or left.toLong())
        }

        fun merge() {
            for (left in 0 until ids.size - 1) offer(left)
            while (queue.size > 0) {
                val top = queue.pop()
                val left = (top and 0xFFFFFFFFL).toInt()
                val joined = merges.joined((top ushr 32).toInt())
                if (lengths[left] == 0 || next[left] < 0) continue
                val right = next[left]
                val rank = merges.rank(ids[left], ids[right])
                if (rank < 0 || merges.joined(rank) != joined) continue
                ids[left] = joined
                lengths[left] = lengths[left] + lengths[right]
                lengths[right] = 0
                next[left] = next[right]
                if (next[left] >= 0) previous[next[left]] = left
                if (previous[left] >= 0) offer(previous[left])
                offer(left)
            }
        }

        /** The tokens with the characters that their bytes lie in. */
        fun known(): Known {
            val kept = (0 until ids.size).filter { lengths[it] > 0 }
            val made = Known(
                points.copyOfRange(from, to),
                IntArray(kept.size) { ids[kept[it]] },
                IntArray(kept.size),
                IntArray(kept.size),
            )
            var at = 0
            var before = 0
            var byte = 0
            for ((index, symbol) in kept.withIndex()) {
                while (at < to - from - 1 && before + width(at) <= byte) before += width(at++)
                made.starts[index] = at
                byte += lengths[symbol]
                var end = at
                var reached = before
                while (end < to - from - 1 && reached + width(end) < byte) reached += width(end++)
                made.ends[index] = end + 1
            }
            return made
        }

        private fun width(at: Int): Int = Utf8.size(points[from + at])
    }

    private companion object {
        const val CACHED = 1 shl 14
        const val LONGEST_CACHED = 64
    }
}

/** A binary heap of longs, the least on top. */
internal class LongHeap(capacity: Int) {
    private var items = LongArray(maxOf(capacity, 4))
    var size: Int = 0
        private set

    fun push(item: Long) {
        if (size == items.size) items = items.copyOf(size * 2)
        var at = size++
        while (at > 0 && items[(at - 1) / 2] > item) {
            items[at] = items[(at - 1) / 2]
            at = (at - 1) / 2
        }
        items[at] = item
    }

    fun pop(): Long {
        val top = items[0]
        val item = items[--size]
        var at = 0
        while (2 * at + 1 < size) {
            var child = 2 * at + 1
            if (child + 1 < size && items[child + 1] < items[child]) child++
            if (items[child] >= item) break
            items[at] = items[child]
            at = child
        }
        items[at] = item
        return top
    }
}
