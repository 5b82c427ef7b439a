package edgekit.demo.screens

import android.os.Debug
import edgekit.core.EdgeKitCore
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Manifest
import edgekit.core.engine.DelegateReport
import edgekit.core.engine.EngineReport
import edgekit.core.tasks.Query
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** How long an answer takes here, what it costs in memory, and what NNAPI would make of it. */
object BenchmarkScreen : Screen {
    override val name = "benchmark"
    override val title = R.string.benchmark

    private const val DELEGATES = "delegates"
    private const val WARM_UPS = 5
    private const val RUNS = 30
    private const val MEGABYTE = 1e6
    private const val TEXT = "The train to the coast leaves at seven in the morning."

    class Measured(val times: List<Double>, val megabytes: List<Double>, report: EngineReport) {
        val runtime = report.runtime
        val version = report.version
        val loadMillis = report.loadMillis
        val threads = report.threads
    }

    override fun fits(manifest: Manifest): Boolean = !manifest.generates

    override fun show(page: Page, session: Session) {
        page.text(page.words(R.string.benchmark_about))
        var show: (Measured) -> Unit = {}
        page.call(name, page.words(R.string.benchmark_run), { session.run { measure(it) } }) { it: Measured ->
            show(it)
            result(page, session, it)
        }
        val charts = Charts(page)
        show = { charts.show(it.times, it.megabytes) }
        page.calls.answer<Measured>(name)?.let(show)
        page.text(page.words(R.string.delegates_about))
        page.call(DELEGATES, page.words(R.string.delegates_run), {
            session.run { it.delegates(query(it), page.activity.cacheDir) }
        }) { all: List<DelegateReport> -> all.joinToString("\n\n") { line(page, it) } }
    }

    private fun result(page: Page, session: Session, measured: Measured): String {
        val times = measured.times.sorted()
        val words = page.activity.getString(
            R.string.benchmark_result,
            page.decimal(times[times.size / 2], 2),
            page.decimal(times[times.size * 9 / 10], 2),
            page.decimal(measured.megabytes.last(), 0),
            measured.runtime,
            measured.version,
            page.decimal(measured.loadMillis, 0),
            page.whole(measured.threads),
        )
        // An app without a tuning file has nothing to say about it.
        val problem = session.tuningProblem.takeIf { error -> error !is EdgeKitException.InputMissing }
        return if (problem == null) words else "$words\n\n${problem.message} ${problem.hint}"
    }

    private fun line(page: Page, report: DelegateReport): String {
        val problem = report.problem
        if (problem != null) return page.activity.getString(R.string.delegates_problem, report.delegate.name, problem.message.orEmpty())
        val nodes = report.nodes.entries.joinToString(", ") { "${it.key} ${page.whole(it.value)}" }
        return page.activity.getString(R.string.delegates_line, report.delegate.name, page.decimal(report.millis, 2), nodes)
    }

    private fun measure(model: EdgeKitCore): Measured {
        val query = query(model)
        repeat(WARM_UPS) { model.run(query) }
        val megabytes = ArrayList<Double>()
        val times = List(RUNS) {
            val start = System.nanoTime()
            model.run(query)
            val millis = (System.nanoTime() - start) / 1e6
            megabytes.add(memory())
            millis
        }
        return Measured(times, megabytes, model.report)
    }

    /** What the app holds now, in megabytes: Java's objects and native memory, without mapped files. */
    fun memory(): Double {
        val java = Runtime.getRuntime().run { totalMemory() - freeMemory() }
        return (java + Debug.getNativeHeapAllocatedSize()) / MEGABYTE
    }

    private fun query(model: EdgeKitCore): Query = when (model.bundle.manifest.task) {
        "question-answering" -> Query("When does the train leave?", context = TEXT)
        "zero-shot-classification" -> Query(TEXT, labels = listOf("travel", "food"))
        "multiple-choice" -> Query(TEXT, choices = listOf("It is early.", "It is late."))
        "fill-mask" -> Query(TEXT + model.bundle.manifest.tokenizer.maskTokenId?.let { model.tokenizer.token(it) }.orEmpty())
        else -> Query(TEXT)
    }
}
