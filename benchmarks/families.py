"""Model families: exported, run and measured, as the tables in docs/families.md.

    .venv/bin/python -m benchmarks.families [--only NAME] [--fresh] [> docs/families.md]

This file has the encoders, `benchmarks.text_families` what writes text. Each row is a small model
with random weights, made from transformers' own config class, with a real tokenizer of the
family's kind; all but the last, which has real weights. Every figure comes out of the bundle's
manifest or is what the refused export said. Results are kept under ``build/benchmarks/families``
until ``--fresh``.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import edgekit
from benchmarks import text_families
from benchmarks.kept import Kept
from edgekit.bundle.manifest import Manifest
from edgekit.errors import EdgekitError
from edgekit.tasks import names as task_names
from edgekit_converters import families
from tests.support.families import (
    FAMILIES,
    HEADS,
    INFERENCE_LABELS,
    STRANGERS,
    Family,
    write_family,
)

KEPT = Kept("families")
SCHEMES = ("int8", "none")
RUNTIMES = ("executorch", "onnx")
# One with two types of tokens and one with three; every head of each.
HEADED = ("BERT", "XLNet")
EXAMPLES = 16

Row = dict[str, Any]


def main() -> None:
    """Export what is not kept yet, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="a family; all unless given")
    parser.add_argument("--fresh", action="store_true", help="export again what is kept")
    asked = parser.parse_args()
    wanted = set(asked.only or (*FAMILIES, *STRANGERS, "MiniLM", *text_families.names()))
    known = [_row(name, family, asked.fresh, wanted) for name, family in FAMILIES.items()]
    known.append(_row("MiniLM", None, asked.fresh, wanted))
    strange = [_row(name, family, asked.fresh, wanted) for name, family in STRANGERS.items()]
    heads = {
        name: _heads(name, asked.fresh) if name in wanted else KEPT.read(f"{name} heads") or {}
        for name in HEADED
    }
    print(_page([row for row in known if row], [row for row in strange if row], heads))
    print("\n".join(text_families.section(wanted, fresh=asked.fresh)))


def _row(name: str, family: Family | None, fresh: bool, wanted: set[str]) -> Row | None:
    """Both schemes of a family for both runtimes; None where it is neither wanted nor kept."""
    found = None if fresh and name in wanted else KEPT.read(name)
    if found is not None or name not in wanted:
        return found
    row: Row = {"name": name, "tokenizer": family.tokenizer if family else "wordpiece"}
    with tempfile.TemporaryDirectory() as home:
        model = "minilm" if family is None else write_family(Path(home) / "model", family)
        task = "sentence-similarity" if family is None else "feature-extraction"
        for scheme in SCHEMES:
            row |= _export(model, Path(home) / scheme, task, scheme, RUNTIMES)
    KEPT.write(name, row)
    return row


def _heads(name: str, fresh: bool) -> Row:
    """Every task's head of a family, as fp32 ``.onnx``."""
    found = None if fresh else KEPT.read(f"{name} heads")
    if found is not None:
        return found
    row: Row = {}
    with tempfile.TemporaryDirectory() as home:
        for task in task_names():
            labels = {"labels": INFERENCE_LABELS} if task.startswith("zero") else {}
            model = write_family(Path(home) / task, FAMILIES[name], head=HEADS.get(task), **labels)
            out = Path(home) / f"{task}-out"
            row[task] = _export(model, out, task, "none", ("onnx",))["onnx none"]
    KEPT.write(f"{name} heads", row)
    return row


