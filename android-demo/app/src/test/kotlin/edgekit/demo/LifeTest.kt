package edgekit.demo

import android.app.Activity
import android.app.Application
import android.content.pm.ApplicationInfo
import android.os.Bundle
import android.os.Looper
import android.os.Parcel
import android.os.StrictMode
import edgekit.core.EdgeKitException
import edgekit.demo.screens.ChatScreen
import edgekit.demo.screens.SearchScreen
import edgekit.demo.screens.WriteScreen
import edgekit.sdk.BundleSource
import edgekit.sdk.EdgeKit
import java.io.File
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** What becomes of a screen when Android ends the process, the user goes back, or a file is damaged. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], qualifiers = "w411dp-h891dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class LifeTest {
    @Test
    fun backDuringLoadingAndTheDeathOfTheProcess() = Life.backDuringLoadingAndTheDeathOfTheProcess()

    @Test
    fun theDeathOfTheProcessInTheMiddleOfAnAnswer() = Life.theDeathOfTheProcessInTheMiddleOfAnAnswer()

    @Test
    fun whatWasWrittenOutlivesTheProcess() = Life.whatWasWrittenOutlivesTheProcess()

    @Test
    fun filesOnTheMainThreadAreSeen() = Life.filesOnTheMainThreadAreSeen()

    @Test
    fun homeTouchesNoFileOnTheMainThread() = Life.homeTouchesNoFileOnTheMainThread()

    @Test
    fun strictModeIsOnWhereTheAppIsDebuggable() = Life.strictModeIsOnWhereTheAppIsDebuggable()

    @Test
    fun aTuningFileThatIsDamagedOrMissingIsLeftOut() = Life.aTuningFileThatIsDamagedOrMissingIsLeftOut()
}

/** Apart, because JUnit reads the methods of a test before there is an Android to read them with. */
private object Life {
    private val context: Application get() = RuntimeEnvironment.getApplication()

    /** What a new process gets of an old one's state: bytes. */
    private fun kept(state: Bundle): Bundle {
        val parcel = Parcel.obtain()
        try {
            parcel.writeBundle(state)
            assertTrue("${parcel.dataSize()} bytes", parcel.dataSize() < 500_000)
            parcel.setDataPosition(0)
            return parcel.readBundle(Life::class.java.classLoader)!!
        } finally {
            parcel.recycle()
        }
    }

    private fun files(): List<String> =
        listOf(context.dataDir, context.cacheDir).flatMap { it.walk().toList() }.filter(File::isFile).map(File::getPath).sorted()

    fun backDuringLoadingAndTheDeathOfTheProcess() {
        val first = Demo.opened(SearchScreen, "sentence-similarity")
        Demo.fields(first.get())[0].setText("typed")
        Demo.press(first.get(), first.get().getString(R.string.search_run))
        first.get().finish()
        val state = Bundle()
        first.saveInstanceState(state).pause().stop().destroy()
        Demo.until { true }
        val second = Demo.opened(SearchScreen, "sentence-similarity", kept(state))
        assertEquals("typed", Demo.fields(second.get())[0].text.toString())
        assertFalse(Demo.isBusy(second.get()))
    }

    /** Asks, and lets the main thread do one thing after the other until the first words are there. */
    private fun begun(activity: Activity, question: String): String {
        Demo.fields(activity).single().setText(question)
        Demo.press(activity, activity.getString(R.string.chat_run))
        val looper = shadowOf(Looper.getMainLooper())
        while (true) {
            assertTrue(Demo.words(activity), Demo.isBusy(activity))
            val said = Demo.words(activity).substringAfter("You: $question\n\n", "").substringBefore('\n')
            if (said.isNotBlank()) return said
            if (looper.isIdle) Thread.sleep(5) else looper.runOneTask()
        }
    }

