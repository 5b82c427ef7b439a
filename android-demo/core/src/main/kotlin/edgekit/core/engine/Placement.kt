package edgekit.core.engine

import edgekit.core.EdgeKitException
import edgekit.core.json.Json
import edgekit.core.json.JsonReader
import edgekit.core.json.JsonRefused
import java.io.File

/** Reads from ONNX Runtime's profile which execution provider ran each node. */
internal object Placement {
    private const val LIMIT = 64L shl 20

    fun read(file: File): Map<String, Int> {
        if (file.length() > LIMIT) throw EdgeKitException.InternalError("the profile $file is longer than $LIMIT bytes")
        val events = try {
            (JsonReader.read(file.readBytes()) as? Json.Array)?.items
        } catch (error: JsonRefused) {
            throw EdgeKitException.InternalError("the profile $file cannot be read: ${error.message}", error)
        }
        val found = LinkedHashMap<String, String>()
        for (event in events.orEmpty()) {
            val members = (event as? Json.Object)?.members ?: continue
            val arguments = (members["args"] as? Json.Object)?.members ?: continue
            val name = (members["name"] as? Json.Text)?.value ?: continue
            val provider = (arguments["provider"] as? Json.Text)?.value ?: continue
            if (name.endsWith("_kernel_time")) found[name] = provider
        }
        return found.values.groupingBy { it }.eachCount()
    }
}