def _export(model: str | Path, out: Path, task: str, scheme: str, runtimes: tuple[str, ...]) -> Row:
    """Figures by runtime and scheme; one by one where the runtimes cannot all be made."""
    samples = out.parent / "samples.txt"
    texts = (Path(families.__file__).parents[1] / "data" / "samples.txt").read_text("utf-8")
    lines = texts.splitlines()
    samples.write_text("\n".join(lines[:: len(lines) // EXAMPLES]), encoding="utf-8")
    try:
        bundle = edgekit.export(
            model, out=out, task=task, quantize=scheme, runtimes=runtimes, samples=samples
        )
    except EdgekitError as error:
        if len(runtimes) == 1:
            said = {"refused": error.message, "status": error.exit_status}
            return {f"{runtimes[0]} {scheme}": said}
        found: Row = {}
        for one in runtimes:
            found |= _export(model, out, task, scheme, (one,))
            shutil.rmtree(out, ignore_errors=True)
        return found
    return {f"{one} {scheme}": _figures(bundle.manifest, one) for one in runtimes}


def _figures(manifest: Manifest, runtime: str) -> Row:
    artifact = next(made for made in manifest.artifacts if made.runtime == runtime)
    last = next(hop for hop in manifest.quality if hop.hop == runtime)
    taken = artifact.delegation
    return {
        "worst": last.worst_cosine,
        "agreement": last.agreement,
        "bytes": artifact.bytes,
        "share": taken.share if taken else None,
        "parts": taken.calls if taken else None,
        "least": manifest.limits.min_length,
        "family": manifest.family,
    }


def _page(known: list[Row], strange: list[Row], heads: dict[str, Row]) -> str:
    tools = ", ".join(
        f"{tool} {version(tool)}" for tool in ("torch", "transformers", "executorch", "onnxruntime")
    )
    strangers = ", ".join(row["name"] for row in strange)
    real = any(row["name"] == "MiniLM" for row in known)
    return "\n".join(
        [
            "# Model families",
            "",
            "Generated by `python -m benchmarks.families`.",
            "",
            "## Encoders",
            "",
            "Small models with random weights from",
            "transformers' config classes, each with a real tokenizer of the family's kind.",
            f"{EXAMPLES} texts, dynamic length, on {platform.system()} {platform.machine()} with",
            f"{tools}; not on a phone.",
            "",
            "Figures are the worst cosine of token vectors against the eager model, measured in",
            "the artifact. *Share* is what XNNPACK takes of the int8 `.pte`'s operators, in how",
            "many parts. *Least* is the fewest tokens that a graph takes. *File* is what an",
            "architecture needs in `converters/edgekit_converters/families/`; most need nothing.",
            *(["MiniLM has its real weights, and its sentence vectors are compared."] * real),
            "",
            *_table(known),
            "",
            "### Strangers",
            "",
            f"Architectures that edgekit was not made for: {strangers}. What cannot be exported is",
            "refused by name, with exit status 78.",
            "",
            *_table(strange),
            "",
            *_refusals(strange),
            *_head_table(heads),
        ]
    )


def _table(rows: list[Row]) -> list[str]:
    head = "| family | tokenizer | .pte fp32 | .pte int8 | .onnx fp32 | .onnx int8 "
    lines = [head + "| share | parts | least | file |", "|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        pte, any_made = row["executorch int8"], row["onnx none"]
        share = f"{pte['share']:.0%}" if "share" in pte else "-"
        family = any_made.get("family", "").replace("-", "_")
        cells = [
            row["name"],
            row["tokenizer"],
            _cell(row["executorch none"]),
            _cell(pte),
            _cell(row["onnx none"]),
            _cell(row["onnx int8"]),
            share,
            str(pte.get("parts", "-")),
            str(any_made.get("least", "-")),
            f"`{family}.py`" if family in families.names() else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _head_table(heads: dict[str, Row]) -> list[str]:
    names = [name for name, row in heads.items() if row]
    if not names:
        return []
    lines = [
        "### Heads",
        "",
        "Every task's head, fp32 `.onnx`, worst cosine against the eager model.",
        "",
    ]
    lines += [f"| task | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for task in task_names():
        cells = " | ".join(_cell(heads[name][task]) for name in names)
        lines.append(f"| {task} | {cells} |")
    return lines


def _cell(made: Row) -> str:
    return f"refused ({made['status']})" if "refused" in made else f"{made['worst']:.5f}"


def _refusals(rows: list[Row]) -> list[str]:
    said = []
    for row in rows:
        messages = [made["refused"] for made in row.values() if "refused" in made]
        if messages:
            said.append(f"- {row['name']}: {messages[0]}")
    return [*said, ""] if said else []


if __name__ == "__main__":
    main()
