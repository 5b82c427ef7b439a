package edgekit.core.unicode

/** A growing list of ints without boxes. */
internal class IntList(capacity: Int = 16) {
    var items: IntArray = IntArray(maxOf(capacity, 4))
        private set
    var size: Int = 0
        private set

    fun add(value: Int) {
        if (size == items.size) items = items.copyOf(size * 2)
        items[size++] = value
    }

    operator fun get(index: Int): Int = items[index]

    operator fun set(index: Int, value: Int) {
        items[index] = value
    }

    fun clear() {
        size = 0
    }

    /** Forgets what lies behind the first [count]. */
    fun cut(count: Int) {
        size = count
    }

    fun toArray(): IntArray = items.copyOf(size)
}
