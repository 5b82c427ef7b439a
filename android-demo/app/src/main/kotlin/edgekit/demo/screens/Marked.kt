package edgekit.demo.screens

import android.content.Context
import android.graphics.Typeface
import android.text.SpannableString
import android.text.Spanned
import android.text.style.BackgroundColorSpan
import android.text.style.StyleSpan
import edgekit.core.tasks.Found
import edgekit.demo.R

/** A text with what was found in it marked: in bold too, for who cannot tell the colour. */
object Marked {
    fun text(context: Context, text: String, found: List<Found>): CharSequence {
        val shown = SpannableString(text)
        for (each in found) {
            // Python and the core count code points, Android counts halves of them.
            val start = text.offsetByCodePoints(0, each.start)
            val end = text.offsetByCodePoints(start, each.end - each.start)
            for (span in listOf(BackgroundColorSpan(context.getColor(R.color.marked)), StyleSpan(Typeface.BOLD))) {
                shown.setSpan(span, start, end, Spanned.SPAN_EXCLUSIVE_EXCLUSIVE)
            }
        }
        return shown
    }
}
