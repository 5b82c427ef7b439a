package edgekit.demo

import android.app.Activity
import android.content.Context
import android.content.Intent
import android.os.Bundle

/** Shows one [Screen] over one bundle. */
class ScreenActivity : Activity() {
    private lateinit var calls: Calls

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        @Suppress("DEPRECATION")
        calls = lastNonConfigurationInstance as Calls? ?: Calls(state)
        val screen = Screen.called(intent.getStringExtra(SCREEN))
        val key = intent.getStringExtra(BUNDLE) ?: return finish()
        screen.show(Page(this, calls, getString(screen.title)), (application as DemoApp).session(key))
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        calls.save(state)
    }

    @Deprecated("The framework's own way; androidx is not needed")
    override fun onRetainNonConfigurationInstance(): Any = calls

    override fun onDestroy() {
        if (isFinishing && ::calls.isInitialized) calls.stopAll()
        super.onDestroy()
    }

    companion object {
        private const val SCREEN = "screen"
        private const val BUNDLE = "bundle"

        fun intent(context: Context, screen: Screen, key: String): Intent = Intent(context, ScreenActivity::class.java)
            .putExtra(SCREEN, screen.name).putExtra(BUNDLE, key)
    }
}
