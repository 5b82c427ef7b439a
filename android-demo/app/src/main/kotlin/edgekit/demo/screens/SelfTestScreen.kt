package edgekit.demo.screens

import edgekit.core.bundle.Manifest
import edgekit.core.bundle.Replayed
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** Does this phone give the answers of the machine that made the bundle? */
object SelfTestScreen : Screen {
    override val name = "self-test"
    override val title = R.string.self_test

    override fun fits(manifest: Manifest): Boolean = true

    override fun show(page: Page, session: Session) {
        val context = page.activity
        page.text(context.getString(R.string.self_test_about))
        page.call(name, context.getString(R.string.self_test_run), { session.selfTest() }) { all: List<Replayed> ->
            val failed = all.filterNot { it.passed }
            val least = all.minOfOrNull { it.cosine } ?: 0.0
            if (failed.isEmpty()) {
                context.getString(R.string.self_test_passed, page.whole(all.size), page.decimal(least, DIGITS))
            } else {
                val lines = failed.map {
                    val cosine = page.decimal(it.cosine, DIGITS)
                    context.getString(R.string.self_test_line, it.text.take(SHOWN), cosine, page.decimal(it.floor, DIGITS))
                }
                (listOf(context.getString(R.string.self_test_failed, page.whole(failed.size), page.whole(all.size))) + lines).joinToString("\n\n")
            }
        }
    }

    private const val DIGITS = 6
    private const val SHOWN = 80
}
