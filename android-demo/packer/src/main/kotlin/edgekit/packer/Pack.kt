package edgekit.packer

import com.android.apksig.ApkSigner
import com.android.apksig.ApkVerifier
import java.io.File
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import java.security.KeyStore
import java.security.PrivateKey
import java.security.cert.X509Certificate
import java.util.zip.ZipEntry
import java.util.zip.ZipFile
import kotlin.system.exitProcess

private const val LEAST_API = 26
private const val PASSWORD = "android"

/** What goes into an APK. [natives] holds a folder of .so files for each ABI, or is absent. */
class Parts(val base: File, val dex: File, val jars: List<File>, val natives: File?)

/** Packs and signs an APK; [out] takes its name when it is whole and its signature was checked. */
fun pack(parts: Parts, keys: File, out: File) {
    val unsigned = File(out.path + ".unsigned")
    val partial = File(out.path + ".partial")
    try {
        AlignedZip(unsigned).use { fill(it, parts) }
        sign(unsigned, keys, partial)
        Files.move(partial.toPath(), out.toPath(), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE)
    } finally {
        unsigned.delete()
        partial.delete()
    }
}

private fun fill(zip: AlignedZip, parts: Parts) {
    val libraries = parts.natives?.listFiles().orEmpty().filter { it.isDirectory }.sorted().flatMap { abi ->
        abi.listFiles().orEmpty().filter { it.name.endsWith(".so") }.sorted().map { "lib/${abi.name}/${it.name}" to it }
    }
    for ((name, file) in libraries) zip.add(name, file.readBytes(), stored = true)
    ZipFile(parts.base).use { base ->
        for (entry in base.entries()) {
            val stored = entry.method == ZipEntry.STORED || entry.name == "resources.arsc"
            zip.add(entry.name, base.getInputStream(entry).readBytes(), stored)
        }
    }
    for (dex in parts.dex.listFiles().orEmpty().filter { it.name.endsWith(".dex") }.sorted()) {
        zip.add(dex.name, dex.readBytes(), stored = false)
    }
    // Files that code reads by getResource; R8 takes the classes.
    for (jar in parts.jars) {
        ZipFile(jar).use { source ->
            val files = source.entries().asSequence().filter { it.name.startsWith("edgekit/") && !it.isDirectory && !it.name.endsWith(".class") }
            for (entry in files) zip.add(entry.name, source.getInputStream(entry).readBytes(), stored = false)
        }
    }
}

private fun sign(unsigned: File, keys: File, out: File) {
    val store = KeyStore.getInstance(keys, PASSWORD.toCharArray())
    val alias = store.aliases().nextElement()
    val key = store.getKey(alias, PASSWORD.toCharArray()) as PrivateKey
    val chain = store.getCertificateChain(alias).map { it as X509Certificate }
    val signer = ApkSigner.SignerConfig.Builder("debug", key, chain).build()
    ApkSigner.Builder(listOf(signer)).setInputApk(unsigned).setOutputApk(out)
        .setMinSdkVersion(LEAST_API).setV1SigningEnabled(false).setV2SigningEnabled(true).build().sign()
    val verified = ApkVerifier.Builder(out).setMinCheckedPlatformVersion(LEAST_API).build().verify()
    check(verified.isVerified) { "the signature does not verify: ${verified.errors}" }
}

/** `base.apk dex-folder natives-folder keystore out.apk jar…`; the folder of natives may be missing. */
fun main(words: Array<String>) {
    if (words.size < 5) {
        System.err.println("base.apk dex-folder natives-folder keystore out.apk jar…")
        exitProcess(64)
    }
    val natives = File(words[2]).takeIf { it.isDirectory }
    pack(Parts(File(words[0]), File(words[1]), words.drop(5).map { File(it) }, natives), File(words[3]), File(words[4]))
}
