package edgekit.sdk

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.provider.DocumentsContract
import android.provider.DocumentsContract.Document
import edgekit.core.EdgeKitException
import java.io.File
import java.io.FileNotFoundException
import java.nio.file.Files
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/**
 * A folder's documents under the addresses that the files app of a phone gives. Robolectric asks providers
 * as Android 7 did, which Android's own base class for this refuses.
 */
class Documents : ContentProvider() {
    override fun onCreate(): Boolean = true

    override fun query(uri: Uri, projection: Array<String>?, selection: String?, args: Array<String>?, order: String?): Cursor {
        val columns = arrayOf(Document.COLUMN_DOCUMENT_ID, Document.COLUMN_DISPLAY_NAME, Document.COLUMN_MIME_TYPE)
        assertEquals(columns.asList(), projection!!.asList())
        return MatrixCursor(columns).also { cursor ->
            for (file in File(DocumentsContract.getDocumentId(uri)).listFiles().orEmpty()) {
                val type = if (file.isDirectory) Document.MIME_TYPE_DIR else "application/octet-stream"
                cursor.addRow(arrayOf(file.path, file.name, type))
            }
        }
    }

    override fun getType(uri: Uri): String? = null

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun delete(uri: Uri, selection: String?, args: Array<String>?): Int = 0

    override fun update(uri: Uri, values: ContentValues?, selection: String?, args: Array<String>?): Int = 0
}

/** A folder that the user picked, by way of a provider of documents. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class PickedFolderTest {
    @Before
    fun provide() = Picking.provide()

    @Test
    fun aPickedFolderIsCopiedAndChecked() = Picking.aPickedFolderIsCopiedAndChecked()

    @Test
    fun filesBelowAFolderAreFound() = Picking.filesBelowAFolderAreFound()

    @Test
    fun aPickedFolderThatLacksAFileIsRefused() = Picking.aPickedFolderThatLacksAFileIsRefused()

    @Test
    fun aPickedFolderThatIsNoBundleIsRefused() = Picking.aPickedFolderThatIsNoBundleIsRefused()
}

/** Apart, because JUnit reads the methods of a test before there is an Android to read them with. */
private object Picking {
    private const val AUTHORITY = "edgekit.picked"
    private val context: Context get() = RuntimeEnvironment.getApplication()

    fun provide() {
        Robolectric.setupContentProvider(Documents::class.java, AUTHORITY)
    }

    /** The address of a folder; its files are handed out by Robolectric, whose providers open none on a newer Java. */
    private fun tree(folder: File): Uri = DocumentsContract.buildTreeDocumentUri(AUTHORITY, folder.path).also { tree ->
        for (file in folder.walk().filter { it.isFile }) {
            val uri = DocumentsContract.buildDocumentUriUsingTree(tree, file.path)
            shadowOf(context.contentResolver).registerInputStreamSupplier(uri) { file.inputStream() }
        }
    }

    private fun picked(folder: File) = BundleSource.content(tree(folder))

    fun aPickedFolderIsCopiedAndChecked() {
        val bundle = Bundles.folder("sentence-similarity")
        val store = BundleStore(context)
        val found = store.open(picked(bundle)).folder
        assertEquals(listOf(found), store.copies())
        assertArrayEquals(File(bundle, "model.onnx").readBytes(), File(found, "model.onnx").readBytes())
    }

    fun filesBelowAFolderAreFound() {
        val outer = Files.createTempDirectory("picked").toFile()
        File(outer, "below").mkdir()
        File(outer, "below/text").writeText("found")
        TreeEntries(context, tree(outer)).use { entries ->
            assertEquals("found", entries.open("below/text").use { it.readBytes().decodeToString() })
            assertThrows(FileNotFoundException::class.java) { entries.open("text") }
        }
    }

    fun aPickedFolderThatLacksAFileIsRefused() {
        val half = Files.createTempDirectory("picked").toFile()
        Bundles.folder("sentence-similarity").copyRecursively(half, overwrite = true)
        File(half, "tokenizer.json").delete()
        val error = assertThrows(EdgeKitException.InputMissing::class.java) { BundleStore(context).open(picked(half)) }
        assertTrue(error.message!!, "tokenizer.json" in error.message!!)
        assertTrue(BundleStore(context).copies().isEmpty())
    }

    fun aPickedFolderThatIsNoBundleIsRefused() {
        val empty = Files.createTempDirectory("picked").toFile()
        assertThrows(EdgeKitException.InputMissing::class.java) { BundleStore(context).open(picked(empty)) }
        assertThrows(EdgeKitException::class.java) { BundleStore(context).open(picked(File(empty, "none"))) }
    }
}
