"""One answer of a decoder in a process of its own; ``benchmarks.decoder`` starts it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle.manifest import Signature
from edgekit.runtime import Session


@dataclass(frozen=True)
class Answer:
    """From the prompt to the first token, the median from one token to the next, and the peak."""

    first_ms: float
    step_ms: float
    peak_kb: int

    @staticmethod
    def parse(text: str) -> Answer:
        """What ``main`` printed last."""
        return Answer(**json.loads(text.strip().splitlines()[-1]))


def answered(first_ms: float, steps: list[float], peak_kb: int) -> Answer:
    """An answer of single times."""
    return Answer(first_ms, sorted(steps)[len(steps) // 2], peak_kb)


def main() -> None:
    """Answer twice and print the second."""
    kind, folder, layers, threads, tokens, ids, clock = sys.argv[1:8]
    now = {"wall": time.perf_counter, "processor": time.process_time}[clock]
    prompt = [int(word) for word in ids.split(",")]
    opened = {"library": _library, "extension": _extension, "torch": _torch}[kind]
    feed = opened(Path(folder), int(layers), int(threads))
    for _ in range(2):
        times = []
        start = now()
        last = feed(prompt, 0)
        for at in range(int(tokens)):
            times.append(1000 * (now() - start))
            start = now()
            last = feed([last], len(prompt) + at)
    print(json.dumps(asdict(answered(times[0], times[1:], _peak_kb()))))


def _peak_kb() -> int:
    """Of this process alone; what getrusage says begins with the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)


def _library(folder: Path, layers: int, threads: int) -> Callable[[list[int], int], int]:
    from edgekit.runtime import executorch_native

    return _fed(executorch_native.open_session(*_program(folder), threads=threads))


def _extension(folder: Path, layers: int, threads: int) -> Callable[[list[int], int], int]:
    from edgekit.runtime.executorch import open_by_extension
    from edgekit.runtime.generation.executorch import load_operators

    load_operators()
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool

    _unsafe_reset_threadpool(threads)
    return _fed(open_by_extension(*_program(folder)))


def _program(folder: Path) -> tuple[Path, Signature]:
    text = (folder / "signature.json").read_bytes()
    return folder / "model.pte", Signature.model_validate_json(text)


def _fed(session: Session) -> Callable[[list[int], int], int]:
    def feed(ids: list[int], position: int) -> int:
        given = {"input_ids": np.array([ids]), "position": np.array([position])}
        return int(session.run(given)["logits"].argmax())

    return feed


def _torch(folder: Path, layers: int, threads: int) -> Callable[[list[int], int], int]:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, StaticCache

    from benchmarks.decoder_model import SHAPE

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = LlamaConfig(num_hidden_layers=layers, **SHAPE)
    model: Any = AutoModelForCausalLM.from_config(config).eval()
    context = _program(folder)[1].inputs[0].dims[1].maximum
    cache = StaticCache(config=config, max_cache_len=context)

    def feed(ids: list[int], position: int) -> int:
        places = torch.arange(position, position + len(ids))
        with torch.inference_mode():
            if position == 0:
                cache.reset()
            found = model(
                input_ids=torch.tensor([ids]),
                position_ids=places[None],
                cache_position=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return int(found.logits[0, -1].argmax())

    return feed


if __name__ == "__main__":
    main()
