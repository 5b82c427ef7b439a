"""Every family, both runtimes: the artifact is the eager model, token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.runtime.generation import Generator
from edgekit_converters.generation.capture import capture_buffers, capture_passed, prepared
from edgekit_converters.generation.parity import same_greedy, teacher_forced
from edgekit_converters.quiet import quiet
from tests.converters.generation.decoders import (
    CONTEXT,
    FAMILIES,
    STRANGERS,
    captured,
    largest,
    lowered,
    opened,
    texts,
    tiny,
)

# Kernels of another make sum in another order.
CLOSE = 1e-4
# Through the prompt, one by one, several at once, and to the very last position.
PIECES = (7, 1, 1, 4, 1, *([1] * 10), 8)


def run_buffers(model: Any, model_type: str, ids: torch.Tensor) -> list[torch.Tensor]:
    with quiet(), prepared(model, model_type, ids.shape[1]) as decoder:
        graph = capture_buffers(decoder).module()
    rows, at = [], 0
    for count in PIECES:
        rows.append(graph(ids[:, at : at + count], torch.tensor([at]))[0])
        at += count
    return rows


def run_passed(model: Any, model_type: str, ids: torch.Tensor) -> list[torch.Tensor]:
    with quiet(), prepared(model, model_type, ids.shape[1]) as decoder:
        graph = capture_passed(decoder).module()
        shapes = [decoder.plan.shapes[layer] for layer in sorted(decoder.plan.shapes)]
    past = [torch.zeros(1, s.kv_heads, 0, s.head_dim) for s in shapes for _ in range(2)]
    rows, at = [], 0
    for count in PIECES:
        mask, places = torch.ones(1, at + count).long(), torch.arange(at, at + count)[None]
        logits, *past = graph(ids[:, at : at + count], mask, places, *past)
        rows.append(logits[0, 0])
        at += count
    return rows


@pytest.mark.parametrize("model_type", ["llama", "gpt_neo", "gemma2", "gemma3_text"])
@pytest.mark.parametrize("run", [run_buffers, run_passed])
def test_a_captured_graph_is_the_model(model_type: str, run: Any) -> None:
    model = tiny(model_type)
    ids = torch.tensor(texts(1, sum(PIECES)))
    with torch.no_grad():
        every = model(ids).logits[0]
        found = run(model, model_type, ids)
        again = model(ids).logits[0]
    ends = [sum(PIECES[: n + 1]) - 1 for n in range(len(PIECES))]
    assert largest(found, [every[end] for end in ends]) <= CLOSE
    # The model is left as it was.
    assert torch.equal(every, again)
    assert model.config._attn_implementation == "eager"


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
@pytest.mark.parametrize("model_type", [*FAMILIES, *STRANGERS])
def test_an_artifact_is_the_model(model_type: str, runtime: str, tmp_path: Path) -> None:
    model = tiny(model_type)
    edge = captured(model, runtime)
    artifact = lowered(edge, runtime)
    steps = opened(artifact, edge, tmp_path)
    found = teacher_forced(model, steps, texts(2, CONTEXT))
    assert found.max_difference <= CLOSE
    assert found.tokens == 2 * (CONTEXT - 7)
    assert found.top1_agreement == 1.0
    generator = Generator(steps)
    for prompt in texts(5, 12, seed=1):
        assert same_greedy(model, generator, prompt, 64) == 64
    if artifact.delegation is not None:
        # One part before each attention, the rest of the last layer, and the head.
        most = {"gptj": 7, "gemma2": 8}.get(model_type, 4)
        assert artifact.delegation.calls <= most, artifact.delegation.left
    generator.close()
