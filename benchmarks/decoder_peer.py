"""One answer of a decoder in a process of its own; ``benchmarks.decoder`` starts it."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


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
    kind, folder, layers, threads, tokens, ids = sys.argv[1:7]
    prompt = [int(word) for word in ids.split(",")]
    opened = {"executorch": _executorch, "torch": _torch}[kind]
    feed = opened(Path(folder), int(layers), int(threads))
    for _ in range(2):
        times = []
        start = time.perf_counter()
        last = feed(prompt, 0)
        for at in range(int(tokens)):
            times.append(1000 * (time.perf_counter() - start))
            start = time.perf_counter()
            last = feed([last], len(prompt) + at)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(asdict(answered(times[0], times[1:], peak))))


def _executorch(folder: Path, layers: int, threads: int) -> Callable[[list[int], int], int]:
    from edgekit.bundle.manifest import Signature
    from edgekit.runtime.generation.executorch import open_steps

    signature = Signature.model_validate_json((folder / "signature.json").read_bytes())
    steps = open_steps(folder / "model.pte", signature)
    return lambda ids, position: int(steps.feed(ids, position).argmax())


def _torch(folder: Path, layers: int, threads: int) -> Callable[[list[int], int], int]:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, StaticCache

    from benchmarks.decoder import CONTEXT, SHAPE

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = LlamaConfig(num_hidden_layers=layers, **SHAPE)
    model: Any = AutoModelForCausalLM.from_config(config).eval()
    cache = StaticCache(config=config, max_cache_len=CONTEXT)

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
