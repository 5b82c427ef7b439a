package edgekit.core.bundle

import edgekit.core.EdgeKitException
import edgekit.core.json.Json
import edgekit.core.tokenizer.Tokenizer
import java.io.File
import java.io.IOException

/**
 * A bundle whose manifest and files have been checked.
 *
 * The check is of what lay there at the time: keep a bundle where no other app can write.
 */
public class Bundle private constructor(public val folder: File, public val manifest: Manifest) {

    /** The file of the artifact for a runtime; null where the bundle has none. */
    public fun artifact(runtime: String): File? =
        manifest.artifacts.firstOrNull { it.runtime == runtime }?.let { File(folder, it.file) }

    /**
     * Reads the bundle's tokenizer; some tens of milliseconds on a desktop.
     *
     * @throws EdgeKitException.BundleCorrupt the file cannot be read
     * @throws EdgeKitException.Unsupported it needs what this core does not have
     */
    public fun tokenizer(): Tokenizer = try {
        Tokenizer.read(File(folder, manifest.tokenizer.file).readBytes())
    } catch (error: IOException) {
        throw EdgeKitException.BundleCorrupt("${manifest.tokenizer.file} cannot be read: $error", error)
    }

    /** The seal, a SHA-256 over the manifest: two bundles with one seal are the same. */
    public val seal: String get() = seal(manifest)

    /**
     * Renames the folder in one step, and gives the bundle in its new place without reading it again.
     *
     * @throws IOException the system refuses the new name
     */
    public fun moveTo(place: File): Bundle {
        if (!folder.renameTo(place)) throw IOException("$folder cannot take the name $place")
        return Bundle(place, manifest)
    }

    public companion object {
        /**
         * Reads and checks the manifest alone: version, form, seal and names, no other file.
         *
         * @throws EdgeKitException as for [open]
         */
        @JvmStatic
        public fun manifest(folder: File): Manifest = ManifestReader.read(folder)

        /** The seal of a manifest. */
        @JvmStatic
        public fun seal(manifest: Manifest): String = (manifest.json.members["seal"] as? Json.Text)?.value.orEmpty()

        /**
         * Checks a bundle: version, form and seal of its manifest, then size and SHA-256 of every file.
         *
         * Reads every byte once; call it off the main thread.
         *
         * @throws EdgeKitException.InputMissing there is no such folder
         * @throws EdgeKitException.BundleCorrupt it is no bundle, or its files do not match its manifest
         * @throws EdgeKitException.BundleTooNew a newer edgekit made it
         * @throws EdgeKitException.UnsafeInput it names a file outside its folder
         * @throws EdgeKitException.PermissionRefused the system denies reading it
         */
        @JvmStatic
        public fun open(folder: File): Bundle {
            val manifest = ManifestReader.read(folder)
            Contents.check(folder, manifest)
            return Bundle(folder, manifest)
        }
    }
}
