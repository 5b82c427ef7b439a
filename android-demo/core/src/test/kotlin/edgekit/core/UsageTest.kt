package edgekit.core

import edgekit.core.tasks.Answer
import edgekit.core.tasks.Numbers
import java.io.File
import java.nio.file.Files
import org.junit.Assert.assertEquals
import org.junit.Test

/** The example of the README, line by line: tests/android compares the two. */
class UsageTest {
    private fun nearest(filesDir: File, notes: List<String>): String? {
        EdgeKitCore.open(File(filesDir, "minilm-android-arm64")).use { model ->
            fun vector(text: String) = (model.run(text) as Answer.Embedding).vector
            val asked = vector("When does the train leave?")
            val nearest = notes.maxByOrNull { Numbers.cosine(asked, vector(it)) }
            return nearest
        }
    }

    @Test
    fun theNearestNoteIsFound() {
        val bundle = File(Expectations.folder("bundles"), "sentence-similarity/bundle")
        val files = Files.createTempDirectory("files").toFile()
        try {
            bundle.copyRecursively(File(files, "minilm-android-arm64"))
            val notes = listOf("Water boils at one hundred degrees.", "When does the train leave?", "Das Wetter ist schön.")
            assertEquals(notes[1], nearest(files, notes))
        } finally {
            files.deleteRecursively()
        }
    }
}
