"""The runner as a decoder: the same tokens as the model itself, on both runtimes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.device import readings, stream
from edgekit.device.job import Job, Runtime
from edgekit.device.places.emulated import open_emulated
from edgekit.device.places.host import LocalPlace, open_host
from edgekit.device.protocol import Event
from edgekit.device.readings import Passage
from edgekit.errors import InputRefused
from edgekit_converters.generation.parity import reference_logits
from tests.converters.generation.decoders import (
    CONTEXT,
    VOCABULARY,
    captured,
    lowered,
    texts,
    tiny,
)
from tests.device.conftest import Tiny

RUNTIMES = ["executorch", "onnx"]
Built = Callable[[str, str], tuple[Any, Path]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A family's model and its artifact for a runtime."""
    folder = tmp_path_factory.mktemp("decoders")

    @cache
    def model(family: str) -> Any:
        return tiny(family)

    @cache
    def made(family: str, runtime: str) -> tuple[Any, Path]:
        artifact = lowered(captured(model(family), runtime), runtime)
        path = folder / f"{family}-{artifact.file}"
        path.write_bytes(artifact.data)
        return model(family), path

    return made


def greedy(model: Any, prompt: list[int], count: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def generate(
    folder: Path, model: Path, runtime: str, prompts: list[Any], **fields: Any
) -> tuple[list[Event], list[list[int]]]:
    """Events of a job, and the answers that it wrote."""
    events: list[Event] = []
    stream.write(folder / "in", [[np.array([ids])] for ids in prompts])
    given: Any = {"context": CONTEXT, "tokens": 12, "threads": 1, **fields}
    with open_host([runtime]) as place:
        place.put({"m": model, "in": folder / "in"})
        job = Job(
            mode="generate",
            runtime=runtime,  # type: ignore[arg-type]
            model="m",
            inputs="in",
            outputs="out",
            **given,
        )
        place.run(job, timeout=120, on_event=events.append)
        place.fetch("out", folder / "out")
    return events, [ids.tolist()[0] for [ids] in stream.read(folder / "out")]


def difference(place: LocalPlace, model: Any, path: Path, runtime: Runtime) -> float:
    """Largest difference to eager logits, texts cut after one token, in the middle and nowhere."""
    rows = texts(3, 40)
    passages = [Passage(tuple(ids), cut) for ids, cut in zip(rows, (1, 17, 40), strict=True)]
    with place:
        place.put({"m": path})
        found = readings.read(
            place, runtime, "m", passages, context=CONTEXT, vocabulary=VOCABULARY, timeout=300
        )
        return max(
            float(np.abs(got - reference_logits(model, one.ids)[one.prompt - 1 :]).max())
            for got, one in zip(found, passages, strict=True)
        )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_greedy_answers_are_the_models(
    host_runner: Path, host_onnx_runner: Path, built: Built, tmp_path: Path, runtime: str
) -> None:
    model, path = built("llama", runtime)
    prompts = [texts(1, length, seed=length)[0] for length in (30, 1, 5)]
    events, answers = generate(tmp_path, path, runtime, prompts, runs=2, warm_ups=1)
    assert answers == [greedy(model, prompt, 12) for prompt in prompts]
    told = [event for event in events if event["event"] == "answer"]
    assert [(one["index"], one["round"]) for one in told] == [
        (n, r) for r in (0, 1) for n in (0, 1, 2)
    ]
    for one in told:
        assert one["ids"] == answers[one["index"]]
        assert (one["tokens"], one["ended_by"]) == (12, "length")
        assert one["prompt_tokens"] == len(prompts[one["index"]])
        assert 0 < one["prefill_ms"] <= one["first_ms"]
        assert len(one["step_ms"]) == 11
        assert (
            min(one["step_ms"]) <= one["step_p50_ms"] <= one["step_p95_ms"] <= max(one["step_ms"])
        )
        # Times have four decimals of a millisecond, and a step of this model takes hundredths.
        assert one["decode_tokens_per_s"] == pytest.approx(11e3 / sum(one["step_ms"]), rel=1e-2)
        rate = 1e3 * one["prompt_tokens"] / one["prefill_ms"]
        assert one["prefill_tokens_per_s"] == pytest.approx(rate, rel=1e-2)
    assert [event["event"] for event in events[-3:]] == ["memory", "environment", "done"]
    assert (events[-1]["samples"], events[-1]["rounds"]) == (6, 2)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_ends_an_answer(
    host_runner: Path, host_onnx_runner: Path, built: Built, tmp_path: Path, runtime: str
) -> None:
    model, path = built("llama", runtime)
    prompt = texts(1, CONTEXT - 4)[0]
    wanted = greedy(model, prompt, 4)
    events, [answer] = generate(tmp_path, path, runtime, [prompt])
    assert answer == wanted
    assert next(e for e in events if e["event"] == "answer")["ended_by"] == "context"
    events, [answer] = generate(tmp_path, path, runtime, [prompt], eos=(wanted[2], 7))
    assert answer == wanted[: wanted.index(wanted[2]) + 1]
    assert next(e for e in events if e["event"] == "answer")["ended_by"] == "eos"
    events, [answer] = generate(tmp_path, path, runtime, [prompt], tokens=1)
    assert answer == wanted[:1]
    one = next(e for e in events if e["event"] == "answer")
    assert one["step_ms"] == []
    assert one["step_p50_ms"] is one["step_p95_ms"] is one["decode_tokens_per_s"] is None


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_logits_here(
    host_runner: Path, host_onnx_runner: Path, built: Built, runtime: Runtime
) -> None:
    model, path = built("llama", runtime)
    assert difference(open_host([runtime]), model, path, runtime) <= 1e-4


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("family", ["gemma3_text", "gemma2", "gpt2"])
def test_logits_of_windows_and_caps(
    host_runner: Path, host_onnx_runner: Path, built: Built, family: str, runtime: Runtime
) -> None:
    model, path = built(family, runtime)
    assert difference(open_host([runtime]), model, path, runtime) <= 1e-4


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.arm64
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_logits_on_arm64(
    arm64_runner: Path, arm64_onnx_runner: Path, built: Built, runtime: Runtime
) -> None:
    model, path = built("llama", runtime)
    assert difference(open_emulated(runtimes=[runtime]), model, path, runtime) <= 1e-4


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("prompt", "fields", "reason"),
    [
        ([5, VOCABULARY], {}, f"token id {VOCABULARY}, the model knows 0 to {VOCABULARY - 1}"),
        ([-1], {}, "token id -1"),
        ([], {}, "0 numbers, not 1 to"),
        ([5] * CONTEXT, {}, f"{CONTEXT} numbers, not 1 to {CONTEXT - 1}"),
        ([[5], [6]], {}, r"must be int64 \[n\] or \[1, n\]"),
    ],
)
def test_prompts_that_no_model_reads(
    host_runner: Path,
    host_onnx_runner: Path,
    built: Built,
    tmp_path: Path,
    runtime: str,
    prompt: list[Any],
    fields: dict[str, Any],
    reason: str,
) -> None:
    _, path = built("llama", runtime)
    given = np.array(prompt, np.int64)
    with pytest.raises(InputRefused, match=reason):
        generate(tmp_path, path, runtime, [given], **fields)


