package edgekit.sdk

import android.content.Context
import android.net.Uri
import android.provider.DocumentsContract
import edgekit.core.EdgeKitException
import edgekit.core.bundle.SafeNames
import java.io.Closeable
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.util.zip.ZipException
import java.util.zip.ZipInputStream

/** Where a bundle lies before an app has it among its own files. */
public sealed class BundleSource {
    /** Opens it, for a copy. Called off the main thread. */
    internal abstract fun entries(context: Context): Entries

    /** A folder of the app's assets. */
    public class Asset(public val folder: String) : BundleSource() {
        override fun entries(context: Context): Entries = object : Entries {
            override fun open(name: String): InputStream = context.assets.open("$folder/$name")
        }
    }

    /** A folder that the app can read; used where it lies when [copy] is false. */
    public class Folder(public val folder: File, public val copy: Boolean = false) : BundleSource() {
        override fun entries(context: Context): Entries = object : Entries {
            override fun open(name: String): InputStream = File(folder, name).inputStream()
        }
    }

    /** One of the app's own copies, by the name of its folder; see [BundleStore.copies]. */
    public class Copy(public val name: String) : BundleSource() {
        override fun entries(context: Context): Entries = throw FileNotFoundException(name)
    }

    /** What the user picked: a folder (ACTION_OPEN_DOCUMENT_TREE) or a .zip of one (ACTION_OPEN_DOCUMENT). */
    public class Content(public val uri: Uri) : BundleSource() {
        override fun entries(context: Context): Entries =
            if (DocumentsContract.isTreeUri(uri)) TreeEntries(context, uri) else ZipEntries.unpacked(context, uri)
    }

    public companion object {
        /** A bundle among the app's assets. */
        @JvmStatic
        public fun asset(folder: String): BundleSource = Asset(folder)

        /** A bundle that lies in the app's own files already, or in another folder that it can read. */
        @JvmStatic
        public fun folder(folder: File): BundleSource = Folder(folder)

        /** A folder or .zip that the user picked. */
        @JvmStatic
        public fun content(uri: Uri): BundleSource = Content(uri)
    }
}

/** The files of a bundle by name; a name that is not there is a FileNotFoundException. */
internal interface Entries : Closeable {
    @Throws(IOException::class)
    fun open(name: String): InputStream

    override fun close(): Unit = Unit
}

/** The files under a folder of a documents provider. */
internal class TreeEntries(private val context: Context, private val tree: Uri) : Entries {
    private val found: Map<String, String> by lazy {
        val documents = HashMap<String, String>()
        collect(DocumentsContract.getTreeDocumentId(tree), "", 0, documents)
        documents
    }

    override fun open(name: String): InputStream {
        val id = found[name] ?: throw FileNotFoundException("$name is not in $tree")
        return context.contentResolver.openInputStream(DocumentsContract.buildDocumentUriUsingTree(tree, id))
            ?: throw FileNotFoundException("$name of $tree gives nothing")
    }

    private fun collect(folder: String, prefix: String, depth: Int, documents: MutableMap<String, String>) {
        val children = DocumentsContract.buildChildDocumentsUriUsingTree(tree, folder)
        val columns = arrayOf(
            DocumentsContract.Document.COLUMN_DOCUMENT_ID,
            DocumentsContract.Document.COLUMN_DISPLAY_NAME,
            DocumentsContract.Document.COLUMN_MIME_TYPE,
        )
        context.contentResolver.query(children, columns, null, null, null)?.use { cursor ->
            while (cursor.moveToNext()) {
                val name = prefix + cursor.getString(1)
                val isFolder = cursor.getString(2) == DocumentsContract.Document.MIME_TYPE_DIR
                if (isFolder && depth < DEEPEST) collect(cursor.getString(0), "$name/", depth + 1, documents)
                if (!isFolder) documents[name] = cursor.getString(0)
                if (documents.size > MOST) throw EdgeKitException.BundleCorrupt("the picked folder holds more than $MOST files")
            }
        } ?: throw FileNotFoundException("$tree cannot be listed")
    }

    private companion object {
        const val DEEPEST = 4
        const val MOST = 1000
    }
}

/** A .zip, unpacked into the app's cache first: it can be read in one direction only. */
internal class ZipEntries private constructor(private val folder: File, private val prefix: String) : Entries {
    override fun open(name: String): InputStream = File(folder, prefix + name).inputStream()

    override fun close() {
        folder.deleteRecursively()
    }

    companion object {
        private const val MANIFEST = "edgekit.json"
        private const val MOST = 1000

        fun unpacked(context: Context, uri: Uri): ZipEntries {
            val folder = File(context.cacheDir, "edgekit-zip-${Thread.currentThread().id}-${System.nanoTime()}")
            try {
                val stream = context.contentResolver.openInputStream(uri) ?: throw FileNotFoundException("$uri gives nothing")
                val names = stream.use { unpack(it, folder) }
                val manifest = names.filter { it.substringAfterLast('/') == MANIFEST }.minByOrNull { it.length }
                    ?: throw EdgeKitException.BundleCorrupt("the picked file is no .zip of a bundle: no $MANIFEST in it")
                return ZipEntries(folder, manifest.removeSuffix(MANIFEST))
            } catch (error: Throwable) {
                folder.deleteRecursively()
                throw if (error is ZipException) EdgeKitException.BundleCorrupt("the .zip is damaged: ${error.message}", error) else error
            }
        }

        private fun unpack(stream: InputStream, folder: File): List<String> {
            val names = ArrayList<String>()
            ZipInputStream(stream.buffered()).use { zip ->
                while (true) {
                    val entry = zip.nextEntry ?: break
                    if (entry.isDirectory) continue
                    SafeNames.fault(entry.name)?.let { throw EdgeKitException.UnsafeInput("\"${entry.name.take(200)}\": $it") }
                    names.add(entry.name)
                    if (names.size > MOST) throw EdgeKitException.BundleCorrupt("the .zip holds more than $MOST files")
                    val file = File(folder, entry.name)
                    file.parentFile?.mkdirs()
                    Room.copy(zip, file, Room.free(folder.parentFile ?: folder))
                }
            }
            return names
        }
    }
}
