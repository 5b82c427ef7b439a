package edgekit.core.bundle

import edgekit.core.json.Fields
import edgekit.core.json.Json

/**
 * One dimension of a tensor: fixed where both bounds are the same.
 *
 * @property minimum the smallest size: 0 where a tensor may be empty, as a cache is at first
 * @property maximum the largest size
 */
public class Dim(public val name: String, public val minimum: Int, public val maximum: Int)

/** Name, dtype (`int64` or `float32`) and shape of one input or output. */
public class TensorSpec(public val name: String, public val dtype: String, public val dims: List<Dim>)

/**
 * One runnable file.
 *
 * @property runtime `executorch` or `onnx`
 * @property file its name in the bundle
 * @property bytes its size
 * @property delegate what it was lowered for, `none` where for nothing
 * @property scheme how its weights are quantized
 */
public class Artifact(
    public val runtime: String,
    public val file: String,
    public val bytes: Long,
    public val delegate: String,
    public val scheme: String,
)

/** One file of the bundle. */
public class FileEntry(public val path: String, public val bytes: Long, public val sha256: String)

/**
 * Which tokenizer the bundle carries.
 *
 * @property kind its model, as `WordPiece`
 * @property file its name in the bundle
 * @property padTokenId null where the model pads with nothing
 * @property maskTokenId null where it fills no gaps
 */
public class TokenizerInfo(
    public val kind: String,
    public val file: String,
    public val padTokenId: Int?,
    public val maskTokenId: Int?,
)

/**
 * What a bundle is: the part of edgekit.json that an app asks for.
 *
 * @property name of the bundle, which is its folder's too
 * @property task as Hugging Face names it
 * @property family of the model, as `bert`
 * @property licence of the weights, as their maker named it; null where nobody did
 * @property labels class names by index, empty where there are none
 * @property problem transformers' problem_type of a classifier
 * @property certified false where a quality floor was missed and kept
 * @property minLength fewest tokens of a text
 * @property maxLength most tokens of a text
 * @property inputs of one pass, in the graph's order
 * @property outputs of one pass, in the graph's order
 * @property artifacts one for each runtime
 * @property tokenizer which one, and its special ids
 * @property goldensFile inputs with the answers of the machine that made the bundle
 * @property files all that the folder holds, the manifest left out
 * @property json the whole manifest, for what this class leaves out
 */
public class Manifest private constructor(public val json: Json.Object, root: Fields) {
    public val name: String = root.text("name")
    public val task: String = root.text("task")
    public val family: String = root.text("family")
    public val licence: String? = root.optionalText("licence")
    public val certified: Boolean = root.flag("certified")
    public val labels: List<String> = if (root.has("labels")) root.texts("labels") else emptyList()
    public val problem: String? = root.optionalText("problem")
    public val minLength: Int = size(root.fields("limits"), "min_length")
    public val maxLength: Int = size(root.fields("limits"), "max_length")
    public val inputs: List<TensorSpec> = root.fields("signature").list("inputs").map { tensor(it) }
    public val outputs: List<TensorSpec> = root.fields("signature").list("outputs").map { tensor(it) }
    public val artifacts: List<Artifact> = root.list("artifacts").map {
        Artifact(it.text("runtime"), it.text("file"), it.whole("bytes"), it.text("delegate"), it.text("scheme"))
    }
    public val tokenizer: TokenizerInfo = root.fields("tokenizer").let {
        TokenizerInfo(
            it.text("kind"),
            it.optionalText("file") ?: "tokenizer.json",
            optionalId(it, "pad_token_id"),
            optionalId(it, "mask_token_id"),
        )
    }

    /** Whether answers come token by token, from a `Generator`, and not in one pass. */
    public val generates: Boolean = root.has("generation")

    /** Answers that an encoder-decoder's makers keep at a time while they look for the likeliest; 1 for none. */
    public val beams: Int = beams(root)
    public val goldensFile: String = root.fields("goldens").optionalText("file") ?: "goldens.safetensors"
    public val files: List<FileEntry> = root.list("files").map {
        FileEntry(it.text("path"), it.whole("bytes"), it.text("sha256"))
    }

    internal companion object {
        /**
         * The manifest in a JSON object that its schema allows.
         *
         * @throws edgekit.core.json.FormRefused a number is beyond what a phone can mean
         */
        fun read(json: Json.Object): Manifest = Manifest(json, Fields(json, "the top"))

        private fun tensor(fields: Fields) = TensorSpec(
            fields.text("name"),
            fields.text("dtype"),
            fields.list("dims").map { Dim(it.text("name"), size(it, "minimum"), size(it, "maximum")) },
        )

        private fun beams(root: Fields): Int {
            var found = root
            for (name in listOf("generation", "answers", "search")) found = if (found.has(name)) found.fields(name) else return 1
            return if (found.has("beams")) size(found, "beams") else 1
        }

        private fun optionalId(fields: Fields, name: String): Int? = if (fields.has(name)) size(fields, name) else null

        /** A whole number, held within what an int holds. */
        private fun size(fields: Fields, name: String): Int =
            fields.whole(name).coerceIn(Int.MIN_VALUE.toLong(), Int.MAX_VALUE.toLong()).toInt()
    }
}
