package edgekit.sdk

import android.content.ComponentCallbacks2
import android.content.Context
import android.os.Looper
import edgekit.core.EdgeKitCore
import edgekit.core.EdgeKitException
import edgekit.core.engine.EngineFactory
import edgekit.core.engine.OnnxRuntime
import edgekit.core.tasks.Answer
import edgekit.core.tasks.Query
import java.util.concurrent.CancellationException
import java.util.concurrent.CountDownLatch
import java.util.concurrent.ExecutionException
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class SessionTest {
    @Test
    fun answersAreThoseOfTheCore() = Asking.answersAreThoseOfTheCore()

    @Test
    fun callbacksComeOnTheMainThread() = Asking.callbacksComeOnTheMainThread()

    @Test
    fun nothingIsToldAfterClosing() = Asking.nothingIsToldAfterClosing()

    @Test
    fun aQuestionThatWaitsCanBeCancelled() = Asking.aQuestionThatWaitsCanBeCancelled()

    @Test
    fun underPressureTheModelIsLetGoAndLoadedAgain() = Asking.underPressureTheModelIsLetGoAndLoadedAgain()

    @Test
    fun aMissingLibraryIsSaid() = Asking.aMissingLibraryIsSaid()

    @Test
    fun aTextOfAMillionCharactersIsRefusedInWords() = Asking.aTextOfAMillionCharactersIsRefusedInWords()

    @Test
    fun aBundleThatIsNotThereIsToldToEveryone() = Asking.aBundleThatIsNotThereIsToldToEveryone()

    @Test
    fun theSelfTestPassesAndTellsEachGolden() = Asking.theSelfTestPassesAndTellsEachGolden()

    @Test
    fun anEncoderDoesNotGenerate() = Asking.anEncoderDoesNotGenerate()
}

/** Apart, because JUnit reads the methods of a test before there is an Android to read them with. */
private object Asking {
    private val context: Context get() = RuntimeEnvironment.getApplication()

    private fun opened(name: String = "sentence-similarity", engines: EngineFactory = OnnxRuntime()): Session =
        EdgeKit.open(context, BundleSource.folder(Bundles.folder(name)), engines)

    private fun problem(reply: Reply<*>): EdgeKitException {
        val error = assertThrows(ExecutionException::class.java) { reply.get(1, TimeUnit.MINUTES) }
        return error.cause as EdgeKitException
    }

    fun answersAreThoseOfTheCore() {
        val wanted = EdgeKitCore.open(Bundles.folder("sentence-similarity")).use { it.run("A text.") as Answer.Embedding }
        opened().use { session ->
            val answer = session.ask("A text.").get(1, TimeUnit.MINUTES) as Answer.Embedding
            assertArrayEquals(wanted.vector, answer.vector, 0f)
        }
    }

    fun callbacksComeOnTheMainThread() {
        opened().use { session ->
            val threads = ArrayList<Thread>()
            session.ask("A text.").then({ threads.add(Thread.currentThread()) })
            Bundles.until { threads.isNotEmpty() }
            assertEquals(Looper.getMainLooper().thread, threads.single())
            // The answer that is there already is told as well.
            session.ready.then({ threads.add(Thread.currentThread()) })
            Bundles.until { threads.size == 2 }
        }
    }

    fun nothingIsToldAfterClosing() {
        val session = opened()
        val told = ArrayList<Any>()
        val replies = List(20) { session.ask("A text $it.").then({ told.add(it) }, { told.add(it) }) }
        replies.first().get(1, TimeUnit.MINUTES)
        session.close()
        session.close()
        shadowOf(Looper.getMainLooper()).idle()
        Thread.sleep(100)
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals(emptyList<Any>(), told)
        assertTrue(problem(session.ask("Another.")) is EdgeKitException.SpecError)
    }

    fun aQuestionThatWaitsCanBeCancelled() {
        opened().use { session ->
            val begun = CountDownLatch(1)
            val gate = CountDownLatch(1)
            val long = session.run {
                begun.countDown()
                gate.await()
            }
            begun.await()
            val waiting = session.ask("A text.")
            assertTrue(waiting.cancel())
            gate.countDown()
            long.get(1, TimeUnit.MINUTES)
            assertThrows(CancellationException::class.java) { waiting.get() }
            assertTrue(waiting.isCancelled)
            session.ask("It answers on.").get(1, TimeUnit.MINUTES)
        }
    }

    fun underPressureTheModelIsLetGoAndLoadedAgain() {
        var opened = 0
        val counting = EngineFactory { bundle -> OnnxRuntime().open(bundle).also { opened++ } }
        opened(engines = counting).use { session ->
            session.ask("A text.").get(1, TimeUnit.MINUTES)
            (context as android.app.Application).onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_BACKGROUND)
            session.ask("A text.").get(1, TimeUnit.MINUTES)
            assertEquals(2, opened)
        }
    }

    fun aMissingLibraryIsSaid() {
        val lacking = EngineFactory { throw UnsatisfiedLinkError("dlopen failed: library \"libonnxruntime.so\" not found") }
        opened(engines = lacking).use { session ->
            val error = problem(session.ready)
            assertTrue("$error", error is EdgeKitException.Unavailable)
            assertTrue(error.hint.contains("processor"))
        }
    }

    fun aTextOfAMillionCharactersIsRefusedInWords() {
        opened().use { session ->
            val error = problem(session.ask("word ".repeat(200_000)))
            assertTrue("$error", error is EdgeKitException.TextRefused)
            assertTrue(error.message!!.contains("tokens"))
        }
    }

    fun aBundleThatIsNotThereIsToldToEveryone() {
        EdgeKit.open(context, BundleSource.asset("edgekit/none")).use { session ->
            assertTrue(problem(session.ready) is EdgeKitException.InputMissing)
            assertTrue(problem(session.ask(Query("A text."))) is EdgeKitException.InputMissing)
        }
    }

    fun theSelfTestPassesAndTellsEachGolden() {
        opened().use { session ->
            var told = 0
            val all = session.selfTest { told++ }.get(1, TimeUnit.MINUTES)
            assertTrue(all.isNotEmpty() && all.all { it.passed })
            Bundles.until { told == all.size }
        }
    }

    fun anEncoderDoesNotGenerate() {
        opened().use { assertTrue(problem(it.generate("A prompt")) is EdgeKitException.SpecError) }
    }
}
