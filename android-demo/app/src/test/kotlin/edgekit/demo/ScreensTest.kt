package edgekit.demo

import android.app.Activity
import android.app.Application
import android.view.View
import android.widget.Button
import edgekit.demo.screens.AskScreen
import edgekit.demo.screens.CardScreen
import edgekit.demo.screens.ChatScreen
import edgekit.demo.screens.ClassifyScreen
import edgekit.demo.screens.EntitiesScreen
import edgekit.demo.screens.MaskScreen
import edgekit.demo.screens.OwnLabelsScreen
import edgekit.demo.screens.SearchScreen
import edgekit.demo.screens.SelfTestScreen
import edgekit.demo.screens.WriteScreen
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** Every screen over a real bundle: opened, typed into, pressed, rotated, drawn. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], qualifiers = "w411dp-h891dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreensTest {
    @Test
    fun search() = Screens.search()

    @Test
    fun classify() = Screens.classify()

    @Test
    fun classifyWithOwnLabels() = Screens.classifyWithOwnLabels()

    @Test
    fun entities() = Screens.entities()

    @Test
    fun ask() = Screens.ask()

    @Test
    fun mask() = Screens.mask()

    @Test
    fun selfTest() = Screens.selfTest()

    @Test
    fun card() = Screens.card()

    @Test
    fun write() = Screens.write()

    @Test
    fun aTextIsStoppedRefusedAndWrittenAnew() = Screens.aTextIsStoppedRefusedAndWrittenAnew()

    @Test
    fun chat() = Screens.chat()

    @Test
    fun aChatIsStoppedAndGoesOn() = Screens.aChatIsStoppedAndGoesOn()

    @Test
    @Config(qualifiers = "w411dp-h891dp-xhdpi")
    fun largeFonts() = Screens.largeFonts()

    @Test
    fun aTextThatIsTooLongIsSaidAndNotCut() = Screens.aTextThatIsTooLongIsSaidAndNotCut()

    @Test
    fun aPasteOfAMillionCharactersIsRefusedInWords() = Screens.aPasteOfAMillionCharactersIsRefusedInWords()

    @Test
    fun homeListsBundlesAndFittingScreens() = Screens.homeListsBundlesAndFittingScreens()
}

/** Apart, because JUnit reads the methods of a test before there is an Android to read them with. */
private object Screens {
    private val context: Application get() = RuntimeEnvironment.getApplication()

    private fun opened(screen: Screen, bundle: String) = Demo.opened(screen, bundle)

    private fun isBusy(activity: Activity) = Demo.isBusy(activity)

    private fun used(screen: Screen, bundle: String, typed: List<String>, run: Int, wanted: String) =
        Use.used(screen, bundle, typed, run, wanted)

    private fun drawn(screen: Screen, first: ActivityController<ScreenActivity>, check: (Activity, String) -> Unit) =
        Use.drawn(screen, first, check)

    fun search() {
        val typed = listOf("When does the train leave?", "Water boils at one hundred degrees.\nWhen does the train leave?")
        used(SearchScreen, "sentence-similarity", typed, R.string.search_run, "1.00  When does the train leave?")
    }

    fun classify() = used(ClassifyScreen, "text-classification", listOf("A fine day."), R.string.classify_run, "%")

    fun classifyWithOwnLabels() =
        used(OwnLabelsScreen, "zero-shot-classification", listOf("A fine day.", "travel, food"), R.string.classify_run, "travel")

    fun entities() = used(EntitiesScreen, "token-classification", listOf("Anna lives in Berlin."), R.string.entities_run, "Find")

    fun ask() {
        val text = "The train to the coast leaves at seven in the morning. Water boils at one hundred degrees."
        used(AskScreen, "question-answering", listOf(text, "When does the train leave?"), R.string.ask_run, "%")
    }

    fun mask() = used(MaskScreen, "fill-mask", listOf("The [MASK] leaves."), R.string.mask_run, "%")

    fun selfTest() {
        for (bundle in Demo.assets()) used(SelfTestScreen, bundle, emptyList(), R.string.self_test_run, "are the same")
    }

    fun card() {
        for ((bundle, wanted) in listOf("sentence-similarity" to "Seal", "summarization" to "weigh 2 answers")) {
            val controller = opened(CardScreen, bundle)
            Demo.until { !isBusy(controller.get()) }
            val words = Demo.words(controller.get())
            assertTrue(words, bundle in words && wanted in words)
            drawn(CardScreen, controller) { turned, name -> assertTrue(name, bundle in Demo.words(turned)) }
        }
    }

    fun write() {
        used(WriteScreen, "summarization", listOf("the old dog sleeps in the garden."), R.string.write_run, "tokens, first after")
    }

