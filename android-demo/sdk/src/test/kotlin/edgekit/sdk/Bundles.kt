package edgekit.sdk

import android.os.Looper
import java.io.File
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.robolectric.Shadows.shadowOf

/** Bundles that tests/android made, and the main thread's queue. */
object Bundles {
    fun folder(name: String): File {
        val root = System.getProperty("edgekit.expectations").orEmpty()
        assumeTrue("started without expectations; see tests/android", root.isNotEmpty())
        return File(root, "bundles/$name/bundle").also { check(it.isDirectory) { "no $it" } }
    }

    /** Lets the main thread work until [done], a minute at most. */
    fun until(done: () -> Boolean) {
        val end = System.nanoTime() + TimeUnit.MINUTES.toNanos(1)
        while (!done() && System.nanoTime() < end) {
            shadowOf(Looper.getMainLooper()).idle()
            Thread.sleep(5)
        }
        assertTrue("it took longer than a minute", done())
    }
}
