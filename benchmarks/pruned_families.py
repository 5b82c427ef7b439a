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
    print("| family | without | parameters | .pte KB | .onnx KB | furthest from PyTorch |")
    print("|---|---|---|---|---|---|")
    refused = []
    for name in asked.only or (*ENCODERS, *WRITERS):
        with tempfile.TemporaryDirectory() as home:
            model, texts = _model(name, Path(home))
            _row(name, "", model, Path(home), texts)
            for unit in UNITS:
                try:
                    small = _pruned(model, unit, Path(home) / unit, texts)
                except EdgekitError as error:
                    refused.append(f"- {name}, {unit} ({error.exit_status}): {error.message}")
                    continue
                _row(name, unit, small, Path(home), texts)
    print("\nRefused:\n" if refused else "", *refused, sep="\n")
    versions = (f"{one.__name__} {one.__version__}" for one in (transformers,))
    print(f"\n{', '.join(versions)}; KB are thousands of bytes")


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


def _row(name: str, unit: str, model: Path, home: Path, texts: Path) -> None:
    """Load it, export it, print a line."""
    with quiet():
        config = transformers.AutoConfig.from_pretrained(model)
        kind = getattr(transformers, config.architectures[0])
        loaded, found = kind.from_pretrained(model, output_loading_info=True)
    lost = [key for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if found[key]]
    assert not lost, (name, unit, lost, found)
    options: dict[str, Any] = {"task": "feature-extraction"}
    if name in WRITERS:
        options = {"max_context": CONTEXT}
    bundle = edgekit.export(
        model,
        out=home / f"{unit or 'whole'}-bundle",
        quantize="none",
        runtimes=RUNTIMES,
        samples=texts,
        **options,
    )
    manifest = bundle.manifest
    sizes = {made.runtime: f"{made.bytes / 1e3:,.0f}" for made in manifest.artifacts}
    far = max(_far(hop) for hop in manifest.quality if hop.hop in RUNTIMES)
    cells = (name, unit, f"{loaded.num_parameters():,}", *(sizes[one] for one in RUNTIMES))
    print(f"| {' | '.join(cells)} | {far:.0e} |", flush=True)


def _far(hop: HopQuality) -> float:
    """The largest difference of a logit, or what the worst cosine lacks of 1."""
    return hop.tokens.max_difference if hop.tokens else max(0.0, 1 - hop.worst_cosine)


if __name__ == "__main__":
    main()