    fun theDeathOfTheProcessInTheMiddleOfAnAnswer() {
        val first = Demo.opened(ChatScreen, "text-generation")
        (context as DemoApp).session("asset:edgekit/text-generation").bundle().get(1, TimeUnit.MINUTES)
        val before = files()
        val question = "Tell me a long story about the sea."
        val said = begun(first.get(), question)
        val state = Bundle()
        first.pause().saveInstanceState(state)
        val second = Demo.opened(ChatScreen, "text-generation", kept(state))
        val activity = second.get()
        val brokenOff = activity.getString(R.string.broken_off)
        val words = Demo.words(activity)
        assertTrue(words, "You: $question" in words && said in words && brokenOff in words)
        assertFalse(Demo.isBusy(activity))
        Demo.draw(activity, "chat-broken-off")
        // Nothing was written, half or whole, and the next question is answered.
        assertEquals(before, files())
        Demo.fields(activity).single().setText("Where is my order?")
        Demo.press(activity, activity.getString(R.string.chat_run))
        Demo.until { !Demo.isBusy(activity) }
        assertTrue(Demo.words(activity), "tokens, first after" in Demo.words(activity))
        assertFalse(Demo.words(activity), brokenOff in Demo.words(activity))
        first.stop().destroy()
    }

    fun whatWasWrittenOutlivesTheProcess() {
        val first = Demo.opened(WriteScreen, "summarization")
        Demo.fields(first.get()).single().setText("the old dog sleeps.")
        Demo.press(first.get(), first.get().getString(R.string.write_run))
        Demo.until { !Demo.isBusy(first.get()) }
        val written = Demo.words(first.get()).substringAfter("a second").trim()
        assertTrue(written.isNotEmpty())
        val state = Bundle()
        first.pause().saveInstanceState(state)
        val second = Demo.opened(WriteScreen, "summarization", kept(state)).get()
        assertTrue(Demo.words(second), written in Demo.words(second))
        assertFalse(second.getString(R.string.broken_off) in Demo.words(second))
    }

    fun filesOnTheMainThreadAreSeen() {
        val (_, touched) = DiskGuard.watching { Sources.all(context) }
        assertTrue("$touched", touched.any { "edgekit.sdk.BundleStore" in it })
        val (_, none) = DiskGuard.watching { Sources.title("asset:edgekit/minilm") }
        assertEquals(emptyList<String>(), none)
    }

    fun homeTouchesNoFileOnTheMainThread() {
        val (_, touched) = DiskGuard.watching {
            val activity = Robolectric.buildActivity(HomeActivity::class.java).setup().get()
            Demo.until { "sentence-similarity" in Demo.buttons(activity) }
            Demo.press(activity, "sentence-similarity")
            Demo.until { "Task: sentence-similarity" in Demo.words(activity) }
        }
        assertEquals(emptyList<String>(), touched)
    }

    fun strictModeIsOnWhereTheAppIsDebuggable() {
        val strict = StrictMode.ThreadPolicy.Builder().detectAll().penaltyLog().build()
        val info = context.applicationInfo
        val debuggable = ApplicationInfo.FLAG_DEBUGGABLE
        for ((flags, wanted) in listOf((info.flags and debuggable.inv()) to StrictMode.ThreadPolicy.LAX, (info.flags or debuggable) to strict)) {
            StrictMode.setThreadPolicy(StrictMode.ThreadPolicy.LAX)
            info.flags = flags
            context.onCreate()
            assertEquals(wanted.toString(), StrictMode.getThreadPolicy().toString())
        }
    }

    fun aTuningFileThatIsDamagedOrMissingIsLeftOut() {
        fun problem(tuning: String?): EdgeKitException? {
            EdgeKit.open(context, BundleSource.asset("edgekit/sentence-similarity"), tuning = tuning).use { session ->
                session.ask("It answers all the same.").get(1, TimeUnit.MINUTES)
                return session.tuningProblem
            }
        }
        assertNull(problem(null))
        assertNull(problem(Sources.TUNING))
        assertTrue(problem("broken/tuning.json") is EdgeKitException.SpecError)
        assertTrue(problem("edgekit/none.json") is EdgeKitException.InputMissing)
    }
}
