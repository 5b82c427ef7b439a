package edgekit.demo

import android.app.Activity
import android.app.Application
import edgekit.core.engine.Tuning
import edgekit.demo.screens.BarChart
import edgekit.demo.screens.BenchmarkScreen
import edgekit.demo.screens.GenerationBenchmarkScreen
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** The screens that measure. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], qualifiers = "w411dp-h891dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class MeasuringTest {
    @Test
    fun benchmark() = Measuring.benchmark()

    @Test
    fun benchmarkOfAnswersThatAreWritten() = Measuring.benchmarkOfAnswersThatAreWritten()

    @Test
    fun nnapiBesideTheCpu() = Measuring.nnapiBesideTheCpu()
}

/** Apart, because JUnit reads the methods of a test before there is an Android to read them with. */
private object Measuring {
    private val context: Application get() = RuntimeEnvironment.getApplication()

    fun benchmark() {
        Use.used(BenchmarkScreen, "sentence-similarity", emptyList(), R.string.benchmark_run, "Median")
        // As many threads as the tuning file among the assets says.
        val tuning = Tuning.read(context.assets.open(Sources.TUNING).use { it.readBytes() })
        val bundle = (context as DemoApp).session("asset:edgekit/sentence-similarity").bundle().get(1, TimeUnit.MINUTES)
        val activity = Demo.opened(BenchmarkScreen, "sentence-similarity").get()
        Demo.press(activity, activity.getString(R.string.benchmark_run))
        Demo.until { !Demo.isBusy(activity) }
        assertTrue(Demo.words(activity), "Threads: ${tuning.threads(bundle, "onnx")}." in Demo.words(activity))
    }

    private fun charts(activity: Activity) = Demo.views(activity).filterIsInstance<BarChart>().filter { Demo.shown(it) }
        .map { it.contentDescription.toString() }

    fun benchmarkOfAnswersThatAreWritten() {
        for (bundle in listOf("text-generation", "summarization")) {
            Use.used(GenerationBenchmarkScreen, bundle, emptyList(), R.string.benchmark_run, "tokens a second")
        }
        val activity = Demo.opened(GenerationBenchmarkScreen, "text-generation").get()
        assertEquals(emptyList<String>(), charts(activity))
        Demo.press(activity, activity.getString(R.string.benchmark_run))
        Demo.until { !Demo.isBusy(activity) }
        val (times, memory) = charts(activity)
        assertTrue(times, times.startsWith("Chart of 10 times, from "))
        assertTrue(memory, memory.startsWith("Chart of 10 readings of memory, from "))
    }

    fun nnapiBesideTheCpu() {
        val controller = Demo.opened(BenchmarkScreen, "sentence-similarity")
        val activity = controller.get()
        Demo.press(activity, activity.getString(R.string.delegates_run))
        Demo.until { !Demo.isBusy(activity) }
        val words = Demo.words(activity)
        assertTrue(words, Regex("CPU: median [0-9.]+ ms. Nodes: CPUExecutionProvider [0-9]+.").containsMatchIn(words))
        assertTrue(words, "NNAPI: this ONNX Runtime has no NNAPI" in words)
        Demo.draw(activity, "benchmark-delegates")
        controller.pause().stop().destroy()
    }
}
