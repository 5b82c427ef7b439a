package edgekit.core.bundle

import edgekit.core.EdgeKitException
import edgekit.core.json.CanonicalJson
import edgekit.core.json.Fields
import edgekit.core.json.FormRefused
import edgekit.core.json.Json
import edgekit.core.json.JsonReader
import edgekit.core.json.JsonRefused
import java.io.File
import java.io.IOException
import java.nio.channels.Channels
import java.nio.file.AccessDeniedException
import java.nio.file.Files
import java.nio.file.LinkOption.NOFOLLOW_LINKS
import java.nio.file.Path
import java.nio.file.StandardOpenOption.READ
import java.security.MessageDigest

/** Reads edgekit.json and checks it: version, form, seal, names. */
internal object ManifestReader {
    const val NAME = "edgekit.json"
    private const val NEWEST = 1L
    private const val LIMIT = 4 shl 20

    private val form: FormCheck by lazy {
        val name = "/edgekit/core/bundle-schema.json"
        val bytes = ManifestReader::class.java.getResourceAsStream(name)?.use { it.readBytes() }
            ?: throw EdgeKitException.InternalError("the app lacks the resource $name")
        FormCheck(JsonReader.read(bytes) as Json.Object)
    }

    fun read(folder: File): Manifest {
        if (!folder.exists()) throw EdgeKitException.InputMissing("no such bundle: $folder")
        if (!folder.isDirectory) throw EdgeKitException.BundleCorrupt("$folder is a file, not a bundle")
        val raw = bytes(folder)
        val json = try {
            JsonReader.read(raw)
        } catch (error: JsonRefused) {
            corrupt(folder, "it is not valid JSON (${error.message})")
        }
        if (json !is Json.Object) corrupt(folder, "it is not a JSON object")
        checkVersion(folder, json)
        form.problem(json)?.let { corrupt(folder, it) }
        val manifest = try {
            Manifest.read(json)
        } catch (error: FormRefused) {
            corrupt(folder, error.message.orEmpty())
        }
        checkSeal(folder, raw, json)
        checkNames(manifest)
        return manifest
    }

    private fun corrupt(folder: File, reason: String): Nothing =
        throw EdgeKitException.BundleCorrupt("${File(folder, NAME)} is not a valid manifest: $reason")

    private fun bytes(folder: File): ByteArray {
        val path: Path = File(folder, NAME).toPath()
        if (Files.isSymbolicLink(path)) corrupt(folder, "it is a link")
        if (!Files.exists(path, NOFOLLOW_LINKS)) throw EdgeKitException.BundleCorrupt("$folder is not a bundle: it has no $NAME")
        if (!Files.isRegularFile(path, NOFOLLOW_LINKS)) corrupt(folder, "it is not a regular file")
        try {
            Files.newByteChannel(path, READ, NOFOLLOW_LINKS).use { channel ->
                if (channel.size() > LIMIT) corrupt(folder, "it is longer than $LIMIT bytes")
                return Channels.newInputStream(channel).readBytes()
            }
        } catch (error: AccessDeniedException) {
            throw EdgeKitException.PermissionRefused("cannot read $path", error)
        } catch (error: IOException) {
            corrupt(folder, error.toString())
        }
    }

    private fun checkVersion(folder: File, json: Json.Object) {
        val version = json.members["schema_version"]?.takeIf { it is Json.Number && it.isWhole } as Json.Number?
        if (version == null || version.lexeme.startsWith('-') || version.lexeme == "0") {
            corrupt(folder, "schema_version is missing or not a positive whole number")
        }
        if (Fields.whole(version).let { it == null || it > NEWEST }) {
            throw EdgeKitException.BundleTooNew(
                "${File(folder, NAME)} has schema version ${version.lexeme.take(20)}; this edgekit reads up to $NEWEST",
            )
        }
    }

    private fun checkSeal(folder: File, raw: ByteArray, json: Json.Object) {
        val rest = CanonicalJson.bytes(Json.Object(json.members - "seal"))
        val seal = (json.members["seal"] as? Json.Text)?.value
        val whole = CanonicalJson.bytes(json)
        if (rest == null || whole == null || !whole.contentEquals(raw) || Hashes.hex(Hashes.sha256().digest(rest)) != seal) {
            corrupt(folder, "it was changed after it was sealed")
        }
    }

    private fun checkNames(manifest: Manifest) {
        val names = manifest.files.map { it.path } + Contents.named(manifest).keys
        val problems = names.toSortedSet().mapNotNull { name ->
            SafeNames.fault(name)?.let { "unsafe file name \"${name.take(200)}\": $it" }
        }
        if (problems.isNotEmpty()) throw EdgeKitException.UnsafeInput("$NAME: ${Contents.told(problems)}")
    }
}

internal object Hashes {
    fun sha256(): MessageDigest = MessageDigest.getInstance("SHA-256")

    fun hex(bytes: ByteArray): String {
        val made = StringBuilder(bytes.size * 2)
        for (byte in bytes) {
            made.append(Character.forDigit(byte.toInt() shr 4 and 15, 16)).append(Character.forDigit(byte.toInt() and 15, 16))
        }
        return made.toString()
    }

    /** A file's digest, read in blocks so that memory stays flat. */
    fun ofFile(path: Path): String {
        val digest = sha256()
        val block = ByteArray(1 shl 16)
        Channels.newInputStream(Files.newByteChannel(path, READ, NOFOLLOW_LINKS)).use { stream ->
            while (true) {
                val count = stream.read(block)
                if (count < 0) break
                digest.update(block, 0, count)
            }
        }
        return hex(digest.digest())
    }
}
