package edgekit.core.tasks

import edgekit.core.json.Json

/** A name with its score, 0 to 1. */
public class Scored(public val name: String, public val score: Double)

/**
 * A part of a text.
 *
 * @property text the part itself
 * @property label what it is; null where the task has no labels
 * @property score 0 to 1
 * @property start where it begins, in code points
 * @property end where it ends, exclusive
 */
public class Found(
    public val text: String,
    public val label: String?,
    public val score: Double,
    public val start: Int,
    public val end: Int,
)

/** The answer of a task. [json] is what `edgekit run --json` prints for it. */
public sealed class Answer(public val text: String) {
    /** The answer as JSON. */
    public abstract val json: Json

    protected fun document(vararg members: Pair<String, Json>): Json =
        Json.Object(linkedMapOf<String, Json>("text" to Json.Text(text)).also { it.putAll(members) })

    protected fun number(value: Double): Json = Json.Number(value.toString())

    protected fun vector(values: FloatArray): Json = Json.Array(values.map { number(it.toDouble()) })

    protected fun scored(kind: String, items: List<Scored>): Json = Json.Array(
        items.map { Json.Object(linkedMapOf(kind to Json.Text(it.name), "score" to number(it.score))) },
    )

    /** One vector for the text. */
    public class Embedding(text: String, public val vector: FloatArray) : Answer(text) {
        override val json: Json get() = document("embedding" to vector(vector))
    }

    /** One vector for each token. */
    public class Features(text: String, public val tokens: List<String>, public val vectors: List<FloatArray>) : Answer(text) {
        override val json: Json
            get() = document(
                "tokens" to Json.Array(tokens.map { Json.Text(it) }),
                "features" to Json.Array(vectors.map { vector(it) }),
            )
    }

    /** Labels with scores, best first. */
    public class Labels(text: String, public val labels: List<Scored>) : Answer(text) {
        override val json: Json get() = document("labels" to scored("label", labels))
    }

    /** The one value of a regression. */
    public class Value(text: String, public val value: Double) : Answer(text) {
        override val json: Json get() = document("value" to number(value))
    }

    /** A value for each label of a regression. */
    public class Values(text: String, public val values: Map<String, Double>) : Answer(text) {
        override val json: Json get() = document("values" to Json.Object(values.mapValues { number(it.value) }))
    }

    /** The best tokens for each mask, in reading order. */
    public class Masks(text: String, public val masks: List<List<Scored>>) : Answer(text) {
        override val json: Json get() = document("masks" to Json.Array(masks.map { scored("token", it) }))
    }

    /** The best spans of the context; [nothing] is the score that it does not hold the answer. */
    public class Spans(text: String, public val answers: List<Found>, public val nothing: Double) : Answer(text) {
        override val json: Json
            get() = document("answers" to Json.Array(answers.map { place("answer", it) }), "no_answer" to number(nothing))
    }

    /** Entities in reading order. */
    public class Entities(text: String, public val entities: List<Found>) : Answer(text) {
        override val json: Json get() = document("entities" to Json.Array(entities.map { place("word", it) }))
    }

    /** The choices with probabilities, best first. */
    public class Choices(text: String, public val choices: List<Scored>) : Answer(text) {
        override val json: Json get() = document("choices" to scored("choice", choices))
    }

    protected fun place(kind: String, found: Found): Json {
        val members = linkedMapOf<String, Json>(kind to Json.Text(found.text))
        found.label?.let { members["label"] = Json.Text(it) }
        members["score"] = number(found.score)
        members["start"] = Json.Number(found.start.toString())
        members["end"] = Json.Number(found.end.toString())
        return Json.Object(members)
    }
}
