package edgekit.demo

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.widget.TextView
import edgekit.core.bundle.Manifest
import java.util.concurrent.Executors
import edgekit.core.bundle.Bundle as EdgeBundle

/** Picks a bundle, and what to do with it. */
class HomeActivity : Activity() {
    private lateinit var calls: Calls
    private var key: String? = null
    private var found: List<String>? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        @Suppress("DEPRECATION")
        calls = lastNonConfigurationInstance as Calls? ?: Calls()
        key = state?.getString(KEY)
        found = state?.getStringArrayList(FOUND)
        show()
        if (found == null) list()
        // After the death of the process the bundle is loaded again.
        key?.let { if (state != null && !calls.isBusy()) open(it) }
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(KEY, key)
        found?.let { state.putStringArrayList(FOUND, ArrayList(it)) }
    }

    @Deprecated("The framework's own way; androidx is not needed")
    override fun onRetainNonConfigurationInstance(): Any = calls

    override fun onDestroy() {
        if (isFinishing) calls.stopAll()
        super.onDestroy()
    }

    private fun show() {
        val page = Page(this, calls, getString(R.string.app_name))
        page.text(getString(R.string.private_note))
        page.heading(getString(R.string.bundles))
        if (found?.isEmpty() == true) page.text(getString(R.string.no_bundles))
        for (each in found.orEmpty()) page.button(Sources.title(each)) { open(each) }
        page.button(getString(R.string.import_folder)) { pick(Intent(Intent.ACTION_OPEN_DOCUMENT_TREE), FOLDER) }
        page.button(getString(R.string.import_zip)) {
            pick(Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("application/zip"), ZIP)
        }
        val status = page.result()
        val buttons = Screen.ALL.map { screen ->
            screen to page.button(getString(screen.title)) { startActivity(ScreenActivity.intent(this, screen, key!!)) }
        }
        for ((_, button) in buttons) button.visibility = View.GONE
        calls.on<EdgeBundle>(
            LOAD,
            { busy -> page.show(status, if (busy) getString(R.string.loading) else "") },
            { error ->
                page.showProblem(status, error)
                key?.let { (application as DemoApp).forget(it) }
                key = null
            },
            { bundle ->
                if (key?.startsWith("content:") == true) imported(bundle)
                describe(page, status, bundle.manifest)
                for ((screen, button) in buttons) {
                    button.visibility = if (screen.fits(bundle.manifest)) View.VISIBLE else View.GONE
                }
            },
        )
    }

    private fun describe(page: Page, status: TextView, manifest: Manifest) {
        val words = getString(R.string.chosen, manifest.name, manifest.task)
        page.show(status, if (manifest.certified) words else words + "\n" + getString(R.string.not_certified))
    }

    /** The right to read what was picked ends with the process: the copy is used from now on. */
    private fun imported(bundle: EdgeBundle) {
        key = Sources.copy(bundle.folder)
        list()
    }

    private fun open(chosen: String) {
        key = chosen
        calls.start(LOAD, (application as DemoApp).session(chosen).bundle())
    }

    private fun list() {
        DISK.execute {
            val all = Sources.all(applicationContext)
            runOnUiThread {
                if (isDestroyed || all == found) return@runOnUiThread
                found = all
                show()
                // An app with one bundle has nothing to choose.
                if (all.size == 1 && key == null) open(all.single())
            }
        }
    }

    @Suppress("DEPRECATION")
    private fun pick(intent: Intent, code: Int) = startActivityForResult(intent, code)

    @Deprecated("The framework's own way; androidx is not needed")
    override fun onActivityResult(code: Int, result: Int, data: Intent?) {
        val uri = data?.data
        if (result == RESULT_OK && uri != null && (code == FOLDER || code == ZIP)) open(Sources.content(uri))
    }

    private companion object {
        const val KEY = "key"
        const val FOUND = "found"
        const val LOAD = "load"
        const val FOLDER = 1
        const val ZIP = 2
        val DISK = Executors.newSingleThreadExecutor { Thread(it, "disk").apply { isDaemon = true } }
    }
}
