package edgekit.demo.screens

import android.os.Debug
import edgekit.core.EdgeKitCore
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Manifest
import edgekit.core.engine.EngineReport
import edgekit.core.tasks.Query
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** How long an answer takes here, and what it costs in memory. */
object BenchmarkScreen : Screen {
    override val name = "benchmark"
    override val title = R.string.benchmark

    private const val WARM_UPS = 5
    private const val RUNS = 30
    private const val MEGABYTE = 1e6
    private const val TEXT = "The train to the coast leaves at seven in the morning."

    class Measured(val times: List<Double>, val bytes: Long, report: EngineReport) {
        val runtime = report.runtime
        val version = report.version
        val loadMillis = report.loadMillis
        val threads = report.threads
    }

    override fun fits(manifest: Manifest): Boolean = !manifest.generates

    override fun show(page: Page, session: Session) {
        val context = page.activity
        page.text(context.getString(R.string.benchmark_about))
        val chart = LatencyChart(context)
        page.call(name, context.getString(R.string.benchmark_run), { session.run { measure(it) } }) { it: Measured ->
            val times = it.times.sorted()
            chart.show(it.times)
            val measured = context.getString(
                R.string.benchmark_result,
                Page.decimal(times[times.size / 2], 2),
                Page.decimal(times[times.size * 9 / 10], 2),
                Page.decimal(it.bytes / MEGABYTE, 0),
                it.runtime,
                it.version,
                Page.decimal(it.loadMillis, 0),
                it.threads,
            )
            // An app without a tuning file has nothing to say about it.
            val problem = session.tuningProblem.takeIf { error -> error !is EdgeKitException.InputMissing }
            if (problem == null) measured else "$measured\n\n${problem.message} ${problem.hint}"
        }
        page.add(chart)
    }

    private fun measure(model: EdgeKitCore): Measured {
        val query = query(model)
        repeat(WARM_UPS) { model.run(query) }
        val times = List(RUNS) {
            val start = System.nanoTime()
            model.run(query)
            (System.nanoTime() - start) / 1e6
        }
        val java = Runtime.getRuntime().run { totalMemory() - freeMemory() }
        return Measured(times, java + Debug.getNativeHeapAllocatedSize(), model.report)
    }

    private fun query(model: EdgeKitCore): Query = when (model.bundle.manifest.task) {
        "question-answering" -> Query("When does the train leave?", context = TEXT)
        "zero-shot-classification" -> Query(TEXT, labels = listOf("travel", "food"))
        "multiple-choice" -> Query(TEXT, choices = listOf("It is early.", "It is late."))
        "fill-mask" -> Query(TEXT + model.bundle.manifest.tokenizer.maskTokenId?.let { model.tokenizer.token(it) }.orEmpty())
        else -> Query(TEXT)
    }
}
