package edgekit.demo.screens

import edgekit.core.bundle.Bundle
import edgekit.core.bundle.Manifest
import edgekit.demo.Page
import edgekit.demo.R
import edgekit.demo.Screen
import edgekit.sdk.Session

/** What the manifest says of the model. */
object CardScreen : Screen {
    override val name = "card"
    override val title = R.string.card

    override fun fits(manifest: Manifest): Boolean = true

    override fun show(page: Page, session: Session) {
        val words = page::words
        val status = page.result()
        page.calls.on<Bundle>(
            name,
            { busy -> page.show(status, if (busy) words(R.string.loading) else "") },
            { error -> page.showProblem(status, error) },
            { bundle -> describe(page, bundle) },
        )
        page.calls.startOnce(name) { session.bundle() }
    }

    private fun describe(page: Page, bundle: Bundle) {
        val manifest = bundle.manifest
        val context = page.activity
        page.heading(manifest.name)
        page.text(context.getString(if (manifest.certified) R.string.card_certified else R.string.not_certified))
        page.text(context.getString(R.string.card_task, manifest.task))
        page.text(context.getString(R.string.card_family, manifest.family))
        page.text(context.getString(R.string.card_licence, manifest.licence ?: context.getString(R.string.card_unknown)))
        page.text(context.getString(R.string.card_limits, page.whole(manifest.minLength), page.whole(manifest.maxLength)))
        page.text(context.getString(R.string.card_tokenizer, manifest.tokenizer.kind))
        for (each in manifest.artifacts) {
            val size = page.decimal(each.bytes / MEGABYTE, 1)
            page.text(context.getString(R.string.card_artifact, each.runtime, size, each.delegate, each.scheme))
        }
        if (manifest.labels.isNotEmpty()) page.text(context.getString(R.string.card_labels, manifest.labels.joinToString(", ")))
        if (manifest.beams > 1) page.text(context.getString(R.string.card_beams, page.whole(manifest.beams)))
        page.text(context.getString(R.string.card_seal, bundle.seal))
    }

    private const val MEGABYTE = 1e6
}
