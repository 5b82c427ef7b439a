@file:Suppress("DEPRECATION", "removal")

package edgekit.demo

import java.security.Permission

/**
 * Sees the files and connections that the app's own code touches on the main thread. Robolectric's
 * StrictMode cannot: its files are the JVM's, not Android's. A security manager is asked about each.
 */
object DiskGuard {
    /** What [work] touched on this thread, as lines for people; nothing is refused. For the main thread. */
    fun <T> watching(work: () -> T): Pair<T, List<String>> {
        val before = System.getSecurityManager()
        val watcher = Watcher(Thread.currentThread())
        // A JDK of 18 to 23 wants -Djava.security.manager=allow, which pom.xml gives; 24 has no such thing.
        System.setSecurityManager(watcher)
        val made = try {
            work()
        } finally {
            System.setSecurityManager(before)
        }
        return made to watcher.touched()
    }

    /** Only writes down: what it would need besides would be loaded in the middle of loading a class. */
    private class Watcher(private val main: Thread) : SecurityManager() {
        private val files = ArrayList<String>(ROOM)
        private val traces = ArrayList<Throwable>(ROOM)

        override fun checkPermission(permission: Permission?) = Unit

        override fun checkPermission(permission: Permission?, context: Any?) = Unit

        override fun checkRead(file: String?) = note(file)

        override fun checkRead(file: String?, context: Any?) = note(file)

        override fun checkWrite(file: String?) = note(file)

        override fun checkDelete(file: String?) = note(file)

        override fun checkConnect(host: String?, port: Int) = note(host)

        private fun note(file: String?) {
            if (Thread.currentThread() !== main || file == null) return
            files.add(file)
            traces.add(Throwable())
        }

        fun touched(): List<String> = files.indices.mapNotNull { index ->
            val frames = traces[index].stackTrace.dropWhile { it.className.startsWith("edgekit.demo.DiskGuard") }
            val at = frames.indexOfFirst { it.className.startsWith("edgekit.") }
            val caller = frames.getOrNull(at) ?: return@mapNotNull null
            // Classes and Android's tables of characters lie in archives on a JVM only; tests draw into files.
            val loads = frames.take(at).any { it.methodName == "loadClass" || it.className.startsWith("android.icu.") }
            if (loads || OF_TESTS.matches(caller.className)) null else "${files[index]} at $caller"
        }
    }

    private const val ROOM = 1 shl 16
    private val OF_TESTS = Regex("""edgekit\.demo\.(DiskGuard|Demo|ScreensTest|Screens|MeasuringTest|Measuring|Use|LifeTest|Life)(\$.*)?""")
}
