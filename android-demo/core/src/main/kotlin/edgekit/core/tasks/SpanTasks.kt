package edgekit.core.tasks

import edgekit.core.EdgeKitException
import edgekit.core.unicode.Unicode

/** A text by code points, as Python counts it. */
internal class CodePoints(text: String) {
    private val points = text.codePoints().toArray()

    fun part(start: Int, end: Int): String = String(points, start, end - start)

    /** [start], moved behind the white space that it stands on. */
    fun skipSpace(start: Int, end: Int): Int {
        var at = start
        while (at < end && isSpace(points[at])) at++
        return at
    }

    companion object {
        /** Python's `str.isspace`: it counts four separators of ASCII too. */
        fun isSpace(point: Int): Boolean = point in 0x1C..0x1F || Unicode.has(point, Unicode.SPACE)

        /** Whether Python finds a text empty: nothing but white space. */
        fun isBlank(text: String): Boolean = text.codePoints().allMatch { isSpace(it) }
    }
}

/** Names, places and other spans of a text, with their labels. */
internal object TokenClassification : Task {
    override val name = "token-classification"
    override val takes = mapOf("aggregation" to false)
    private const val OUTSIDE = "O"

    private class Piece(val label: String, val score: Double, val start: Int, val end: Int) {
        val begins: Boolean get() = label.startsWith("B-")
        val kind: String get() = if (label.startsWith("B-") || label.startsWith("I-")) label.substring(2) else label
    }

    override fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer {
        val run = runs.single()
        val tokens = run.words.indices.filter { run.words[it] >= 0 }
        val groups = when (query.aggregation) {
            "first" -> tokens.groupBy { run.words[it] }.values.toList()
            "simple" -> tokens.map { listOf(it) }
            else -> throw EdgeKitException.SpecError("unknown aggregation \"${query.aggregation}\"", "One of: first, simple.")
        }
        val joined = ArrayList<ArrayList<Piece>>()
        for (group in groups) {
            val piece = piece(run, group, facts.labels)
            val last = joined.lastOrNull()
            val goesOn = last != null && !piece.begins && piece.kind == last.last().kind
            if (goesOn) joined.last().add(piece) else joined.add(arrayListOf(piece))
        }
        val text = CodePoints(query.text)
        return Answer.Entities(query.text, joined.map { entity(it, text) }.filter { it.label != OUTSIDE })
    }

    private fun piece(run: Run, group: List<Int>, labels: List<String>): Piece {
        val scores = Numbers.softmax(run.row(group.first()))
        val best = Numbers.top(scores, 1).single()
        return Piece(labels[best], scores[best], run.starts[group.first()], run.ends[group.last()])
    }

    private fun entity(pieces: List<Piece>, text: CodePoints): Found {
        val end = pieces.last().end
        val start = text.skipSpace(pieces.first().start, end)
        return Found(text.part(start, end), pieces.first().kind, pieces.map { it.score }.average(), start, end)
    }
}

/** The spans of a context that answer a question. */
internal object QuestionAnswering : Task {
    override val name = "question-answering"
    override val takes = mapOf("context" to true)
    override val windows = true
    private const val LONGEST_ANSWER = 30
    private const val NEVER = -1e4

    override fun pairs(query: Query): List<Pair<String, String?>> = listOf(query.text to query.context)

    override fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer {
        val context = CodePoints(query.context.orEmpty())
        val found = LinkedHashMap<Pair<Int, Int>, Double>()
        var nothing = 1.0
        for (run in runs) {
            val window = Window(run)
            nothing = minOf(nothing, window.nothing)
            for ((first, last, score) in window.best(query.topK)) {
                val place = characters(run, first, last, context)
                found[place] = maxOf(score, found[place] ?: 0.0)
            }
        }
        val best = found.entries
            .sortedWith(compareBy({ -it.value }, { it.key.first }, { it.key.second }))
            .take(query.topK)
        val answers = best.map { (place, score) ->
            Found(context.part(place.first, place.second), null, score, place.first, place.second)
        }
        return Answer.Spans(query.text, answers, nothing)
    }

    /** One pass over a part of the context. */
    private class Window(run: Run) {
        private val inside = BooleanArray(run.ids.size) { run.sequences[it] == 1 }
        private val start: DoubleArray
        private val end: DoubleArray
        val nothing: Double

        init {
            val classifier = if (run.sequences.first() < 0) 0 else inside.size - 1
            val rows = run.ids.indices.map {
                if (inside[it] || it == classifier) run.row(it) else doubleArrayOf(NEVER, NEVER)
            }
            start = Numbers.softmax(DoubleArray(rows.size) { rows[it][0] })
            end = Numbers.softmax(DoubleArray(rows.size) { rows[it][1] })
            nothing = start[classifier] * end[classifier]
        }

        fun best(count: Int): List<Triple<Int, Int, Double>> {
            val size = inside.size
            val scores = DoubleArray(size * size)
            for (i in 0 until size) {
                for (j in i until minOf(size, i + LONGEST_ANSWER)) {
                    if (inside[i] && inside[j]) scores[i * size + j] = start[i] * end[j]
                }
            }
            return Numbers.top(scores, count)
                .map { Triple(it / size, it % size, scores[it]) }
                .filter { (i, j) -> inside[i] && inside[j] && j - i in 0 until LONGEST_ANSWER }
        }
    }

    /** The span in code points, widened to whole words. */
    private fun characters(run: Run, first: Int, last: Int, context: CodePoints): Pair<Int, Int> {
        val same = run.ids.indices.filter { run.sequences[it] == 1 }
        val start = run.starts[same.first { run.words[it] == run.words[first] }]
        val end = run.ends[same.last { run.words[it] == run.words[last] }]
        return context.skipSpace(start, end) to end
    }
}
