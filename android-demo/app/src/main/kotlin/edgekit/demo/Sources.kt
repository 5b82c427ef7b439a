package edgekit.demo

import android.content.Context
import android.net.Uri
import edgekit.sdk.BundleSource
import edgekit.sdk.BundleStore
import java.io.File

/** Where bundles come from, as words that survive the death of the process. */
object Sources {
    const val ASSETS = "edgekit"

    /** What `edgekit bench --tuning` wrote, beside the bundles; an app may lack it. */
    const val TUNING = "edgekit/tuning.json"
    private const val ASSET = "asset:"
    private const val COPY = "copy:"
    private const val CONTENT = "content:"

    /** What can be picked: bundles among the assets, and those that were imported. Reads the disk. */
    fun all(context: Context): List<String> {
        // Some lists of assets go down into folders.
        val folders = context.assets.list(ASSETS).orEmpty().map { it.substringBefore('/') }.distinct()
        val assets = folders.filter { isBundle(context, it) }
        val named = assets.map { "$ASSET$ASSETS/$it" }
        val imported = BundleStore(context).copies().map { it.name }.filterNot { copy -> assets.any { copy.startsWith("$it-") } }
        return named + imported.map { COPY + it }
    }

    private fun isBundle(context: Context, name: String): Boolean =
        context.assets.list("$ASSETS/$name").orEmpty().contains("edgekit.json")

    fun content(uri: Uri): String = CONTENT + uri

    fun copy(folder: File): String = COPY + folder.name

    /** A name for people. */
    fun title(key: String): String = key.substringAfter(':').substringAfterLast('/')

    fun source(key: String): BundleSource = when {
        key.startsWith(ASSET) -> BundleSource.asset(key.removePrefix(ASSET))
        key.startsWith(COPY) -> BundleSource.Copy(key.removePrefix(COPY))
        else -> BundleSource.content(Uri.parse(key.removePrefix(CONTENT)))
    }
}
