package edgekit.demo.screens

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.view.View
import edgekit.demo.Page
import edgekit.demo.R

/** One bar for each answer, in the order of asking; TalkBack hears the bounds. */
class LatencyChart(context: Context) : View(context) {
    private var times: List<Double> = emptyList()
    private val bar = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.accent) }
    private val line = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = context.getColor(R.color.accent)
        textSize = TEXT * resources.configuration.fontScale * resources.displayMetrics.density
    }

    init {
        visibility = GONE
    }

    fun show(measured: List<Double>) {
        times = measured
        visibility = if (measured.isEmpty()) GONE else VISIBLE
        if (measured.isNotEmpty()) {
            val (least, most) = Page.decimal(measured.min(), 2) to Page.decimal(measured.max(), 2)
            contentDescription = context.getString(R.string.benchmark_chart, measured.size, least, most)
        }
        invalidate()
    }

    override fun onMeasure(width: Int, height: Int) {
        val tall = (TALL * resources.displayMetrics.density + 2 * line.textSize).toInt()
        setMeasuredDimension(MeasureSpec.getSize(width), tall)
    }

    override fun onDraw(canvas: Canvas) {
        val most = times.maxOrNull() ?: return
        val top = line.textSize * SPACE
        val room = height - top
        val step = width.toFloat() / times.size
        times.forEachIndexed { index, time ->
            val at = if (layoutDirection == LAYOUT_DIRECTION_RTL) times.size - 1 - index else index
            val high = (time / most * room).toFloat()
            canvas.drawRect(at * step + step * GAP, height - high, (at + 1) * step - step * GAP, height.toFloat(), bar)
        }
        val label = "${Page.decimal(most, 2)} ms"
        val from = if (layoutDirection == LAYOUT_DIRECTION_RTL) width - line.measureText(label) else 0f
        canvas.drawText(label, from, line.textSize, line)
        canvas.drawLine(0f, top, width.toFloat(), top, line)
    }

    private companion object {
        const val TEXT = 14f
        const val TALL = 140
        const val SPACE = 1.4f
        const val GAP = 0.12f
    }
}
