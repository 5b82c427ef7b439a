"""Would an int8 cache pay? What it saves, what reading it costs, and what it does to the answers.

    .venv/bin/python -m benchmarks.decoder_cache [> table.md]

Time is of attention alone, one token behind a full cache, for a Llama of SmolLM2-135M's shape:
edgekit's own kernel on float32, and the same kernel on int8 that becomes float32 block by block
(`native/cache_kinds.cpp`). Each layer's weights are read in between, by the processor's clock of
one thread. What is lost is measured on the decoder that `examples/tiny_decoder.py` trains: eager,
its keys and values rounded to int8 with a scale for each token and head. Not a phone.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.decoder_model import FOLDER, SHAPE

NATIVE = Path(__file__).parent / "native" / "cache_kinds.cpp"
KERNELS = Path("edgekit/device/native")
CONTEXTS = (128, 512, 2048)
# Of 4-bit weights in groups of 32 with float16 scales.
_BYTES_PER_WEIGHT = 0.5625
_TEXTS, _TOKENS = 12, 200


def main() -> None:
    """Build, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args()
    program = _built()
    print("| context | fp32, MB | int8, MB | fp32, ms a token | int8, ms a token | int8 x fp32 |")
    print("|---|---|---|---|---|---|")
    for context in CONTEXTS:
        exact, small = _times(program, options.layers, context, options.turns)
        ratio = statistics.median(b / a for a, b in zip(exact, small, strict=True))
        sizes = [f"{_bytes(options.layers, context, kind) / 1e6:.1f}" for kind in (4, 1)]
        times = [f"{statistics.median(taken):.2f}" for taken in (exact, small)]
        print(f"| {context} | {' | '.join(sizes)} | {' | '.join(times)} | {ratio:.2f} |")
    print(
        f"\nConditions: {platform.machine()}, {options.layers} layers, 1 thread, "
        f"processor clock, medians of {options.turns} turns, load of the machine at the "
        f"end {os.getloadavg()[0]:.1f}."
    )
    lost = _lost()
    print(
        f"\nWhat int8 does to the trained tiny decoder, {lost.tokens} tokens of {_TEXTS} held-out "
        f"texts, against its own float32 cache: {lost.mean_divergence:.1e} nats a token (worst "
        f"{lost.worst_divergence:.1e}), the same first choice {lost.top1_agreement:.1%}."
    )


def _bytes(layers: int, context: int, each: int) -> int:
    """Of keys and values; int8 has a float32 scale for each token and head."""
    width = SHAPE["hidden_size"] // SHAPE["num_attention_heads"]
    scale = 0 if each == 4 else 4
    count = 2 * layers * context * SHAPE["num_key_value_heads"]
    return int(count * (width * each + scale))


def _built() -> Path:
    """The program, compiled as edgekit's own library is."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise SystemExit("no g++ here")
    FOLDER.mkdir(parents=True, exist_ok=True)
    program = FOLDER / "cache_kinds"
    words = [compiler, "-std=c++20", "-O2", "-ffp-contract=fast", "-Wall", "-Wno-psabi"]
    words += [f"-I{KERNELS}", str(NATIVE), "-o", str(program)]
    subprocess.run(words, check=True)
    return program


def _times(program: Path, layers: int, context: int, turns: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each turn, for float32 and for int8."""
    hidden, inner = SHAPE["hidden_size"], SHAPE["intermediate_size"]
    heads, kv_heads = SHAPE["num_attention_heads"], SHAPE["num_key_value_heads"]
    width = hidden // heads
    linear = hidden * (2 * hidden + 2 * kv_heads * width + 3 * inner)
    numbers = [layers, heads, kv_heads, width, context, int(linear * _BYTES_PER_WEIGHT), turns]
    done = subprocess.run(
        [str(program), *map(str, numbers)], capture_output=True, text=True, check=True
    )
    # The first turn meets memory that nobody has touched.
    rows = [line.split() for line in done.stdout.splitlines()][1:]
    return [float(row[0]) for row in rows], [float(row[1]) for row in rows]


def _lost() -> Any:
    import numpy as np
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    from edgekit.verify.tokens import compare
    from examples import tiny_decoder

    torch.set_num_threads(1)
    folder = tiny_decoder.folder()
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    exact, small, followed = [], [], []
    dialogues = tiny_decoder.dialogues(1, held_out=True)
    for _ in range(_TEXTS):
        # Several in a row, so that there is a long past to look at.
        ids: list[int] = []
        while len(ids) < _TOKENS:
            ids += tokenizer.encode(next(dialogues)).ids
        ids = ids[:_TOKENS]
        exact.append(_logits(model, ids, rounded=False))
        small.append(_logits(model, ids, rounded=True))
        followed += [*ids[1:], -1]
    return compare(np.concatenate(exact), np.concatenate(small), np.array(followed))


def _logits(model: Any, ids: list[int], *, rounded: bool) -> Any:
    """Logits after every token, keys and values read from the cache."""
    import torch
    from transformers import DynamicCache

    cache: Any = DynamicCache(config=model.config)
    if rounded:
        kept = cache.update
        cache.update = lambda key, value, *rest, **more: kept(
            _rounded(key), _rounded(value), *rest, **more
        )
    with torch.no_grad():
        found = model(input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True)
    return found.logits[0].double().numpy()


def _rounded(states: Any) -> Any:
    """int8 with a scale for each token and head, and back."""
    scale = states.abs().amax(-1, keepdim=True) / 127
    return (states / scale).round() * scale


if __name__ == "__main__":
    main()
