package edgekit.sdk

import android.app.Application
import android.content.Context
import android.net.Uri
import edgekit.core.EdgeKitException
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.FileNotFoundException
import java.nio.file.Files
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class StoreTest {
    @Before
    fun open() = Storing.open()

    @Test
    fun aBundleIsCopiedOnce() = Storing.aBundleIsCopiedOnce()

    @Test
    fun whatAKilledProcessLeftIsRemovedAndTheBundleCopied() = Storing.whatAKilledProcessLeftIsRemovedAndTheBundleCopied()

    @Test
    fun aCopyThatBreaksOffLeavesNothingAndTheNextOneWorks() = Storing.aCopyThatBreaksOffLeavesNothingAndTheNextOneWorks()

    @Test
    fun aDamagedCopyIsMadeAnew() = Storing.aDamagedCopyIsMadeAnew()

    @Test
    fun aHalfCopiedSourceIsRefused() = Storing.aHalfCopiedSourceIsRefused()

    @Test
    fun aNewerBundleIsRefused() = Storing.aNewerBundleIsRefused()

    @Test
    fun aFolderInPlaceIsNotCopied() = Storing.aFolderInPlaceIsNotCopied()

    @Test
    fun whatIsNotThereIsSaid() = Storing.whatIsNotThereIsSaid()

    @Test
    fun noSpaceIsSaidBeforeAndDuringTheCopy() = Storing.noSpaceIsSaidBeforeAndDuringTheCopy()

    @Test
    fun aDiskThatFillsUpIsSaid() = Storing.aDiskThatFillsUpIsSaid()

    @Test
    fun aPickedZipIsUnpackedAndChecked() = Storing.aPickedZipIsUnpackedAndChecked()

    @Test
    fun aZipThatReachesOutOfItsFolderIsRefused() = Storing.aZipThatReachesOutOfItsFolderIsRefused()

    @Test
    fun aFileThatIsNoZipIsRefused() = Storing.aFileThatIsNoZipIsRefused()
}

/** Apart, because JUnit reads the methods of a test before there is an Android to read them with. */
private object Storing {
    private val context: Context get() = RuntimeEnvironment.getApplication()
    private val home get() = File(context.noBackupFilesDir, "edgekit")
    private lateinit var bundle: File
    private lateinit var store: BundleStore

    fun open() {
        bundle = Bundles.folder("sentence-similarity")
        store = BundleStore(context)
    }

    private fun copying(folder: File = bundle) = BundleSource.Folder(folder, copy = true)

    private fun changed(change: (File) -> Unit): File {
        val copy = Files.createTempDirectory("bundle").toFile()
        bundle.copyRecursively(copy, overwrite = true)
        change(copy)
        return copy
    }

    fun aBundleIsCopiedOnce() {
        val first = store.open(copying()).folder
        val model = File(first, "model.onnx")
        val made = model.lastModified()
        model.setLastModified(made - 100_000)
        assertEquals(first, store.open(copying()).folder)
        assertEquals("it was not copied again", made - 100_000, model.lastModified())
        assertEquals(listOf(first), store.copies())
    }

    fun whatAKilledProcessLeftIsRemovedAndTheBundleCopied() {
        val left = File(home, ".partial-7").also { it.mkdirs() }
        File(bundle, "edgekit.json").copyTo(File(left, "edgekit.json"))
        File(left, "model.onnx").writeBytes(ByteArray(100))
        assertTrue(store.copies().isEmpty())
        assertTrue(store.open(copying()).folder.isDirectory)
        assertFalse(left.exists())
    }

    fun aCopyThatBreaksOffLeavesNothingAndTheNextOneWorks() {
        val broken = changed { File(it, "tokenizer.json").delete() }
        assertThrows(EdgeKitException.InputMissing::class.java) { store.open(copying(broken)) }
        assertEquals(emptyList<String>(), home.list().orEmpty().toList())
        store.open(copying())
    }

    fun aDamagedCopyIsMadeAnew() {
        val folder = store.open(copying()).folder
        File(folder, "model.onnx").writeBytes(ByteArray(10))
        assertEquals(folder, store.open(copying()).folder)
        assertEquals(File(bundle, "model.onnx").length(), File(folder, "model.onnx").length())
    }