def test_a_context_that_the_program_does_not_have(
    host_runner: Path, built: Built, tmp_path: Path
) -> None:
    _, path = built("llama", "executorch")
    with pytest.raises(InputRefused, match=f"a context of {CONTEXT + 1}, the model has {CONTEXT}"):
        generate(tmp_path, path, "executorch", [[5]], context=CONTEXT + 1)


def test_models_that_are_no_decoders(
    host_runner: Path,
    host_onnx_runner: Path,
    tiny: dict[str, Tiny],
    tiny_onnx: Tiny,
    tmp_path: Path,
) -> None:
    for runtime, model in (("executorch", tiny["fp32"]), ("onnx", tiny_onnx)):
        with pytest.raises(InputRefused, match="no decoder"):
            generate(tmp_path, model.path, runtime, [[5, 6]])


def test_a_first_pass_of_more_than_there_is(
    host_runner: Path, built: Built, tmp_path: Path
) -> None:
    _, path = built("llama", "executorch")
    stream.write(tmp_path / "in", [[np.array([[5, 6]]), np.array([3])]])
    job = Job(mode="goldens", model="m", inputs="in", outputs="out", context=CONTEXT)
    with open_host() as place:
        place.put({"m": path, "in": tmp_path / "in"})
        with pytest.raises(InputRefused, match="the first pass takes 3 of 2 ids"):
            place.run(job, timeout=60)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_loading_ends_with_a_first_token(
    host_runner: Path, host_onnx_runner: Path, built: Built, tmp_path: Path, runtime: Runtime
) -> None:
    _, path = built("llama", runtime)
    stream.write(tmp_path / "in", [[np.array([[5, 6, 7]])]])
    events: list[Event] = []
    job = Job(mode="load", runtime=runtime, model="m", inputs="in", runs=2, context=CONTEXT)
    with open_host([runtime]) as place:
        place.put({"m": path, "in": tmp_path / "in"})
        place.run(job, timeout=60, on_event=events.append)
    told = [event for event in events if event["event"] == "loaded"]
    assert [(one["index"], one["cold"]) for one in told] == [
        (n, c) for n in (0, 1) for c in (True, False)
    ]
    assert all(one["first_ms"] > 0 for one in told)
