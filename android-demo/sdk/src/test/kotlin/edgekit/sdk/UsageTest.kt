package edgekit.sdk

import android.app.Activity
import edgekit.core.tasks.Answer
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** The example of docs/android.md, line by line: tests/android compares the two. */
class NotesActivity : Activity() {
    private val edgekit by lazy { EdgeKit.open(this, BundleSource.asset("edgekit/minilm-android-arm64")) }

    fun vector(text: String, shown: (FloatArray) -> Unit, refused: (String) -> Unit) {
        edgekit.ask(text).then(
            { answer -> shown((answer as Answer.Embedding).vector) },
            { error -> refused("${error.message} ${error.hint}") },
        )
    }

    override fun onDestroy() {
        edgekit.close()
        super.onDestroy()
    }
}

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class UsageTest {
    @Test
    fun theExampleSaysWhatIsMissing() = Using.theExampleSaysWhatIsMissing()
}

/** Apart, because JUnit reads the methods of a test before there is an Android to read them with. */
private object Using {
    fun theExampleSaysWhatIsMissing() {
        val controller = Robolectric.buildActivity(NotesActivity::class.java).create()
        var said = ""
        controller.get().vector("A text.", {}, { said = it })
        Bundles.until { said.isNotEmpty() }
        assertEquals(true, "edgekit/minilm-android-arm64" in said)
        controller.destroy()
    }
}
