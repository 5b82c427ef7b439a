"""An encoder-decoder bundle with Python's own answers beside it, for the Kotlin tests to repeat."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import Bundle, export
from edgekit.errors import EdgekitError
from edgekit.runtime.generation.constraints import FORBIDDEN, Rules, constrained
from tests.converters.generation.seq2seq.models import tiny
from tests.support.decoders import VOCABULARY, save_tokenizer

TEXTS = (
    "Anna: Can we meet on Friday? Ben: Yes, at 5 in the park.",
    "the old dog sleeps in the garden.",
    "Das Wetter ist heute schön 😀",
    "a",
    "",
    " \u3000\n",
    "word " * 60,
)
_ANSWER = 160  # the most tokens of one, those that it begins with included
_MASKS = 150


def bundle(folder: Path) -> Path:
    """One with random weights whose makers set every kind of rule."""
    model = tiny("t5", vocab_size=VOCABULARY, pad_token_id=1, decoder_start_token_id=0)
    said = model.generation_config
    said.no_repeat_ngram_size, said.min_length, said.num_beams = 3, 6, 2
    said.bad_words_ids, said.suppress_tokens = [[7], [8, 9]], [10, 11]
    model.save_pretrained(folder / "model")
    save_tokenizer(folder / "model", None)
    samples = folder / "samples.txt"
    samples.write_text("\n".join(TEXTS[:3]), encoding="utf-8")
    return export(
        folder / "model",
        out=folder / "bundle",
        task="summarization",
        quantize="none",
        runtimes=["onnx"],
        max_length=48,
        max_context=_ANSWER,
        samples=samples,
    ).path


def write(folder: Path, bundle: Path) -> None:
    """The bundle, its answers by the likeliest token each time, and what rules forbid."""
    folder.mkdir(parents=True)
    shutil.copytree(bundle, folder / "bundle")
    with Bundle.open(bundle) as opened:
        answers = [_answered(opened, text, most) for text in TEXTS for most in (12, 1_000)]
    made = {"answers": answers, "masks": masks()}
    (folder / "expected.json").write_text(json.dumps(made), encoding="utf-8")


def _answered(bundle: Bundle, text: str, most: int) -> dict[str, Any]:
    asked = {"text": text, "most": most}
    try:
        reply = bundle.generate(text, runtime="onnx", temperature=0.0, beams=1, max_tokens=most)
    except EdgekitError as error:
        return {**asked, "error": error.code}
    answer = reply.whole()
    found = reply.statistics
    return {**asked, "answer": answer, "tokens": found.answer_tokens, "ended_by": found.ended_by}


def masks() -> list[dict[str, Any]]:
    """Rules drawn at random, what was said so far, and the ids that may not follow."""
    draw, cases = random.Random(3), []
    size = 9

    def some(most: int) -> tuple[int, ...]:
        return tuple(draw.randrange(size) for _ in range(draw.randrange(most)))

    for _ in range(_MASKS):
        said: dict[str, Any] = {
            "start": (draw.randrange(size), *some(2)),
            "first": draw.choice([None, draw.randrange(size)]),
            "last": draw.choice([None, draw.randrange(size)]),
            "suppressed": some(3),
            "suppressed_first": some(3),
            "banned": tuple((draw.randrange(size), *some(3)) for _ in range(draw.randrange(3))),
            "no_repeat": draw.randrange(4),
            "least": draw.randrange(6),
        }
        rules = Rules(eos=some(3), **said)
        ids, longest = (*rules.start, *some(7)), draw.randrange(3, 10)
        left = constrained(np.zeros(size, np.float32), ids, rules, longest)
        forbidden = np.flatnonzero(left == FORBIDDEN).tolist()
        case = {"rules": said, "eos": rules.eos, "ids": ids, "longest": longest}
        cases.append({**case, "size": size, "forbidden": forbidden})
    return cases
