"""Every family, both runtimes: the artifact is the eager model, token by token and beam by beam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.runtime.generation import Sampling
from edgekit.runtime.generation.beam import Beams
from edgekit.runtime.generation.seq2seq import Seq2Seq
from edgekit_converters.generation.seq2seq.capture import (
    capture_buffers,
    capture_encode,
    capture_passed,
    prepared,
)
from edgekit_converters.generation.seq2seq.parity import teacher_forced
from edgekit_converters.generation.seq2seq.rules import rules_of
from edgekit_converters.quiet import quiet
from tests.converters.generation.decoders import largest
from tests.converters.generation.seq2seq.models import (
    END,
    FAMILIES,
    SOURCE,
    START,
    STRANGERS,
    TARGET,
    captured,
    lowered,
    opened,
    texts,
    tiny,
)

# Kernels of another make sum in another order.
CLOSE = 1e-4
# Several at once, one by one, and to the very last position.
PIECES = (4, 1, 3, 1, 1, 8)


def answer_by(model: Any, ids: Sequence[int], **settings: Any) -> list[int]:
    """transformers' own answer, the token that it begins with left out."""
    row = torch.tensor([list(ids)])
    made = model.generate(row, attention_mask=torch.ones_like(row), do_sample=False, **settings)
    found: list[int] = made[0, 1:].tolist()
    return found


def test_nothing_but_the_kinds_of_attention_is_known() -> None:
    with quiet():
        for name, biased in (("t5", {0, 1}), ("bart", set())):
            with prepared(tiny(name), name, SOURCE, TARGET) as looked:
                assert looked.plan.biased == biased
                assert looked.plan.shapes == looked.plan.cross
                assert looked.cache_bytes == 2 * (SOURCE + TARGET) * 2 * 4 * 4 * 16


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("take", [capture_buffers, capture_passed])
def test_a_captured_graph_is_the_model(name: str, take: Any) -> None:
    model = tiny(name)
    ids, answer = torch.tensor(texts(1, 11)), torch.tensor(texts(1, sum(PIECES), seed=1))
    with torch.no_grad():
        every = model(input_ids=ids, decoder_input_ids=answer).logits[0]
        with quiet(), prepared(model, name, 16, sum(PIECES)) as looked:
            cross = capture_encode(looked, states=False).module()(ids)
            graph = take(looked).module()
        own = [torch.zeros(1, 4, 0, 16)] * 4 if take is capture_passed else []
        rows, at = [], 0
        for count in PIECES:
            piece = answer[:, at : at + count]
            if take is capture_passed:
                logits, *own = graph(piece, *own, *cross)
                rows.append(logits[0, 0])
            else:
                rows.append(graph(piece, torch.tensor([at]), *cross)[0])
            at += count
        again = model(input_ids=ids, decoder_input_ids=answer).logits[0]
    ends = [sum(PIECES[: n + 1]) - 1 for n in range(len(PIECES))]
    assert largest(rows, [every[end] for end in ends]) <= CLOSE
    # The model is left as it was.
    assert torch.equal(every, again)
    assert model.config._attn_implementation == "eager"


# Each family on one runtime, T5 and BART on both: lowering is what takes long.
ARTIFACTS = [
    *((name, "onnx") for name in (*FAMILIES, *STRANGERS) if name != "marian"),
    *((name, "executorch") for name in ("t5", "bart", "marian")),
]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("name", "runtime"), ARTIFACTS)
def test_an_artifact_is_the_model(name: str, runtime: str, tmp_path: Path) -> None:
    model = tiny(name)
    methods = captured(model, runtime)
    steps = opened(lowered(methods, runtime), methods, tmp_path)
    pairs = [
        (text, [START, *answer])
        for length in (1, 12, SOURCE)
        for text, answer in zip(texts(1, length), texts(1, TARGET - 1, seed=length), strict=True)
    ]
    found = teacher_forced(model, steps, pairs)
    assert found.max_difference <= CLOSE
    assert found.tokens == 3 * TARGET
    assert found.top1_agreement == 1.0
    answering = Seq2Seq(steps, rules_of(model))
    for text in texts(5, 12, seed=1):
        greedy = [token.id for token in answering.generate(text, Sampling(max_tokens=64))]
        assert greedy == answer_by(model, text, max_new_tokens=64, num_beams=1)
        best = answering.beams(text, Beams(count=4, max_tokens=64))[0]
        wanted = answer_by(model, text, max_new_tokens=64, num_beams=4)
        assert list(best.ids) == wanted[: len(best.ids)]
        assert set(wanted[len(best.ids) :]) <= {END}
    answering.close()
