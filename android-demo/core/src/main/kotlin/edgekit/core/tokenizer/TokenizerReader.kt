package edgekit.core.tokenizer

import edgekit.core.json.Fields
import edgekit.core.json.FormRefused
import edgekit.core.json.Json

/** Reads tokenizer.json into its parts; what is not supported is refused by name. */
internal class TokenizerReader(private val json: Json) {

    fun parts(): Parts = try {
        val root = Fields(json, "the file")
        val components = ComponentReader
        val model = ModelReader(root.fields("model")).model()
        val normalizer = components.optional(root, "normalizer") { components.normalizer(it) }
        val processors = ProcessorReader()
        val postProcessor = components.optional(root, "post_processor") { processors.postProcessor(it) }
        Parts(
            model,
            AddedTokens(added(root, model), normalizer),
            normalizer,
            components.optional(root, "pre_tokenizer") { components.preTokenizer(it) },
            postProcessor,
            components.optional(root, "decoder") { DecoderReader.decoder(it) },
            processors.trimsOffsets,
        )
    } catch (error: FormRefused) {
        throw MalformedTokenizer(error.message.orEmpty())
    }

    /** Ids are those of the vocabulary, else the next free ones: the file's own are not asked. */
    private fun added(root: Fields, model: Model): List<AddedToken> {
        if (!root.has("added_tokens")) return emptyList()
        val found = LinkedHashMap<String, AddedToken>()
        var next = model.size
        for (item in root.list("added_tokens")) {
            val content = item.text("content")
            if (content.isEmpty()) continue
            val known = found[content]?.id ?: model.trie.find(content).takeIf { it != Trie.NONE }
            found[content] = AddedToken(
                known ?: next++,
                content,
                item.flag("single_word"),
                item.flag("lstrip"),
                item.flag("rstrip"),
                item.flag("normalized"),
                item.flag("special"),
            )
        }
        return found.values.toList()
    }
}

/** Normalizers and pre-tokenizers. */
internal object ComponentReader {

    inline fun <T> optional(root: Fields, name: String, read: (Fields) -> T): T? =
        if (root.has(name)) read(root.fields(name)) else null

    fun normalizer(fields: Fields): Normalizer = when (val type = fields.text("type")) {
        "Sequence" -> NormalizerSequence(fields.list("normalizers").map { normalizer(it) })
        "BertNormalizer" -> {
            val lowercase = fields.flag("lowercase")
            BertNormalizer(
                fields.flag("clean_text"),
                fields.flag("handle_chinese_chars"),
                fields.flag("strip_accents", lowercase),
                lowercase,
            )
        }
        "NFC" -> UnicodeForm(composes = true, compatibility = false)
        "NFD" -> UnicodeForm.NFD
        "NFKC" -> UnicodeForm(composes = true, compatibility = true)
        "NFKD" -> UnicodeForm(composes = false, compatibility = true)
        "Lowercase" -> Lowercase
        "StripAccents" -> StripAccents
        "Strip" -> Strip(fields.flag("strip_left"), fields.flag("strip_right"))
        "Replace" -> Replace(Patterns.read(fields), fields.text("content"))
        "Prepend" -> Prepend(fields.text("prepend"))
        "ByteLevel" -> ByteLevelNormalizer
        "Precompiled" -> Charsmap(Base64Text.decode(fields.text("precompiled_charsmap")))
        else -> throw UnsupportedTokenizer("the normalizer $type")
    }

    fun preTokenizer(fields: Fields): PreTokenizer = when (val type = fields.text("type")) {
        "Sequence" -> PreTokenizerSequence(fields.list("pretokenizers").map { preTokenizer(it) })
        "BertPreTokenizer" -> BertPreTokenizer
        "ByteLevel" -> ByteLevel(fields.flag("add_prefix_space"), fields.flag("use_regex", true))
        "Metaspace" -> metaspace(fields)
        "Whitespace" -> WhitespacePreTokenizer
        "WhitespaceSplit" -> CharacterSplit(Behavior.Removed, CharacterSplit::isSpace)
        "Punctuation" -> {
            val behavior = if (fields.has("behavior")) Patterns.behavior(fields) else Behavior.Isolated
            CharacterSplit(behavior, CharacterSplit::isPunctuation)
        }
        "Digits" -> {
            val alone = fields.flag("individual_digits")
            CharacterSplit(if (alone) Behavior.Isolated else Behavior.Contiguous, CharacterSplit::isNumeric)
        }
        "Split" -> PatternSplit(Patterns.read(fields), Patterns.behavior(fields), fields.flag("invert"))
        else -> throw UnsupportedTokenizer("the pre-tokenizer $type")
    }

