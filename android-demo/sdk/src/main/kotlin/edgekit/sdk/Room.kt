package edgekit.sdk

import android.system.ErrnoException
import android.system.OsConstants
import edgekit.core.EdgeKitException
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.InputStream

/** Writing to a phone's storage, which may be full. */
internal object Room {
    /** Kept free for the rest of the phone. */
    private const val SPARE = 16L shl 20

    fun free(folder: File): Long = folder.usableSpace - SPARE

    /**
     * Refuses a copy for which there is no room.
     *
     * @throws EdgeKitException.StorageFull there is not
     */
    fun require(folder: File, bytes: Long) {
        val free = free(folder)
        if (free < bytes) {
            throw EdgeKitException.StorageFull("the bundle takes $bytes bytes, ${maxOf(free, 0)} are free on the phone")
        }
    }

    /**
     * Copies a stream into a new file, onto the disk, and gives its length.
     *
     * @throws EdgeKitException.StorageFull the disk is full, or the stream has more than [most] bytes
     */
    fun copy(from: InputStream, to: File, most: Long): Long {
        try {
            FileOutputStream(to).use { out ->
                val block = ByteArray(1 shl 16)
                var written = 0L
                while (true) {
                    val count = from.read(block)
                    if (count < 0) break
                    written += count
                    if (written > most) throw EdgeKitException.StorageFull("${to.name} has more than $most bytes")
                    if (Thread.interrupted()) throw EdgeKitException.Cancelled("the copy was cancelled")
                    out.write(block, 0, count)
                }
                out.fd.sync()
                return written
            }
        } catch (error: IOException) {
            throw if (isFull(error)) EdgeKitException.StorageFull("the phone's storage is full", error) else error
        }
    }

    fun isFull(error: IOException): Boolean {
        val cause = error.cause
        return cause is ErrnoException && cause.errno == OsConstants.ENOSPC ||
            "ENOSPC" in error.message.orEmpty() || "No space left" in error.message.orEmpty()
    }
}
