package edgekit.demo

import android.app.Activity
import android.app.Application
import android.graphics.Color
import android.util.TypedValue
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import kotlin.math.pow
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.robolectric.RuntimeEnvironment
import org.robolectric.android.controller.ActivityController

/** What a person does with any screen, and what must hold of it then. */
object Use {
    private val context: Application get() = RuntimeEnvironment.getApplication()

    /** What [use] does, and that nothing of it read or wrote a file on the main thread. */
    fun used(screen: Screen, bundle: String, typed: List<String>, run: Int, wanted: String) {
        val (_, touched) = DiskGuard.watching { use(screen, bundle, typed, run, wanted) }
        assertEquals(emptyList<String>(), touched)
    }

    /** Types, presses, waits, rotates; the answer and what was typed are there after it. */
    private fun use(screen: Screen, bundle: String, typed: List<String>, run: Int, wanted: String) {
        val controller = Demo.opened(screen, bundle)
        val activity = controller.get()
        Demo.fields(activity).zip(typed).forEach { (field, words) -> field.setText(words) }
        Demo.press(activity, activity.getString(run))
        Demo.until { !Demo.isBusy(activity) }
        val said = Demo.words(activity)
        assertTrue(said, wanted in said)
        assertNamed(activity)
        drawn(screen, controller) { turned, name ->
            val words = Demo.words(turned)
            assertTrue("$name: $words", wanted in words)
            // English words with Arabic digits among them, as the phone's language would have them.
            assertFalse(words, words.any { it in '\u0660'..'\u0669' })
            assertEquals(typed, Demo.fields(turned).take(typed.size).map { it.text.toString() })
        }
    }

    fun drawn(screen: Screen, first: ActivityController<ScreenActivity>, check: (Activity, String) -> Unit) =
        drawn(screen.name, first, check)

    /** Draws a screen as it is, then in the dark, from right to left, in large letters, and turned. */
    fun <T : Activity> drawn(title: String, first: ActivityController<T>, check: (Activity, String) -> Unit) {
        var controller = first
        assertReadable(controller.get())
        Demo.draw(controller.get(), "$title-light")
        val turns = listOf("dark" to "+night", "rtl" to "+ar-ldrtl-notnight", "font2" to "+en-ldltr", "land" to "+land")
        for ((name, qualifiers) in turns) {
            RuntimeEnvironment.setFontScale(if (name == "font2") 2f else 1f)
            RuntimeEnvironment.setQualifiers(qualifiers)
            controller = controller.configurationChange(context.resources.configuration)
            Demo.until { Demo.words(controller.get()).isNotEmpty() }
            check(controller.get(), name)
            assertReadable(controller.get())
            if (name != "land") Demo.draw(controller.get(), "$title-$name")
        }
        controller.pause().stop().destroy()
        RuntimeEnvironment.setQualifiers("+port")
    }

    /** Every text stands out from what is behind it, as WCAG 2 asks (AA, 4.5 to 1), on a marked word too. */
    private fun assertReadable(activity: Activity) {
        val found = TypedValue()
        activity.theme.resolveAttribute(android.R.attr.colorBackground, found, true)
        val behind = if (found.resourceId != 0) activity.getColor(found.resourceId) else found.data
        for (view in Demo.views(activity).filterIsInstance<TextView>().filter { Demo.shown(it) && it !is Button }) {
            val ratio = contrast(view.currentTextColor, behind)
            assertTrue("${view.text}: $ratio", ratio >= 4.5)
            val marked = contrast(view.currentTextColor, activity.getColor(R.color.marked))
            assertTrue("${view.text}, marked: $marked", view.currentTextColor == activity.getColor(R.color.problem) || marked >= 4.5)
        }
    }

    private fun contrast(ink: Int, behind: Int): Double {
        val part = Color.alpha(ink) / 255.0
        fun light(channel: (Int) -> Int, share: Double): Double {
            val value = (channel(ink) * share + channel(behind) * (1 - share)) / 255
            return if (value <= 0.04045) value / 12.92 else ((value + 0.055) / 1.055).pow(2.4)
        }
        fun luminance(share: Double) =
            0.2126 * light(Color::red, share) + 0.7152 * light(Color::green, share) + 0.0722 * light(Color::blue, share)
        val (low, high) = listOf(luminance(part), luminance(0.0)).sorted()
        return (high + 0.05) / (low + 0.05)
    }

    /** TalkBack has words for whatever can be pressed or typed into, and it is large enough to hit. */
    private fun assertNamed(activity: Activity) {
        for (view in Demo.views(activity).filter { Demo.shown(it) && (it is Button || it is EditText) }) {
            val words = if (view is EditText) label(activity, view) else (view as Button).text
            assertTrue(!words.isNullOrBlank())
            assertTrue("$words is ${view.height} high", view.height == 0 || view.height >= 40 * activity.resources.displayMetrics.density)
        }
    }

    /** The one text that stands above a field and that TalkBack reads for it. */
    private fun label(activity: Activity, field: EditText): CharSequence {
        assertTrue("a label within the field says it twice", field.hint.isNullOrEmpty())
        return Demo.views(activity).filterIsInstance<TextView>().single { it.labelFor == field.id }.text
    }
}
