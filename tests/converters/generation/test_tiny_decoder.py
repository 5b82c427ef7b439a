"""A decoder that was really trained: what four bits cost it, and that it still makes sense."""

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

from edgekit.runtime.generation import Generator, Sampling
from edgekit_converters.generation.parity import greedy, teacher_forced
from edgekit_converters.generation.quantized import calibrated, replayed
from tests.converters.generation.decoders import captured, lowered, opened

# The first test may train the model.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CONTEXT = 128
RUNTIMES = ("executorch", "onnx")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """``examples/tiny_decoder.py``, which is no package."""
    path = Path(__file__).parents[3] / "examples" / "tiny_decoder.py"
    spec = importlib.util.spec_from_file_location("tiny_decoder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_decoder"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(example: ModuleType) -> Path:
    """The trained model; minutes when the cache is empty."""
    found: Path = example.folder()
    return found


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    found: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    return found.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def encoded(example: ModuleType, tokenizer: Tokenizer, seed: int, held: bool) -> list[list[int]]:
    texts = islice(example.dialogues(seed, held), 48)
    rows = [tokenizer.encode(text).ids[:CONTEXT] for text in texts]
    return [row for row in rows if len(row) > 16][:24]


@pytest.fixture(scope="module")
def plans(example: ModuleType, model: Any, tokenizer: Tokenizer) -> dict[str, Any]:
    """The fp32 and the 4-bit graph of each runtime, on one plan."""
    plain = {name: captured(model, name, CONTEXT) for name in RUNTIMES}
    seen = encoded(example, tokenizer, 1, held=False)
    four, decisions = calibrated(plain["executorch"], "int4-int8", seen)
    small = {"executorch": four, "onnx": replayed(plain["onnx"], decisions)}
    return {"fp32": (plain, {}), "int4-int8": (small, decisions.grids)}


@pytest.fixture(scope="module", params=RUNTIMES)
def decoders(
    request: pytest.FixtureRequest, plans: dict[str, Any], tmp_path_factory: Any
) -> Iterator[dict[str, Any]]:
    """Artifact and open decoder of one runtime by scheme."""
    made = {}
    for scheme, (edges, grids) in plans.items():
        artifact = lowered(edges[request.param], request.param, grids)
        steps = opened(artifact, edges[request.param], tmp_path_factory.mktemp(scheme))
        made[scheme] = (artifact, steps)
    yield made
    for _, steps in made.values():
        steps.close()


def asked(example: ModuleType, tokenizer: Tokenizer, question: str) -> list[int]:
    text = f"{example.BOS}{example.USER}{question}{example.END}{example.ASSISTANT}"
    ids: list[int] = tokenizer.encode(text).ids
    return ids


def test_the_chat_template_is_what_it_was_trained_on(
    example: ModuleType, folder: Path, tokenizer: Tokenizer
) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        [{"role": "user", "content": "what is 7 + 5?"}],
        add_generation_prompt=True,
        return_dict=True,
    )
    assert theirs["input_ids"] == asked(example, tokenizer, "what is 7 + 5?")


def test_fp32_answers_as_the_model_does(
    example: ModuleType, model: Any, tokenizer: Tokenizer, decoders: dict[str, Any]
) -> None:
    _, steps = decoders["fp32"]
    held = encoded(example, tokenizer, 2, held=True)
    assert teacher_forced(model, steps, held).max_difference <= 1e-4
    generator = Generator(steps, tokenizer, [tokenizer.token_to_id(example.END)])
    for question in example.QUESTIONS:
        prompt = asked(example, tokenizer, question)
        made = [token.id for token in generator.generate(prompt, Sampling(max_tokens=40))]
        assert made == greedy(model, prompt, len(made))
        assert generator.statistics is not None
        assert generator.statistics.ended_by == "eos"


def test_four_bits_keep_the_sense(
    example: ModuleType, model: Any, tokenizer: Tokenizer, decoders: dict[str, Any]
) -> None:
    (large, _), (small, steps) = decoders["fp32"], decoders["int4-int8"]
    # The rest is what every file carries: names, shapes, sines and cosines.
    assert len(small.data) < 0.27 * len(large.data)
    held = encoded(example, tokenizer, 2, held=True)
    found = teacher_forced(model, steps, held)
    assert found.mean_divergence < 0.05
    assert found.top1_agreement > 0.9
    assert found.perplexity_ratio < 1.1
    generator = Generator(steps, tokenizer, [tokenizer.token_to_id(example.END)])
    right = {
        "write 3 March 2021 as numbers.": "2021-03-03",
        "what is 7 + 5?": "7 + 5 = 12.",
        "hello, my name is Anna.": "Hello Anna, how can I help you?",
        "how do you say water in German?": "In German, water is Wasser.",
    }
    for question, wanted in right.items():
        prompt = asked(example, tokenizer, question)
        tokens = generator.generate(prompt, Sampling(max_tokens=40))
        assert "".join(token.text for token in tokens) == wanted
