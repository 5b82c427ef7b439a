"""The decoder that is measured: a Llama of SmolLM2-135M's shape, random weights, as a ``.pte``.

    .venv/bin/python -m benchmarks.decoder_model [--layers 30] [--context 512] [--calibrators full]

Prints what each step of the export took. Random weights have no quality to keep, so integers are
rounded to nearest unless ``--calibrators full`` asks for what an export does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SHAPE: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
FOLDER = Path("build/benchmarks")
# Four bits in groups of 32, the table included: it is the head as well, and is stored once.
SCHEME = "int4"
FACTS = "facts.json"
ONNX_SIGNATURE = "onnx-signature.json"


@dataclass(frozen=True)
class Facts:
    """What the export told of a model.

    Attributes:
        layers: of the model.
        context: the most tokens in all.
        planned: bytes of memory that the program plans, the cache included.
        shared: bytes that the file holds once for two.
        cache: bytes of keys and values of a full context.
        seconds: wall seconds of each step.
        processor_seconds: the same, of the processor.
    """

    layers: int
    context: int
    planned: int
    shared: int
    cache: int
    seconds: dict[str, float]
    processor_seconds: dict[str, float]


def main() -> None:
    """Make it and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--calibrators", choices=["plain", "full"], default="plain")
    options = parser.parse_args()
    place = model(options.layers, options.context, options.calibrators, again=True)
    facts = read(place)
    print("| step | s | of the processor, s |")
    print("|---|---|---|")
    for step, seconds in facts.seconds.items():
        print(f"| {step} | {seconds:.1f} | {facts.processor_seconds[step]:.1f} |")
    whole = sum(facts.seconds.values()), sum(facts.processor_seconds.values())
    print(f"| all | {whole[0]:.1f} | {whole[1]:.1f} |")
    size = (place / "model.pte").stat().st_size / 1e6
    print(
        f"\nConditions: {options.layers} layers, context {options.context}, {SCHEME}, "
        f"{options.calibrators} calibrators, .pte of {size:.1f} MB, {os.cpu_count()} processors, "
        f"load of the machine at the end {os.getloadavg()[0]:.1f}; imports are not counted."
    )


def model(
    layers: int, context: int = 512, calibrators: str = "plain", *, again: bool = False
) -> Path:
    """The folder with ``model.pte``, ``signature.json`` and ``facts.json``, made if need be."""
    suffix = "" if calibrators == "plain" else f"-{calibrators}"
    folder = FOLDER / f"decoder-{layers}-{context}-{SCHEME}{suffix}"
    if again or not (folder / FACTS).exists():
        _make(folder, layers, context, calibrators)
    return folder


def read(folder: Path) -> Facts:
    """What the export told."""
    return Facts(**json.loads((folder / FACTS).read_bytes()))


def eager(layers: int) -> Any:
    """The model itself; the same number of layers gives the same weights."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(num_hidden_layers=layers, **SHAPE)
    return AutoModelForCausalLM.from_config(config).eval()


def hugging_face(layers: int) -> Path:
    """The model as other tools read it: a folder with a tokenizer of numbered words."""
    from tokenizers import Tokenizer, models

    folder = FOLDER / f"decoder-{layers}"
    if not (folder / "tokenizer_config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        eager(layers).save_pretrained(folder)
        words = {f"w{at}": at for at in range(SHAPE["vocab_size"])}
        Tokenizer(models.WordLevel(words, unk_token="w0")).save(str(folder / "tokenizer.json"))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "w2"}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def onnx(layers: int, context: int = 512) -> Path:
    """The folder of ``model`` with the ``.onnx`` and its signature beside, made if need be."""
    folder = model(layers, context)
    if not (folder / ONNX_SIGNATURE).exists():
        _make_onnx(folder, layers, context)
    return folder


def _make_onnx(folder: Path, layers: int, context: int) -> None:
    from edgekit_converters.generation import executorch
    from edgekit_converters.generation import onnx as onnx_form
    from edgekit_converters.generation.capture import capture_passed, prepared
    from edgekit_converters.quiet import quiet

    with quiet():
        with prepared(eager(layers), "llama", context) as decoder:
            form = capture_passed(decoder)
        edge, grids = _calibrated(executorch.rewritten(form), "plain")
        artifact = onnx_form.lower(edge, grids)
    (folder / "model.onnx").write_bytes(artifact.data)
    (folder / ONNX_SIGNATURE).write_text(edge.signature.model_dump_json())


class _Steps:
    """Seconds of each step, said as they come."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = time.perf_counter() - wall
        self.processor[name] = time.process_time() - processor
        sys.stderr.write(f"{name}: {self.wall[name]:.1f} s\n")


def _make(folder: Path, layers: int, context: int, calibrators: str) -> None:
    from edgekit_converters.generation import executorch
    from edgekit_converters.generation.capture import capture_buffers, prepared
    from edgekit_converters.quiet import quiet

    steps, found = _Steps(), eager(layers)
    with quiet():
        with steps.step("capture"), prepared(found, "llama", context) as decoder:
            form = capture_buffers(decoder)
        with steps.step("rewrite"):
            form = executorch.rewritten(form)
        with steps.step("calibrate"):
            edge, grids = _calibrated(form, calibrators)
        with steps.step("lower"):
            artifact = executorch.lower(edge, grids)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "signature.json").write_text(edge.signature.model_dump_json())
    (folder / "model.pte").write_bytes(artifact.data)
    facts = Facts(
        layers,
        context,
        artifact.planned_memory or 0,
        artifact.shared_bytes,
        decoder.cache_bytes,
        steps.wall,
        steps.processor,
    )
    (folder / FACTS).write_text(json.dumps(asdict(facts)))


def _calibrated(form: Any, calibrators: str) -> tuple[Any, Any]:
    from edgekit_converters.generation.quantized import inputs_of
    from edgekit_converters.quantize.calibrate import calibrate
    from edgekit_converters.quantize.methods import Calibrators
    from edgekit_converters.quantize.schemes import scheme
    from edgekit_converters.quantize.settings import settle

    plain = Calibrators(scaling="", rounding="nearest", split=False)
    chosen = plain if calibrators == "plain" else Calibrators()
    graph, choice = form.module(), scheme(SCHEME).choice()
    text = inputs_of(form, range(5, 60))
    decisions = calibrate(graph, lambda units: settle(units, choice), chosen, [text])
    return form.again(graph), decisions.grids


if __name__ == "__main__":
    main()