    fun aTextIsStoppedRefusedAndWrittenAnew() {
        val activity = opened(WriteScreen, "summarization").get()
        fun asked(text: String, stop: Boolean = false): String {
            Demo.fields(activity).single().setText(text)
            Demo.press(activity, activity.getString(R.string.write_run))
            if (stop) Demo.press(activity, activity.getString(R.string.cancel))
            Demo.until { !isBusy(activity) }
            return Demo.words(activity)
        }
        assertTrue(activity.getString(R.string.cancelled) in asked("the old dog sleeps.", stop = true))
        assertTrue("reads 48 at most" in asked("word ".repeat(60)))
        val first = asked("the old dog sleeps.")
        assertTrue(first, "tokens, first after" in first)
        // The same text gives the same answer: nothing of another one is mixed in.
        fun answer(words: String) = words.lines().filterNot { "first after" in it }
        assertEquals(answer(first), answer(asked("the old dog sleeps.")))
    }

    fun chat() {
        val controller = opened(ChatScreen, "text-generation")
        val activity = controller.get()
        Demo.fields(activity).single().setText("Where is my order?")
        Demo.press(activity, activity.getString(R.string.chat_run))
        Demo.until { !isBusy(activity) }
        val said = Demo.words(activity)
        assertTrue(said, "You: Where is my order?" in said && "tokens, first after" in said)
        drawn(ChatScreen, controller) { turned, name ->
            assertTrue("$name: ${Demo.words(turned)}", "Where is my order?" in Demo.words(turned))
        }
    }

    fun aChatIsStoppedAndGoesOn() {
        val controller = opened(ChatScreen, "text-generation")
        val activity = controller.get()
        Demo.until { !isBusy(activity) }
        Demo.fields(activity).single().setText("Tell me a long story about the sea.")
        Demo.press(activity, activity.getString(R.string.chat_run))
        Demo.press(activity, activity.getString(R.string.cancel))
        Demo.until { activity.getString(R.string.cancelled) in Demo.words(activity) }
        Demo.fields(activity).single().setText("Where is my order?")
        Demo.press(activity, activity.getString(R.string.chat_run))
        Demo.until { !isBusy(activity) }
        assertTrue(Demo.words(activity), "tokens, first after" in Demo.words(activity))
    }

    fun largeFonts() {
        RuntimeEnvironment.setFontScale(2.0f)
        val activity = opened(SearchScreen, "sentence-similarity").get()
        Demo.fields(activity)[0].setText("When does the train leave?")
        Demo.press(activity, activity.getString(R.string.search_run))
        Demo.until { !isBusy(activity) }
        val drawn = Demo.draw(activity, "search-font2")
        // Nothing is cut at the side: every text lies within the page.
        for (view in Demo.views(activity).filter { Demo.shown(it) && it.width > 0 }) assertTrue(view.width <= drawn.width)
        assertTrue(Demo.button(activity, activity.getString(R.string.search_run)).textSize >= 28 * activity.resources.displayMetrics.density / 1.2)
    }

    fun aTextThatIsTooLongIsSaidAndNotCut() {
        val activity = opened(SearchScreen, "sentence-similarity").get()
        Demo.fields(activity)[0].setText("word ".repeat(400))
        Demo.press(activity, activity.getString(R.string.search_run))
        Demo.until { !isBusy(activity) }
        assertTrue(Demo.words(activity), "tokens" in Demo.words(activity))
        assertEquals(2000, Demo.fields(activity)[0].text.length)
        Demo.draw(activity, "search-refused")
    }

    fun aPasteOfAMillionCharactersIsRefusedInWords() {
        val activity = opened(SearchScreen, "sentence-similarity").get()
        val field = Demo.fields(activity)[0]
        field.setText("kept")
        field.text.append("x".repeat(1_000_000))
        assertEquals("kept", field.text.toString())
        assertTrue("nothing was pasted" in Demo.words(activity))
        field.append("!")
        assertEquals("kept!", field.text.toString())
        assertFalse("nothing was pasted" in Demo.words(activity))
    }

    fun homeListsBundlesAndFittingScreens() {
        val bundles = Demo.assets()
        val controller = Robolectric.buildActivity(HomeActivity::class.java).setup()
        val activity = controller.get()
        Demo.until { Demo.views(activity).filterIsInstance<Button>().any { it.text == "sentence-similarity" } }
        for (each in bundles) assertTrue(Demo.shown(Demo.button(activity, each)))
        Demo.press(activity, "sentence-similarity")
        Demo.until { "Task: sentence-similarity" in Demo.words(activity) }
        assertTrue(Demo.shown(Demo.button(activity, activity.getString(R.string.search))))
        assertEquals(View.GONE, Demo.button(activity, activity.getString(R.string.chat)).visibility)
        Demo.press(activity, activity.getString(R.string.search))
        val started = org.robolectric.Shadows.shadowOf(activity).nextStartedActivity
        assertEquals(ScreenActivity::class.java.name, started.component?.className)
        controller.recreate()
        Demo.until { "Task: sentence-similarity" in Demo.words(controller.get()) }
        Use.drawn("home", controller) { turned, name ->
            Demo.until { "Task: sentence-similarity" in Demo.words(turned) }
            assertTrue(name, turned.getString(R.string.search) in Demo.buttons(turned))
        }
    }
}