    fun aHalfCopiedSourceIsRefused() {
        val half = changed { File(it, "model.onnx").writeBytes(File(it, "model.onnx").readBytes().copyOf(500)) }
        assertThrows(EdgeKitException.BundleCorrupt::class.java) { store.open(copying(half)) }
        val longer = changed { File(it, "model.onnx").appendBytes(ByteArray(10)) }
        assertThrows(EdgeKitException::class.java) { store.open(copying(longer)) }
        assertTrue(store.copies().isEmpty())
    }

    fun aNewerBundleIsRefused() {
        val newer = changed {
            val manifest = File(it, "edgekit.json")
            manifest.writeText(manifest.readText().replace(Regex("\"schema_version\": *1"), "\"schema_version\":99"))
        }
        assertThrows(EdgeKitException.BundleTooNew::class.java) { store.open(copying(newer)) }
    }

    fun aFolderInPlaceIsNotCopied() {
        assertEquals(bundle, store.open(BundleSource.folder(bundle)).folder)
        assertTrue(store.copies().isEmpty())
        assertThrows(EdgeKitException.InputMissing::class.java) { store.open(BundleSource.folder(File("/nowhere"))) }
    }

    fun whatIsNotThereIsSaid() {
        assertThrows(EdgeKitException.InputMissing::class.java) { store.open(BundleSource.asset("edgekit/none")) }
        val gone = Uri.parse("content://picked/and-gone")
        shadowOf((context as Application).contentResolver).registerInputStreamSupplier(gone) { throw FileNotFoundException("gone") }
        assertThrows(EdgeKitException.InputMissing::class.java) { store.open(BundleSource.content(gone)) }
    }

    fun noSpaceIsSaidBeforeAndDuringTheCopy() {
        assertThrows(EdgeKitException.StorageFull::class.java) { Room.require(bundle, Long.MAX_VALUE / 2) }
        val file = File(bundle.parentFile, "small").also { it.deleteOnExit() }
        val more = ByteArrayInputStream(ByteArray(1000))
        val error = assertThrows(EdgeKitException.StorageFull::class.java) { Room.copy(more, file, 999) }
        assertEquals("storage-full", error.code)
    }

    fun aDiskThatFillsUpIsSaid() {
        val full = File("/dev/full")
        org.junit.Assume.assumeTrue(full.exists())
        val bytes = ByteArrayInputStream(ByteArray(1 shl 20))
        assertThrows(EdgeKitException.StorageFull::class.java) { Room.copy(bytes, full, 1L shl 30) }
    }

    private fun zip(names: (String) -> String): Uri {
        val bytes = ByteArrayOutputStream()
        ZipOutputStream(bytes).use { zip ->
            for (file in bundle.listFiles().orEmpty()) {
                zip.putNextEntry(ZipEntry(names(file.name)))
                zip.write(file.readBytes())
            }
        }
        return picked(bytes.toByteArray())
    }

    private fun picked(bytes: ByteArray): Uri {
        val uri = Uri.parse("content://picked/${System.nanoTime()}")
        shadowOf((context as Application).contentResolver).registerInputStreamSupplier(uri) { ByteArrayInputStream(bytes) }
        return uri
    }

    fun aPickedZipIsUnpackedAndChecked() {
        val found = store.open(BundleSource.content(zip { "some folder/$it" }))
        assertEquals(home, found.folder.parentFile)
        assertEquals(emptyList<String>(), context.cacheDir.list().orEmpty().filter { it.startsWith("edgekit-zip") })
    }

    fun aZipThatReachesOutOfItsFolderIsRefused() {
        val escaping = zip { if (it == "README.md") "../../README.md" else it }
        assertThrows(EdgeKitException.UnsafeInput::class.java) { store.open(BundleSource.content(escaping)) }
    }

    fun aFileThatIsNoZipIsRefused() {
        for (bytes in listOf(ByteArray(0), ByteArray(100) { it.toByte() }, "PK\u0003\u0004 half".toByteArray())) {
            assertThrows(EdgeKitException::class.java) { store.open(BundleSource.content(picked(bytes))) }
        }
        assertTrue(store.copies().isEmpty())
    }
}
