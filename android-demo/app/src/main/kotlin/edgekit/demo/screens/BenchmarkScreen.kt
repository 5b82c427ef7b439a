package edgekit.demo.screens

import android.os.Debug
import edgekit.core.EdgeKitCore
import edgekit.core.bundle.Manifest
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

    class Measured(val times: List<Double>, val bytes: Long, val runtime: String, val version: String, val loadMillis: Double)

    override fun fits(manifest: Manifest): Boolean = manifest.task != "text-generation"

    override fun show(page: Page, session: Session) {
        val context = page.activity
        page.text(context.getString(R.string.benchmark_about))
        val chart = LatencyChart(context)
        page.call(name, context.getString(R.string.benchmark_run), { session.run { measure(it) } }) { it: Measured ->
            val times = it.times.sorted()
            chart.show(it.times)
            context.getString(
                R.string.benchmark_result,
                Page.decimal(times[times.size / 2], 2),
                Page.decimal(times[times.size * 9 / 10], 2),
                Page.decimal(it.bytes / MEGABYTE, 0),
                it.runtime,
                it.version,
                Page.decimal(it.loadMillis, 0),
            )
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
        val report = model.report
        return Measured(times, java + Debug.getNativeHeapAllocatedSize(), report.runtime, report.version, report.loadMillis)
    }

    private fun query(model: EdgeKitCore): Query = when (model.bundle.manifest.task) {
        "question-answering" -> Query("When does the train leave?", context = TEXT)
        "zero-shot-classification" -> Query(TEXT, labels = listOf("travel", "food"))
        "multiple-choice" -> Query(TEXT, choices = listOf("It is early.", "It is late."))
        "fill-mask" -> Query(TEXT + model.bundle.manifest.tokenizer.maskTokenId?.let { model.tokenizer.token(it) }.orEmpty())
        else -> Query(TEXT)
    }
}
