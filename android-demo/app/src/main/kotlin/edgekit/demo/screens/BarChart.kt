package edgekit.demo.screens

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.view.View
import edgekit.demo.Page
import edgekit.demo.R

/** One bar for each value, in their order, from zero up; TalkBack hears what it is told. */
class BarChart(context: Context) : View(context) {
    private var values: List<Double> = emptyList()
    private val bar = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.accent) }

    init {
        visibility = GONE
    }

    fun show(measured: List<Double>, description: String) {
        values = measured
        visibility = if (measured.isEmpty()) GONE else VISIBLE
        contentDescription = description
        invalidate()
    }

    override fun onMeasure(width: Int, height: Int) =
        setMeasuredDimension(MeasureSpec.getSize(width), (TALL * resources.displayMetrics.density).toInt())

    override fun onDraw(canvas: Canvas) {
        val most = values.maxOrNull()?.takeIf { it > 0 } ?: return
        val step = width.toFloat() / values.size
        values.forEachIndexed { index, value ->
            val at = if (layoutDirection == LAYOUT_DIRECTION_RTL) values.size - 1 - index else index
            val high = (value / most * height).toFloat()
            canvas.drawRect(at * step + step * GAP, height - high, (at + 1) * step - step * GAP, height.toFloat(), bar)
        }
    }

    private companion object {
        const val TALL = 120
        const val GAP = 0.12f
    }
}

/** How long each answer took, and the app's memory after it. */
class Charts(private val page: Page) {
    private val charts = List(2) { page.text() to BarChart(page.activity).also { page.add(it) } }

    fun show(millis: List<Double>, megabytes: List<Double>) {
        draw(0, millis, R.string.chart_times, R.string.chart_times_spoken)
        draw(1, megabytes, R.string.chart_memory, R.string.chart_memory_spoken)
    }

    private fun draw(index: Int, values: List<Double>, caption: Int, spoken: Int) {
        val (least, most) = page.decimal(values.min(), 1) to page.decimal(values.max(), 1)
        val (above, chart) = charts[index]
        page.show(above, page.activity.getString(caption, most))
        chart.show(values, page.activity.getString(spoken, page.whole(values.size), least, most))
    }
}
