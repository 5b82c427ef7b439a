"""Writes what Python's tokenizers library makes of many texts, for the Kotlin tests to read."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from tests.android import made_tokenizers, texts

TEXTS = 5_200
SEED = 20
PAIRS = 300
STREAMS = 200


def write(folder: Path) -> None:
    """One folder a tokenizer, and the texts, which they share."""
    every = texts.texts(TEXTS, SEED)
    folder.mkdir(parents=True)
    (folder / "texts.json").write_text(json.dumps(every), encoding="utf-8")
    for maker in made_tokenizers.MAKERS:
        tokenizer = maker()
        if tokenizer is not None:
            _write_one(folder / maker.__name__, tokenizer, every)


def write_prose(folder: Path) -> None:
    """The language reference: half a megabyte of English that every CPython brings along."""
    prose = [paragraph for page in topics.values() for paragraph in page.split("\n\n")]
    (folder / "prose.json").write_text(json.dumps(prose), encoding="utf-8")


def _write_one(folder: Path, tokenizer: Tokenizer, every: list[str]) -> None:
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rng = random.Random(SEED)
    packed = [_packed(tokenizer.encode(text)) for text in every]
    (folder / "encoded.bin").write_bytes(b"".join(packed))
    decoded = [_decoded(tokenizer, text) for text in every]
    (folder / "decoded.json").write_text(json.dumps(decoded), encoding="utf-8")
    pairs = [_pair(tokenizer, rng, every) for _ in range(PAIRS)]
    (folder / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    streams = [_stream(tokenizer, rng, every) for _ in range(STREAMS)]
    (folder / "streams.json").write_text(json.dumps(streams), encoding="utf-8")


def _packed(encoding: Any) -> bytes:
    """Count, ids, types, starts, ends, words (-1: none); 32-bit, most significant byte first."""
    starts = [start for start, _ in encoding.offsets]
    ends = [end for _, end in encoding.offsets]
    words = [-1 if word is None else word for word in encoding.word_ids]
    numbers = [len(encoding.ids), *encoding.ids, *encoding.type_ids, *starts, *ends, *words]
    return struct.pack(f">{len(numbers)}i", *numbers)


def _decoded(tokenizer: Tokenizer, text: str) -> list[str]:
    ids = tokenizer.encode(text).ids
    return [tokenizer.decode(ids, skip_special_tokens=skip) for skip in (True, False)]


def _pair(tokenizer: Tokenizer, rng: random.Random, every: list[str]) -> dict[str, Any]:
    """Two texts, or one, cut to a length."""
    first = rng.randrange(len(every))
    second = rng.choice([None, rng.randrange(len(every))])
    most = rng.choice([None, rng.randint(5, 40)])
    strategy = rng.choice(["longest_first", "only_first", "only_second"])
    direction = rng.choice(["left", "right"])
    special = rng.random() < 0.8
    if second is None and strategy == "only_second":
        strategy = "only_first"
    if most is not None:
        tokenizer.enable_truncation(most, strategy=strategy, direction=direction)
    try:
        other = None if second is None else every[second]
        made: Any = tokenizer.encode(every[first], other, add_special_tokens=special)
        starts, ends = ([offset[side] for offset in made.offsets] for side in (0, 1))
        numbers = [made.ids, made.type_ids, starts, ends]
    except Exception:
        numbers = None  # the text that may not be cut is too long alone
    tokenizer.no_truncation()
    asked = {"first": first, "second": second, "most": most, "strategy": strategy}
    return {**asked, "direction": direction, "special": special, "made": numbers}


def _stream(tokenizer: Tokenizer, rng: random.Random, every: list[str]) -> dict[str, Any]:
    """Tokens one by one: of a text, or drawn at random, so that characters break."""
    ids = tokenizer.encode(rng.choice(every)[:200]).ids
    if rng.random() < 0.5:
        ids = [rng.randrange(tokenizer.get_vocab_size()) for _ in range(rng.randint(1, 30))]
    stream = DecodeStream(skip_special_tokens=True)
    said = [stream.step(tokenizer, token) or "" for token in ids]
    return {"ids": ids, "said": said, "whole": tokenizer.decode(ids)}
