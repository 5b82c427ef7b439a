package edgekit.core.tokenizer

/** Texts to ids, walked one code point at a time; a flat hash table without an object a node. */
internal class Trie(expected: Int) {
    private var keys = LongArray(tableSize(expected))
    private var children = IntArray(keys.size)
    private var ids = IntArray(maxOf(expected, 16)) { NONE }
    private var nodes = 1

    /** Gives a text its id; the last one wins. */
    fun put(text: String, id: Int) {
        var node = ROOT
        var at = 0
        while (at < text.length) {
            val point = text.codePointAt(at)
            node = grow(node, point)
            at += Character.charCount(point)
        }
        ids[node] = id
    }

    /** The node behind [node] for a character, or [NONE]. */
    fun child(node: Int, point: Int): Int {
        val key = key(node, point)
        val mask = keys.size - 1
        var slot = mix(key) and mask
        while (true) {
            val found = keys[slot]
            if (found == key) return children[slot]
            if (found == 0L) return NONE
            slot = (slot + 1) and mask
        }
    }

    /** The id of the text that ends at a node, or [NONE]. */
    fun id(node: Int): Int = ids[node]

    /** The id of a text, or [NONE]. */
    fun find(text: String): Int {
        var node = ROOT
        var at = 0
        while (at < text.length) {
            val point = text.codePointAt(at)
            node = child(node, point)
            if (node == NONE) return NONE
            at += Character.charCount(point)
        }
        return ids[node]
    }

    /** The id of a part of a text, or [NONE]. */
    fun find(points: IntArray, from: Int, to: Int): Int {
        val node = walk(ROOT, points, from, to)
        return if (node == NONE) NONE else ids[node]
    }

    /** The node behind [node] for a whole text, or [NONE]. */
    fun walk(node: Int, points: IntArray, from: Int, to: Int): Int {
        var at = node
        for (index in from until to) {
            at = child(at, points[index])
            if (at == NONE) return NONE
        }
        return at
    }

    private fun grow(node: Int, point: Int): Int {
        val known = child(node, point)
        if (known != NONE) return known
        if (nodes * 5L > keys.size * 3L) rehash()
        if (nodes == ids.size) {
            ids = ids.copyOf(nodes * 2)
            ids.fill(NONE, nodes, ids.size)
        }
        insert(key(node, point), nodes)
        return nodes++
    }

    private fun insert(key: Long, child: Int) {
        val mask = keys.size - 1
        var slot = mix(key) and mask
        while (keys[slot] != 0L) slot = (slot + 1) and mask
        keys[slot] = key
        children[slot] = child
    }

    private fun rehash() {
        val oldKeys = keys
        val oldChildren = children
        keys = LongArray(oldKeys.size * 2)
        children = IntArray(keys.size)
        for (slot in oldKeys.indices) if (oldKeys[slot] != 0L) insert(oldKeys[slot], oldChildren[slot])
    }

    companion object {
        const val ROOT = 0
        const val NONE = -1

        private fun key(node: Int, point: Int): Long = (node.toLong() + 1 shl 21) or point.toLong()

        fun mix(key: Long): Int {
            val mixed = key * -7046029254386353131L
            return (mixed ushr 32).toInt()
        }

        fun tableSize(expected: Int): Int = Integer.highestOneBit(maxOf(expected, 16) * 2) * 2
    }
}
