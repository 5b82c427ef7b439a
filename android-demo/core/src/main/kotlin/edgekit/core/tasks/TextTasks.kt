package edgekit.core.tasks

import edgekit.core.EdgeKitException
import edgekit.core.engine.FloatTensor

internal object SentenceSimilarity : Task {
    override val name = "sentence-similarity"
    override val takes = emptyMap<String, Boolean>()

    override fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer =
        Answer.Embedding(query.text, runs.single().output.values)
}

internal object FeatureExtraction : Task {
    override val name = "feature-extraction"
    override val takes = emptyMap<String, Boolean>()

    override fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer {
        val run = runs.single()
        val vectors = run.ids.indices.map { run.output.values.copyOfRange(it * run.width, (it + 1) * run.width) }
        return Answer.Features(query.text, run.ids.map(facts.token), vectors)
    }
}

internal object FillMask : Task {
    override val name = "fill-mask"
    override val takes = emptyMap<String, Boolean>()

    /** Logits at the masks; at every fourth token when the text has none. */
    override fun compared(output: FloatTensor, ids: LongArray, facts: ModelFacts): FloatArray {
        val width = output.shape.last().toInt()
        val masks = ids.indices.filter { ids[it] == facts.maskTokenId?.toLong() }
        val places = masks.ifEmpty { (1 until output.values.size / width step 4).toList() }
        return FloatArray(places.size * width) { output.values[places[it / width] * width + it % width] }
    }

    override fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer {
        val run = runs.single()
        val places = run.ids.indices.filter { run.ids[it] == facts.maskTokenId }
        if (places.isEmpty()) {
            val mask = facts.maskTokenId?.let(facts.token).orEmpty()
            throw EdgeKitException.TextRefused(
                "no mask token in \"${query.text.take(200)}\"",
                "Put $mask where a word should be filled in.",
            )
        }
        val masks = places.map { place ->
            val scores = Numbers.softmax(run.row(place))
            Numbers.top(scores, query.topK).map { Scored(facts.token(it), scores[it]) }
        }
        return Answer.Masks(query.text, masks)
    }
}

internal object TextClassification : Task {
    override val name = "text-classification"
    override val takes = mapOf("context" to false)

    override fun pairs(query: Query): List<Pair<String, String?>> = listOf(query.text to query.context)

    override fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer {
        val logits = runs.single().all()
        if (facts.problem == "regression") {
            if (logits.size == 1) return Answer.Value(query.text, logits[0])
            return Answer.Values(query.text, facts.labels.withIndex().associate { (index, label) -> label to logits[index] })
        }
        val scores = if (facts.problem == "multi_label_classification") {
            DoubleArray(logits.size) { Numbers.sigmoid(logits[it]) }
        } else {
            Numbers.softmax(logits)
        }
        return Answer.Labels(query.text, Numbers.descending(scores).map { Scored(facts.labels[it], scores[it]) })
    }
}

/** Labels of the caller's own, by a model that says whether a text entails a sentence. */
internal object ZeroShotClassification : Task {
    override val name = "zero-shot-classification"
    override val takes = mapOf("labels" to true, "multiLabel" to false)

    override fun pairs(query: Query): List<Pair<String, String?>> {
        if ("{}" !in query.template) {
            throw EdgeKitException.SpecError(
                "the template \"${query.template}\" has no place for a label",
                "Put {} where it belongs: \"This example is {}.\"",
            )
        }
        return query.labels.map { query.text to query.template.replace("{}", it) }
    }

    override fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer {
        val (entails, contradicts) = inferenceLabels(facts.labels) ?: throw EdgeKitException.BundleCorrupt(
            "the bundle's model has no label for entailment",
        )
        val logits = runs.map { it.all() }
        val scores = if (query.multiLabel || query.labels.size == 1) {
            DoubleArray(logits.size) { Numbers.softmax(doubleArrayOf(logits[it][entails], logits[it][contradicts]))[0] }
        } else {
            Numbers.softmax(DoubleArray(logits.size) { logits[it][entails] })
        }
        return Answer.Labels(query.text, Numbers.descending(scores).map { Scored(query.labels[it], scores[it]) })
    }

    private fun inferenceLabels(labels: List<String>): Pair<Int, Int>? {
        val low = labels.map { it.lowercase() }
        val entails = low.indexOfFirst { it.startsWith("entail") }
        if (entails < 0 || low.size < 2) return null
        val named = low.indexOfFirst { it.startsWith("contra") }
        return entails to if (named >= 0) named else if (entails == 0) low.size - 1 else 0
    }
}

internal object MultipleChoice : Task {
    override val name = "multiple-choice"
    override val takes = mapOf("choices" to true)

    override fun pairs(query: Query): List<Pair<String, String?>> {
        if (query.choices.size < 2) throw EdgeKitException.SpecError("there is only one choice", "Give two or more.")
        return query.choices.map { query.text to it }
    }

    override fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer {
        val scores = Numbers.softmax(DoubleArray(runs.size) { runs[it].output.values[0].toDouble() })
        return Answer.Choices(query.text, Numbers.descending(scores).map { Scored(query.choices[it], scores[it]) })
    }
}
