package edgekit.core

import edgekit.core.json.Fields
import edgekit.core.json.Json
import edgekit.core.json.JsonReader
import java.io.File
import org.junit.Assume.assumeTrue

/** What tests/android wrote: Python's answers, and bundles to open. */
object Expectations {
    /** A folder of it; the test is skipped where Maven was started alone. */
    fun folder(name: String): File {
        val root = System.getProperty("edgekit.expectations").orEmpty()
        assumeTrue("started without expectations; see tests/android", root.isNotEmpty())
        val folder = File(root, name)
        check(folder.isDirectory) { "no $folder" }
        return folder
    }

    fun json(file: File): Json = JsonReader.read(file.readBytes())

    fun items(file: File): List<Json> = (json(file) as Json.Array).items

    fun fields(file: File): Fields = Fields(json(file), file.name)

    fun texts(value: Json): List<String> = (value as Json.Array).items.map { (it as Json.Text).value }

    fun ints(value: Json): IntArray = (value as Json.Array).items.map { Fields.whole(it)!!.toInt() }.toIntArray()
}
