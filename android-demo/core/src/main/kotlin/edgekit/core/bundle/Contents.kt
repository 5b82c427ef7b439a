package edgekit.core.bundle

import edgekit.core.EdgeKitException
import edgekit.core.unicode.Normalization
import java.io.File
import java.io.IOException
import java.nio.file.AccessDeniedException
import java.nio.file.Files
import java.nio.file.LinkOption.NOFOLLOW_LINKS
import java.nio.file.Path
import java.nio.file.attribute.BasicFileAttributes
import java.util.Locale

/** Compares what lies in a folder with what its manifest lists. */
internal object Contents {
    private const val TOLD = 10

    /** Files that the manifest's parts name, and who names them. */
    fun named(manifest: Manifest): Map<String, String> {
        val named = linkedMapOf(manifest.tokenizer.file to "the tokenizer", manifest.goldensFile to "the goldens")
        for (artifact in manifest.artifacts) named[artifact.file] = "the ${artifact.runtime} artifact"
        return named
    }

    /** Refuses a folder in which anything is changed, extra, missing, renamed or linked. */
    fun check(folder: File, manifest: Manifest) {
        val problems = ArrayList<String>(listing(manifest))
        val sizes = HashMap<String, Long>()
        try {
            scan(folder.toPath(), "", sizes, problems)
        } catch (error: AccessDeniedException) {
            throw EdgeKitException.PermissionRefused("cannot list $folder", error)
        } catch (error: IOException) {
            throw EdgeKitException.BundleCorrupt("cannot list $folder: $error", error)
        }
        val listed = manifest.files.map { it.path }.toSet()
        for (path in sizes.keys.sorted()) if (path !in listed) problems.add("\"$path\" is extra")
        for (entry in manifest.files) {
            val size = sizes[entry.path]
            when {
                entry.path == ManifestReader.NAME -> Unit
                size == null -> problems.add("\"${entry.path}\" is missing")
                size != entry.bytes -> problems.add("\"${entry.path}\" has $size bytes, not ${entry.bytes}")
                else -> changed(folder, entry)?.let { problems.add(it) }
            }
        }
        if (problems.isNotEmpty()) {
            throw EdgeKitException.BundleCorrupt("$folder does not match its manifest: ${told(problems)}")
        }
    }

    fun told(problems: List<String>): String {
        val more = problems.size - TOLD
        return problems.take(TOLD).joinToString("; ") + if (more > 0) "; and $more more" else ""
    }

    private fun changed(folder: File, entry: FileEntry): String? = try {
        if (Hashes.ofFile(File(folder, entry.path).toPath()) == entry.sha256) null else "\"${entry.path}\" was changed"
    } catch (error: IOException) {
        "\"${entry.path}\" cannot be read: $error"
    }

    private fun scan(folder: Path, prefix: String, sizes: MutableMap<String, Long>, problems: MutableList<String>) {
        var count = 0
        Files.newDirectoryStream(folder).use { stream ->
            for (path in stream) {
                count++
                val name = prefix + path.fileName
                val what = Files.readAttributes(path, BasicFileAttributes::class.java, NOFOLLOW_LINKS)
                when {
                    what.isDirectory -> scan(path, "$name/", sizes, problems)
                    what.isSymbolicLink -> problems.add("\"$name\" is a link")
                    !what.isRegularFile -> problems.add("\"$name\" is not a regular file")
                    name != ManifestReader.NAME -> sizes[name] = what.size()
                }
            }
        }
        if (count == 0 && prefix.isNotEmpty()) problems.add("\"${prefix.dropLast(1)}\" is an empty folder")
    }

    /** Ways in which the manifest's list of files contradicts itself. */
    private fun listing(manifest: Manifest): List<String> {
        val problems = ArrayList<String>()
        val paths = manifest.files.map { it.path }
        for ((path, same) in paths.groupBy { it }) if (same.size > 1) problems.add("\"$path\" is listed ${same.size} times")
        if (ManifestReader.NAME in paths) problems.add("\"${ManifestReader.NAME}\" lists itself")
        val folded = HashMap<String, String>()
        for (path in paths.toSortedSet()) {
            // Shared storage cannot hold two names that differ by case.
            val other = folded.getOrPut(fold(path)) { path }
            if (other != path) problems.add("\"$other\" and \"$path\" differ only in case")
        }
        for ((name, owner) in named(manifest)) if (name !in paths) problems.add("\"$name\", the file of $owner, is not listed")
        return problems
    }

    private fun fold(path: String): String {
        val points = path.codePoints().toArray()
        val (composed, _) = Normalization.composed(points, points.size, compatibility = false)
        val text = String(composed.toArray(), 0, composed.size)
        return text.uppercase(Locale.ROOT).lowercase(Locale.ROOT)
    }
}
