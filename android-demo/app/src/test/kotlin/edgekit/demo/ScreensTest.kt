package edgekit.demo

import android.app.Activity
import android.app.Application
import android.view.View
import android.widget.Button
import android.widget.EditText
import edgekit.demo.screens.AskScreen
import edgekit.demo.screens.BenchmarkScreen
import edgekit.demo.screens.CardScreen
import edgekit.demo.screens.ChatScreen
import edgekit.demo.screens.ClassifyScreen
import edgekit.demo.screens.EntitiesScreen
import edgekit.demo.screens.MaskScreen
import edgekit.demo.screens.SearchScreen
import edgekit.demo.screens.SelfTestScreen
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
    fun benchmark() = Screens.benchmark()

    @Test
    fun card() = Screens.card()

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
    fun backDuringLoadingAndTheDeathOfTheProcess() = Screens.backDuringLoadingAndTheDeathOfTheProcess()

    @Test
    fun homeListsBundlesAndFittingScreens() = Screens.homeListsBundlesAndFittingScreens()
}

/** Apart, because JUnit reads the methods of a test before there is an Android to read them with. */
private object Screens {
    private val context: Application get() = RuntimeEnvironment.getApplication()

    private fun opened(screen: Screen, bundle: String): ActivityController<ScreenActivity> {
        assertTrue(bundle in Demo.assets())
        val intent = ScreenActivity.intent(context, screen, "asset:edgekit/$bundle")
        return Robolectric.buildActivity(ScreenActivity::class.java, intent).setup()
    }

    private fun isBusy(activity: Activity) =
        listOf(R.string.working, R.string.loading).any { activity.getString(it) in Demo.words(activity) }

    /** Types, presses, waits, rotates; the answer and what was typed are there after it. */
    private fun used(screen: Screen, bundle: String, typed: List<String>, run: Int, wanted: String) {
        var controller = opened(screen, bundle)
        var activity: Activity = controller.get()
        Demo.fields(activity).zip(typed).forEach { (field, words) -> field.setText(words) }
        Demo.press(activity, activity.getString(run))
        Demo.until { !isBusy(activity) }
        val said = Demo.words(activity)
        assertTrue(said, wanted in said)
        assertNamed(activity)
        Demo.draw(activity, "${screen.name}-light")
        for ((name, qualifiers) in listOf("dark" to "+night", "rtl" to "+ar-ldrtl-notnight", "land" to "+en-ldltr-land")) {
            RuntimeEnvironment.setQualifiers(qualifiers)
            controller = controller.configurationChange(context.resources.configuration)
            activity = controller.get()
            Demo.until { Demo.words(activity).isNotEmpty() }
            assertTrue("$name: ${Demo.words(activity)}", wanted in Demo.words(activity) || name == "rtl")
            assertEquals(typed, Demo.fields(activity).take(typed.size).map { it.text.toString() })
            if (name != "land") Demo.draw(activity, "${screen.name}-$name")
        }
        controller.pause().stop().destroy()
    }

    /** TalkBack has words for whatever can be pressed or typed into, and it is large enough to hit. */
    private fun assertNamed(activity: Activity) {
        for (view in Demo.views(activity).filter { Demo.shown(it) && (it is Button || it is EditText) }) {
            val words = if (view is EditText) view.hint else (view as Button).text
            assertTrue(!words.isNullOrBlank())
            assertTrue("$words is ${view.height} high", view.height == 0 || view.height >= 40 * activity.resources.displayMetrics.density)
        }
    }

    fun search() {
        val typed = listOf("When does the train leave?", "Water boils at one hundred degrees.\nWhen does the train leave?")
        used(SearchScreen, "sentence-similarity", typed, R.string.search_run, "1  When does the train leave?")
    }

    fun classify() = used(ClassifyScreen, "text-classification", listOf("A fine day."), R.string.classify_run, "%")

    fun classifyWithOwnLabels() =
        used(ClassifyScreen, "zero-shot-classification", listOf("A fine day.", "travel, food"), R.string.classify_run, "travel")

    fun entities() = used(EntitiesScreen, "token-classification", listOf("Anna lives in Berlin."), R.string.entities_run, "Find")

    fun ask() {
        val text = "The train to the coast leaves at seven in the morning. Water boils at one hundred degrees."
        used(AskScreen, "question-answering", listOf(text, "When does the train leave?"), R.string.ask_run, "%")
    }

    fun mask() = used(MaskScreen, "fill-mask", listOf("The [MASK] leaves."), R.string.mask_run, "%")

    fun selfTest() {
        for (bundle in Demo.assets()) used(SelfTestScreen, bundle, emptyList(), R.string.self_test_run, "are the same")
    }

    fun benchmark() = used(BenchmarkScreen, "sentence-similarity", emptyList(), R.string.benchmark_run, "Median")

    fun card() {
        val controller = opened(CardScreen, "sentence-similarity")
        val activity = controller.get()
        Demo.until { !isBusy(activity) }
        assertTrue(Demo.words(activity).contains("sentence-similarity"))
        Demo.draw(activity, "card-light")
    }

    fun chat() {
        val activity = opened(ChatScreen, "text-generation").get()
        Demo.fields(activity).single().setText("Where is my order?")
        Demo.press(activity, activity.getString(R.string.chat_run))
        Demo.until { !isBusy(activity) }
        val said = Demo.words(activity)
        assertTrue(said, "You: Where is my order?" in said && "tokens, first after" in said)
        Demo.draw(activity, "chat-light")
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

    fun backDuringLoadingAndTheDeathOfTheProcess() {
        val first = opened(SearchScreen, "sentence-similarity")
        Demo.fields(first.get())[0].setText("typed")
        Demo.press(first.get(), first.get().getString(R.string.search_run))
        first.get().finish()
        val state = android.os.Bundle()
        first.saveInstanceState(state).pause().stop().destroy()
        Demo.until { true }
        // What a new process gets: the Intent and the saved state.
        val intent = ScreenActivity.intent(context, SearchScreen, "asset:edgekit/sentence-similarity")
        val second = Robolectric.buildActivity(ScreenActivity::class.java, intent).setup(state)
        assertEquals("typed", Demo.fields(second.get())[0].text.toString())
        assertFalse(isBusy(second.get()))
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
        Demo.draw(activity, "home-light")
        Demo.press(activity, activity.getString(R.string.search))
        val started = org.robolectric.Shadows.shadowOf(activity).nextStartedActivity
        assertEquals(ScreenActivity::class.java.name, started.component?.className)
        controller.recreate()
        Demo.until { "Task: sentence-similarity" in Demo.words(controller.get()) }
    }
}
