package edgekit.sdk

import android.content.Context
import edgekit.core.EdgeKitException
import edgekit.core.bundle.Bundle
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException

/**
 * The app's own copies of bundles, each in a folder named by the bundle and its seal.
 *
 * A copy takes its name in one rename, after every hash was checked: a process that dies in the middle
 * leaves a folder that the next start removes, never half a bundle.
 */
public class BundleStore(private val context: Context) {
    private val home by lazy { File(context.noBackupFilesDir, "edgekit") }

    /** The folders of all copies, by name. */
    public fun copies(): List<File> =
        home.listFiles { file -> file.isDirectory && !file.name.startsWith(PARTIAL) }.orEmpty().sortedBy { it.name }

    /**
     * The checked bundle of a source, copied where that is needed. Reads every byte: off the main thread.
     *
     * @throws EdgeKitException.StorageFull there is no room for a copy; nothing is left behind
     * @throws EdgeKitException.InputMissing the source is not there, or not readable
     * @throws EdgeKitException see [Bundle.open]
     */
    public fun open(source: BundleSource): Bundle {
        if (source is BundleSource.Folder && !source.copy) return Bundle.open(source.folder)
        if (source is BundleSource.Copy) return Bundle.open(File(home, File(source.name).name))
        synchronized(LOCK) {
            sweep()
            return try {
                source.entries(context).use { copied(it) }
            } catch (error: FileNotFoundException) {
                throw EdgeKitException.InputMissing("no bundle there, or it is not readable: ${error.message}")
            } catch (error: SecurityException) {
                throw EdgeKitException.PermissionRefused("the bundle may not be read: ${error.message}", error)
            } catch (error: IOException) {
                throw if (Room.isFull(error)) {
                    EdgeKitException.StorageFull("the phone's storage is full", error)
                } else {
                    EdgeKitException.InputMissing("the bundle cannot be read: $error")
                }
            }
        }
    }

    /** Removes the copy of a bundle. Close what uses it before. */
    public fun remove(bundle: Bundle) {
        if (bundle.folder.parentFile == home) synchronized(LOCK) { bundle.folder.deleteRecursively() }
    }

    private fun copied(entries: Entries): Bundle {
        home.mkdirs()
        val partial = File(home, "$PARTIAL${System.nanoTime()}")
        try {
            if (!partial.mkdirs()) throw EdgeKitException.StorageFull("no folder can be made in $home")
            entries.open(MANIFEST).use { Room.copy(it, File(partial, MANIFEST), MOST_MANIFEST) }
            val manifest = Bundle.manifest(partial)
            val name = "${plain(manifest.name)}-${Bundle.seal(manifest).take(SEAL_SHOWN)}"
            val final = File(home, name)
            if (final.isDirectory) {
                try {
                    return Bundle.open(final)
                } catch (_: EdgeKitException.BundleCorrupt) {
                    // Something damaged the copy; the source has another.
                    final.deleteRecursively()
                }
            }
            Room.require(home, manifest.files.sumOf { it.bytes })
            for (entry in manifest.files) {
                val file = File(partial, entry.path)
                file.parentFile?.mkdirs()
                entries.open(entry.path).use { Room.copy(it, file, entry.bytes) }
            }
            return Bundle.open(partial).moveTo(final)
        } finally {
            partial.deleteRecursively()
        }
    }

    /** What a process that died left behind. */
    private fun sweep() {
        home.listFiles { file -> file.name.startsWith(PARTIAL) }?.forEach { it.deleteRecursively() }
        context.cacheDir.listFiles { file -> file.name.startsWith("edgekit-zip-") }?.forEach { it.deleteRecursively() }
    }

    private fun plain(name: String): String = name.map { if (it.isLetterOrDigit() && it < '\u0080' || it in "._-") it else '_' }
        .joinToString("").trimStart('.').take(LONGEST_NAME).ifEmpty { "bundle" }

    private companion object {
        const val PARTIAL = ".partial-"
        const val MANIFEST = "edgekit.json"
        const val MOST_MANIFEST = 4L shl 20
        const val SEAL_SHOWN = 16
        const val LONGEST_NAME = 80
        val LOCK = Any()
    }
}
