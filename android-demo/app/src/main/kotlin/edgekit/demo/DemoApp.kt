package edgekit.demo

import android.app.Application
import android.content.pm.ApplicationInfo
import android.os.StrictMode
import edgekit.sdk.EdgeKit
import edgekit.sdk.Session

/** Holds the one bundle that is in use, for all screens. */
class DemoApp : Application() {
    private var key: String? = null
    private var session: Session? = null

    override fun onCreate() {
        super.onCreate()
        if (applicationInfo.flags and ApplicationInfo.FLAG_DEBUGGABLE != 0) {
            StrictMode.setThreadPolicy(StrictMode.ThreadPolicy.Builder().detectAll().penaltyLog().build())
            StrictMode.setVmPolicy(StrictMode.VmPolicy.Builder().detectLeakedClosableObjects().penaltyLog().build())
        }
    }

    /** The session of the bundle that [wanted] names; one of another bundle is closed. See [Sources]. */
    fun session(wanted: String): Session {
        session?.let { if (key == wanted) return it }
        session?.close()
        return EdgeKit.open(this, Sources.source(wanted), tuning = Sources.TUNING).also {
            session = it
            key = wanted
        }
    }

    /** Lets a session go that could not be loaded, so that the next try begins anew. */
    fun forget(failed: String) {
        if (key != failed) return
        session?.close()
        session = null
        key = null
    }
}
