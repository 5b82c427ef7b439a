"""Tiny models, captured, rewritten and lowered once for all tests here. Only read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edgekit.runtime.encode import encode
from edgekit_converters.evaluate import samples
from edgekit_converters.evaluate.ladder import tensors
from edgekit_converters.export import Lowered, executorch
from edgekit_converters.export.capture import Captured, capture
from edgekit_converters.graph import apply_all, attention
from edgekit_converters.load import Loaded, load
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.decisions import Decisions
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.schemes import SCHEMES
from edgekit_converters.quantize.settings import settle
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve
from edgekit_converters.tasks import Wrapped, has_token_types, head_module, input_names
from tests.support.models import (
    MAX_POSITIONS,
    tiny_bert,
    tiny_distilbert,
    tiny_sentence_bert,
    write_model,
)

TASKS = {
    "bert": "feature-extraction",
    "classifier": "text-classification",
    "distilbert": "feature-extraction",
    "electra": "feature-extraction",
    "mask": "fill-mask",
    "roberta": "feature-extraction",
    "sentence": "sentence-similarity",
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are slower on several threads, far slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Case:
    """A tiny model with its captured graph and the eager model that it is held against."""

    loaded: Loaded
    captured: Captured
    eager: Wrapped

    def ids(self, length: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Random token ids, none of them special; token types where the graph takes them."""
        made = torch.Generator().manual_seed(seed)
        rows = self.loaded.tokenizer.get_vocab_size()
        ids = torch.randint(5, rows, (1, length), generator=made)
        more = [torch.zeros_like(ids) for _ in self.captured.signature.inputs[1:]]
        return (ids, *more)

    def rewritten(self) -> Captured:
        """The graph after the rewrites, without quantization."""
        graph = self.captured.module()
        apply_all(graph)
        return self.captured.again(graph)

    def quantized(self, scheme: str = "int8") -> tuple[Captured, Decisions]:
        """The graph with its weights on their grids, and what was decided."""
        edge = self.rewritten()
        graph, choice = edge.module(), SCHEMES[scheme].choice()
        found = calibrate(graph, lambda u: settle(u, choice), Calibrators(), calibration(self))
        return edge.again(graph), found


def model_folder(name: str, folder: Path) -> Path:
    """The Hugging Face folder of a case."""
    from transformers import ElectraConfig, RobertaConfig

    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.15,
        "max_position_embeddings": MAX_POSITIONS,
    }
    match name:
        case "bert":
            return tiny_bert(folder, head="AutoModel")
        case "classifier":
            return tiny_bert(folder)
        case "distilbert":
            return tiny_distilbert(folder, head="AutoModel")
        case "mask":
            return tiny_bert(folder, head="AutoModelForMaskedLM")
        case "sentence":
            return tiny_sentence_bert(folder)
        case "electra":
            return write_model(folder, ElectraConfig, sizes | {"embedding_size": 32})
        case "roberta":
            return write_model(folder, RobertaConfig, sizes)
    raise KeyError(name)


def prepare(
    folder: Path, task: str, *, static: bool = False, max_length: int | None = None
) -> Case:
    """Load and capture, as the pipeline does."""
    head = head_module(task)
    loaded = load(resolve(folder), head.AUTO_CLASS, max_length=max_length, may_miss=head.MAY_MISS)
    plain = input_names(task, loaded.model, loaded.tokenizer)
    names = (*plain, "attention_mask") if static else plain
    types, pooled = has_token_types(loaded.config), head.head(folder)
    attention.register()
    model: Any = loaded.model
    with quiet():
        model.set_attn_implementation(attention.NAME)
        wrapped = Wrapped(model, pooled, names, types)
        captured = capture(wrapped, names, head.OUTPUT, loaded.max_length, static)
        model.set_attn_implementation("eager")
    return Case(loaded, captured, Wrapped(model, pooled, plain, types))


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """A case by name; made when first asked for."""
    home = tmp_path_factory.mktemp("cases")

    @cache
    def made(name: str) -> Case:
        return prepare(model_folder(name, home / name), TASKS[name])

    return made


@pytest.fixture(scope="session")
def static_case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Classification at a fixed length of 24, with a padding mask."""
    folder = tiny_bert(tmp_path_factory.mktemp("static") / "model")
    return prepare(folder, "text-classification", static=True, max_length=24)


@pytest.fixture(scope="session")
def int8_edge(case: Callable[[str], Case]) -> tuple[Captured, Decisions]:
    """The fill-mask model's graph in int8: head and table share one weight."""
    return case("mask").quantized()


@pytest.fixture(scope="session")
def int8_pte(int8_edge: tuple[Captured, Decisions]) -> Lowered:
    """The fill-mask model as an int8 ``.pte``."""
    edge, decisions = int8_edge
    with quiet():
        return executorch.lower(edge, decisions.grids, "xnnpack")


def calibration(of: Case, count: int = 16) -> list[tuple[Tensor, ...]]:
    """Real texts as inputs of a case."""
    every = samples.calibration()
    texts = every[:: len(every) // count]
    limit, signature = of.loaded.max_length, of.captured.signature
    return [
        tensors(encode(of.loaded.tokenizer, signature, text, limit, truncate=True))
        for text in texts
    ]


def largest_difference(one: Any, other: Any, inputs: tuple[Tensor, ...]) -> float:
    """Largest absolute difference between two modules' outputs."""
    with torch.no_grad():
        return float((one(*inputs) - other(*inputs)).abs().max())
