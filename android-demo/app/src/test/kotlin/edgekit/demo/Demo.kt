package edgekit.demo

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Canvas
import android.os.Bundle
import android.os.Looper
import android.view.View
import android.view.View.MeasureSpec
import android.view.ViewGroup
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import java.io.File
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController

/** Uses the app as a person does: reads, types, presses, waits. */
object Demo {
    /** The bundles that tests/android put among the assets; skipped where Maven was started alone. */
    fun assets(): List<String> {
        assumeTrue("started without expectations; see tests/android", System.getProperty("edgekit.expectations").orEmpty().isNotEmpty())
        val context = RuntimeEnvironment.getApplication()
        return context.assets.list("edgekit").orEmpty().map { it.substringBefore('/') }.distinct()
            .filterNot { it.endsWith(".json") }.also { assertTrue(it.isNotEmpty()) }
    }

    fun opened(screen: Screen, bundle: String, state: Bundle? = null): ActivityController<ScreenActivity> {
        assertTrue(bundle in assets())
        val intent = ScreenActivity.intent(RuntimeEnvironment.getApplication(), screen, "asset:edgekit/$bundle")
        val controller = Robolectric.buildActivity(ScreenActivity::class.java, intent)
        return if (state == null) controller.setup() else controller.setup(state)
    }

    fun isBusy(activity: Activity): Boolean =
        listOf(R.string.working, R.string.loading).any { activity.getString(it) in words(activity) }

    fun views(activity: Activity): List<View> {
        fun all(view: View): List<View> =
            listOf(view) + if (view is ViewGroup) (0 until view.childCount).flatMap { all(view.getChildAt(it)) } else emptyList()
        return all(activity.window.decorView)
    }

    /** Whether a view and all that hold it are there to be seen; the window itself may not be on a screen. */
    fun shown(view: View): Boolean = generateSequence(view) { it.parent as? View }
        .takeWhile { it.parent is View }.all { it.visibility == View.VISIBLE }

    fun fields(activity: Activity): List<EditText> = views(activity).filterIsInstance<EditText>()

    /** All that can be read on the screen. */
    fun words(activity: Activity): String =
        views(activity).filterIsInstance<TextView>().filter { shown(it) && it !is EditText }.joinToString("\n") { it.text }

    fun buttons(activity: Activity): List<String> =
        views(activity).filterIsInstance<Button>().filter { shown(it) }.map { it.text.toString() }

    fun button(activity: Activity, words: String): Button =
        views(activity).filterIsInstance<Button>().single { it.text.toString() == words }

    fun press(activity: Activity, words: String) {
        val button = button(activity, words)
        assertTrue("$words is shown", shown(button))
        button.performClick()
    }

    fun until(done: () -> Boolean) {
        val end = System.nanoTime() + TimeUnit.MINUTES.toNanos(1)
        while (System.nanoTime() < end) {
            shadowOf(Looper.getMainLooper()).idle()
            if (done()) return
            Thread.sleep(5)
        }
        throw AssertionError("it took longer than a minute")
    }

    /** Draws the whole page, however long, into a PNG of the folder that was asked for. */
    fun draw(activity: Activity, name: String): Bitmap {
        val root = activity.window.decorView
        // What a window on a screen does.
        root.layoutDirection = activity.resources.configuration.layoutDirection
        val width = activity.resources.displayMetrics.widthPixels
        val content = views(activity).first { it.id == Page.SCROLL } as ViewGroup
        root.measure(MeasureSpec.makeMeasureSpec(width, MeasureSpec.EXACTLY), MeasureSpec.makeMeasureSpec(0, MeasureSpec.UNSPECIFIED))
        content.getChildAt(0).measure(
            MeasureSpec.makeMeasureSpec(width, MeasureSpec.EXACTLY),
            MeasureSpec.makeMeasureSpec(0, MeasureSpec.UNSPECIFIED),
        )
        val height = maxOf(content.getChildAt(0).measuredHeight + 40, 400)
        root.measure(MeasureSpec.makeMeasureSpec(width, MeasureSpec.EXACTLY), MeasureSpec.makeMeasureSpec(height, MeasureSpec.EXACTLY))
        root.layout(0, 0, width, height)
        val bitmap = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        root.draw(Canvas(bitmap))
        val folder = System.getProperty("edgekit.pictures").orEmpty()
        if (folder.isNotEmpty()) {
            File(folder).mkdirs()
            File(folder, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
        }
        return bitmap
    }
}
