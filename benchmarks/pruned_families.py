"""Every kind of unit removed from every architecture: loaded by transformers, and exported.

    .venv/bin/python -m benchmarks.pruned_families [--only NAME]

Half of the units of each kind goes, without training, from two-layer models of width 64: encoders
with random weights, and decoders trained as for ``benchmarks.text_families``. transformers must
find every weight where its config says that it is; the artifacts are fp32, and the last column is
how far they are from the pruned model in PyTorch. What cannot be cut is refused, with the reason.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import transformers

import edgekit
from benchmarks import text_models
from benchmarks.text_models import CONTEXT
from edgekit.bundle.manifest import HopQuality
from edgekit.errors import EdgekitError
from edgekit_converters import families
from edgekit_converters.quiet import quiet
from tests.support.families import FAMILIES, write_family

ENCODERS = ("BERT", "DistilBERT", "RoBERTa", "ELECTRA")
WRITERS = ("GPT-2", "Llama 2", "Qwen 3", "Granite", "T5")
UNITS = ("ffn", "head", "hidden", "layer", "vocab")
# Corpora here are small: half of the tokens must not fall below what they use.
AMOUNTS = {"vocab": 0.25}
RUNTIMES = ("executorch", "onnx")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="a family; all unless given")
    asked = parser.parse_args()
    print(f"| family | whole | {' | '.join(UNITS)} | furthest from PyTorch |")
    print("|---" * (len(UNITS) + 3) + "|")
    refused = []
    for name in asked.only or (*ENCODERS, *WRITERS):
        with tempfile.TemporaryDirectory() as home:
            model, texts = _model(name, Path(home))
            sizes, far = _exported(name, model, Path(home) / "whole", texts)
            cells = [sizes]
            for unit in UNITS:
                try:
                    small = _pruned(model, unit, Path(home) / unit, texts)
                except EdgekitError as error:
                    refused.append(f"- {name}, {unit} ({error.exit_status}): {error.message}")
                    cells.append("refused")
                    continue
                sizes, most = _exported(name, small, Path(home) / f"{unit}-bundle", texts)
                cells.append(sizes)
                far = max(far, most)
        print(f"| {name} | {' | '.join(cells)} | {far:.0e} |", flush=True)
    print("\n.pte / .onnx, thousands of bytes. Refused:\n", *refused, sep="\n")
    print(f"\ntransformers {transformers.__version__}")


def _model(name: str, home: Path) -> tuple[Path, Path]:
    texts = home / "texts.txt"
    if name in ENCODERS:
        samples = Path(families.__file__).parents[1] / "data" / "samples.txt"
        texts.write_text(samples.read_text("utf-8"), encoding="utf-8")
        return write_family(home / "model", FAMILIES[name]), texts
    family = text_models.FAMILIES[name]
    text_models.samples(texts, answers=family.answers)
    return text_models.write(home / "model", family), texts


def _pruned(model: Path, unit: str, out: Path, texts: Path) -> Path:
    method = {"layer": "block-influence", "vocab": "frequency"}.get(unit, "magnitude")
    made = edgekit.prune(
        model,
        out=out,
        granularity=unit,
        method=method,
        amount=AMOUNTS.get(unit, 0.5),
        data=texts,
        control=False,
    )
    return made.path


def _exported(name: str, model: Path, out: Path, texts: Path) -> tuple[str, float]:
    """Load it with transformers, export it: both sizes, and the furthest of both artifacts."""
    with quiet():
        config = transformers.AutoConfig.from_pretrained(model)
        kind = getattr(transformers, config.architectures[0])
        _, found = kind.from_pretrained(model, output_loading_info=True)
    lost = {key: names for key, names in found.items() if key.endswith("_keys") and names}
    assert not lost, (name, out.name, lost)
    options: dict[str, Any] = {"task": "feature-extraction"}
    if name in WRITERS:
        options = {"max_context": CONTEXT}
    bundle = edgekit.export(
        model, out=out, quantize="none", runtimes=RUNTIMES, samples=texts, **options
    )
    sizes = {made.runtime: f"{made.bytes / 1e3:,.0f}" for made in bundle.manifest.artifacts}
    far = max(_far(hop) for hop in bundle.manifest.quality if hop.hop in RUNTIMES)
    return " / ".join(sizes[one] for one in RUNTIMES), far


def _far(hop: HopQuality) -> float:
    """The largest difference of a logit, or what the worst cosine lacks of 1."""
    return hop.tokens.max_difference if hop.tokens else max(0.0, 1 - hop.worst_cosine)


if __name__ == "__main__":
    main()
