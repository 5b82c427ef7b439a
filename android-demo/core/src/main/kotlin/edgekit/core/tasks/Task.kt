package edgekit.core.tasks

import edgekit.core.EdgeKitException
import edgekit.core.engine.FloatTensor

/**
 * What one answer is asked for.
 *
 * @property text the text, or the question
 * @property context a second text: the passage that holds the answer, or the other one of a pair
 * @property labels what a text may be about, for a classifier that is not trained for them
 * @property choices what may follow the text
 * @property template makes a sentence of a label, which stands for `{}`
 * @property multiLabel whether several labels can be true at once
 * @property aggregation how tokens become entities: `first` (a word has the label of its first token)
 *   or `simple` (each token has its own)
 * @property topK how many candidates to give where there are many
 */
public class Query(
    public val text: String,
    public val context: String? = null,
    public val labels: List<String> = emptyList(),
    public val choices: List<String> = emptyList(),
    public val template: String = "This example is {}.",
    public val multiLabel: Boolean = false,
    public val aggregation: String = "first",
    public val topK: Int = 5,
)

/** What a task needs to know of a model. */
internal class ModelFacts(
    val labels: List<String>,
    val problem: String?,
    val maskTokenId: Int?,
    val token: (Int) -> String,
)

/** One pass through the graph, without what padding added; a sequence of -1 marks a template's token. */
internal class Run(
    val output: FloatTensor,
    val ids: IntArray,
    val starts: IntArray,
    val ends: IntArray,
    val words: IntArray,
    val sequences: IntArray,
) {
    val width: Int get() = output.shape.last().toInt()

    /** One token's numbers, as doubles. */
    fun row(index: Int): DoubleArray = DoubleArray(width) { output.values[index * width + it].toDouble() }

    /** All numbers, as doubles. */
    fun all(): DoubleArray = DoubleArray(output.values.size) { output.values[it].toDouble() }
}

/** From outputs to answers, one object a task; the same sums as in Python's edgekit/tasks. */
internal interface Task {
    val name: String

    /** Fields of a query that the task has a use for; those that it needs are true. */
    val takes: Map<String, Boolean>

    /** Whether a second text that is too long is read in overlapping parts. */
    val windows: Boolean get() = false

    /** What goes through the graph, one pair of texts a pass. */
    fun pairs(query: Query): List<Pair<String, String?>> = listOf(query.text to null)

    /** The numbers of an output that a replay compares, as `rows` in Python's tasks; padding may follow them. */
    fun compared(output: FloatTensor, ids: LongArray, facts: ModelFacts): FloatArray = output.values

    fun answer(runs: List<Run>, query: Query, facts: ModelFacts): Answer

    companion object {
        private val ALL = listOf(
            SentenceSimilarity, FeatureExtraction, FillMask, TextClassification, TokenClassification,
            QuestionAnswering, ZeroShotClassification, MultipleChoice,
        )

        fun called(name: String): Task = ALL.firstOrNull { it.name == name } ?: throw EdgeKitException.Unsupported(
            "the task $name is not known here",
            "This core knows: ${ALL.joinToString(", ") { it.name }}.",
        )

        /** Refuses fields that the task has no use for, and misses those that it needs. */
        fun check(task: Task, query: Query) {
            val given = linkedMapOf(
                "context" to (query.context != null),
                "labels" to query.labels.isNotEmpty(),
                "choices" to query.choices.isNotEmpty(),
                "multiLabel" to query.multiLabel,
            )
            for ((field, there) in given) {
                if (there && field !in task.takes) {
                    throw EdgeKitException.SpecError("${task.name} takes no $field", "Leave it out of the query.")
                }
                if (!there && task.takes[field] == true) {
                    throw EdgeKitException.SpecError("${task.name} needs $field", "Give it in the query.")
                }
            }
            if (query.topK < 1) throw EdgeKitException.SpecError("topK is ${query.topK}", "Ask for at least one candidate.")
        }
    }
}
