package edgekit.demo.screens

import edgekit.core.bundle.Manifest
import edgekit.core.generation.Generated
import edgekit.core.generation.Generator
import edgekit.core.tasks.Sampling
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** How fast a model that writes is here, and what it costs in memory. */
object GenerationBenchmarkScreen : Screen {
    override val name = "benchmark-generation"
    override val title = R.string.benchmark

    private const val ANSWERS = 10
    private const val TOKENS = 16

    class Measured(val answers: List<Generated>, val times: List<Double>, val megabytes: List<Double>)

    override fun fits(manifest: Manifest): Boolean = manifest.generates

    override fun show(page: Page, session: Session) {
        val about = page.activity.getString(R.string.generation_about, page.whole(ANSWERS), page.whole(TOKENS))
        page.text(about)
        var show: (Measured) -> Unit = {}
        page.call(name, page.words(R.string.benchmark_run), { session.generating { measure(it) } }) { it: Measured ->
            show(it)
            page.activity.getString(
                R.string.generation_result,
                page.decimal(median(it.answers.map { answer -> answer.firstMillis }), 2),
                page.decimal(median(it.answers.map { answer -> answer.perSecond }), 1),
                page.decimal(it.megabytes.last(), 0),
            )
        }
        val charts = Charts(page)
        show = { charts.show(it.times, it.megabytes) }
        page.calls.answer<Measured>(name)?.let(show)
    }

    private fun measure(model: Generator): Measured {
        val answers = ArrayList<Generated>()
        val times = ArrayList<Double>()
        val megabytes = ArrayList<Double>()
        for (index in 0..ANSWERS) {
            val start = System.nanoTime()
            // Another beginning each time: what the cache holds of a prompt already is not read again.
            val answer = model.generate("$index times the train leaves.", Sampling(), TOKENS)
            // The first one warms up.
            if (index == 0) continue
            times.add((System.nanoTime() - start) / 1e6)
            answers.add(answer)
            megabytes.add(BenchmarkScreen.memory())
        }
        return Measured(answers, times, megabytes)
    }

    private fun median(values: List<Double>): Double = values.sorted()[values.size / 2]
}