    private fun metaspace(fields: Fields): PreTokenizer =
        Metaspace(Patterns.mark(fields), scheme(fields), fields.flag("split", true))

    fun scheme(fields: Fields): Metaspace.Scheme {
        val scheme = when (fields.optionalText("prepend_scheme") ?: "always") {
            "always" -> Metaspace.Scheme.Always
            "first" -> Metaspace.Scheme.First
            "never" -> Metaspace.Scheme.Never
            else -> fields.wrong("prepend_scheme", "always, first or never")
        }
        if (!fields.flag("add_prefix_space", true) && scheme != Metaspace.Scheme.Never) {
            fields.wrong("add_prefix_space", "what prepend_scheme says")
        }
        return scheme
    }
}

/** Template processing and its older forms. */
internal class ProcessorReader {
    var trimsOffsets: Boolean = false
        private set

    fun postProcessor(fields: Fields): PostProcessor = when (val type = fields.text("type")) {
        "Sequence" -> PostProcessorSequence(fields.list("processors").map { postProcessor(it) })
        "TemplateProcessing" -> template(fields)
        "BertProcessing" -> ClsSep(pairId(fields, "cls"), pairId(fields, "sep"), roberta = false)
        "RobertaProcessing" -> PostProcessorSequence(
            listOf(trim(fields), ClsSep(pairId(fields, "cls"), pairId(fields, "sep"), roberta = true)),
        )
        "ByteLevel" -> trim(fields)
        else -> throw UnsupportedTokenizer("the post-processor $type")
    }

    private fun trim(fields: Fields): PostProcessor {
        val trims = fields.flag("trim_offsets")
        trimsOffsets = trimsOffsets || trims
        return TrimOffsets(trims, fields.flag("add_prefix_space"))
    }

    private fun pairId(fields: Fields, name: String): Int {
        val items = fields.items(name)
        val id = items.getOrNull(1)?.let { Fields.whole(it) }
        if (items.size != 2 || id == null || id !in 0..Int.MAX_VALUE) fields.wrong(name, "a token with its id")
        return id.toInt()
    }

    private fun template(fields: Fields): PostProcessor {
        val known = fields.fields("special_tokens")
        val ids = known.names.associateWith { name ->
            known.fields(name).items("ids").map { item ->
                val id = Fields.whole(item)
                if (id == null || id !in 0..Int.MAX_VALUE) fields.wrong("special_tokens", "tokens with their ids")
                id.toInt()
            }.toIntArray()
        }
        val single = pieces(fields, "single", ids)
        if (single.any { it.sequence == 1 }) fields.wrong("single", "a template of one text")
        return TemplateProcessing(single, pieces(fields, "pair", ids))
    }

    private fun pieces(fields: Fields, name: String, ids: Map<String, IntArray>): List<TemplatePiece> =
        fields.list(name).map { item ->
            val kind = item.names.singleOrNull() ?: fields.wrong(name, "a template")
            val inner = item.fields(kind)
            val id = inner.text("id")
            val type = inner.count("type_id")
            when (kind) {
                "Sequence" -> when (id) {
                    "A" -> TemplatePiece(0, type, IntArray(0))
                    "B" -> TemplatePiece(1, type, IntArray(0))
                    else -> fields.wrong(name, "a template")
                }
                "SpecialToken" -> TemplatePiece(-1, type, ids[id] ?: fields.wrong(name, "made of its special tokens"))
                else -> fields.wrong(name, "a template")
            }
        }
}

internal object DecoderReader {
    fun decoder(fields: Fields): Decoder = when (val type = fields.text("type")) {
        "Sequence" -> DecoderSequence(fields.list("decoders").map { decoder(it) })
        "WordPiece" -> WordPieceDecoder(fields.text("prefix"), fields.flag("cleanup"))
        "ByteLevel" -> ByteLevelDecoder
        "Metaspace" ->
            MetaspaceDecoder(Patterns.mark(fields), ComponentReader.scheme(fields) != Metaspace.Scheme.Never)
        "BPEDecoder" -> BpeDecoder(fields.text("suffix"))
        "ByteFallback" -> ByteFallbackDecoder
        "Fuse" -> FuseDecoder
        "Strip" -> StripDecoder(Patterns.character(fields, "content"), fields.count("start"), fields.count("stop"))
        "Replace" -> ReplaceDecoder(Patterns.read(fields), fields.text("content"))
        else -> throw UnsupportedTokenizer("the decoder $type")
    }
}
