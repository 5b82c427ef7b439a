"""The trained encoder-decoder: its artifacts answer as it does, in four bits as in thirty-two."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tokenizers import Tokenizer

from edgekit.runtime.generation import Sampling
from edgekit.runtime.generation.beam import Beams
from edgekit.runtime.generation.seq2seq import Seq2Seq, TextSteps
from edgekit_converters.generation.seq2seq.parity import Pair, teacher_forced
from edgekit_converters.generation.seq2seq.quantized import calibrated, replayed
from edgekit_converters.generation.seq2seq.rules import rules_of
from tests.converters.generation.seq2seq.models import captured, lowered, opened

# The first test may train the model.
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]

SOURCE, TARGET, SCHEME = 64, 48, "int4-int8"
RUNTIMES = ("executorch", "onnx")
RIGHT = (
    "Anna and Ben meet on Friday at 5 in the park.",
    "Leo did not buy the bread because the shop was closed.",
    "der alte Hund schläft im Garten.",
    "das kleine Kind trinkt Milch.",
    "kitchen.lamp = on",
    "bedroom.heating = 21",
)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """``examples/tiny_seq2seq.py``, which is no package."""
    path = Path(__file__).parents[4] / "examples" / "tiny_seq2seq.py"
    spec = importlib.util.spec_from_file_location("tiny_seq2seq", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_seq2seq"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(example: ModuleType) -> Path:
    """The trained model; minutes when the cache is empty."""
    found: Path = example.folder()
    return found


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    from transformers import AutoModelForSeq2SeqLM

    found: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager")
    return found.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def encoded(example: ModuleType, tokenizer: Tokenizer, seed: int, held: bool) -> list[Pair]:
    """Texts with the answers that are right, behind the token that answers begin with."""
    start = tokenizer.token_to_id(example.PAD)
    return [
        (tokenizer.encode(text).ids, [start, *tokenizer.encode(answer).ids])
        for text, answer in islice(example.pairs(seed, held), 24)
    ]


@pytest.fixture(scope="module")
def decoders(
    example: ModuleType, model: Any, tokenizer: Tokenizer, tmp_path_factory: Any
) -> Iterator[dict[str, tuple[int, TextSteps]]]:
    """Size and open model of each runtime, in four bits on one plan."""
    plain = {name: captured(model, name, SOURCE, TARGET) for name in RUNTIMES}
    first, decisions = calibrated(plain["onnx"], SCHEME, encoded(example, tokenizer, 1, held=False))
    grids = {name: part.grids for name, part in decisions.items()}
    forms = {"onnx": first, "executorch": replayed(plain["executorch"], decisions)}
    made = {}
    for name, methods in forms.items():
        files = lowered(methods, name, grids)
        size = sum(len(one.data) for one in files)
        made[name] = (size, opened(files, methods, tmp_path_factory.mktemp(name)))
    yield made
    for _, steps in made.values():
        steps.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_four_bits_keep_the_sense(
    runtime: str,
    example: ModuleType,
    model: Any,
    tokenizer: Tokenizer,
    decoders: dict[str, tuple[int, TextSteps]],
) -> None:
    size, steps = decoders[runtime]
    weights = sum(parameter.nbytes for parameter in model.parameters())
    assert size < 0.3 * weights
    held = encoded(example, tokenizer, 2, held=True)
    found = teacher_forced(model, steps, held)
    assert found.mean_divergence < 0.05
    assert found.top1_agreement > 0.95
    assert found.perplexity_ratio < 1.1
    answering = Seq2Seq(steps, rules_of(model), tokenizer)
    for text, right in zip(example.QUESTIONS, RIGHT, strict=True):
        ids = tokenizer.encode(text).ids
        tokens = answering.generate(ids, Sampling(max_tokens=40))
        assert "".join(token.text for token in tokens) == right
        assert answering.text(answering.beams(ids, Beams(4, 40))[0].ids) == right
