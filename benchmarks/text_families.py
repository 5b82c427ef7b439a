"""Decoder and encoder-decoder families: the second half of docs/families.md.

``python -m benchmarks.families`` prints both halves; this one alone comes from

    .venv/bin/python -m benchmarks.text_families [--only NAME] [--fresh]

Every figure comes out of a bundle's manifest or is what the refused export said. Results are kept
under ``build/benchmarks/text-families`` until ``--fresh``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import edgekit
from benchmarks import text_models
from benchmarks.kept import Kept
from benchmarks.text_models import CONTEXT, FAMILIES, STEPS, STRANGERS, TextFamily
from edgekit.bundle.manifest import Manifest
from edgekit.errors import EdgekitError, ParityFailed
from edgekit_converters.generation import families as decoder_files
from edgekit_converters.generation.texts import GREEDY_PROMPTS, GREEDY_TOKENS

KEPT = Kept("text-families")
# Who takes minutes to train, and is cached by its own script.
REAL = {"tiny decoder": "tiny_decoder", "tiny seq2seq": "tiny_seq2seq"}
FP32, SMALL = "none", "int4-int8"
RUNTIMES = ("executorch", "onnx")

Row = dict[str, Any]


def main() -> None:
    """Export what is not kept yet, and print this half of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="a family; all unless given")
    parser.add_argument("--fresh", action="store_true", help="export again what is kept")
    asked = parser.parse_args()
    print("\n".join(section(set(asked.only) if asked.only else None, fresh=asked.fresh)))


def names() -> list[str]:
    """Every row."""
    return [*FAMILIES, *REAL, *STRANGERS]


def section(wanted: set[str] | None = None, *, fresh: bool = False) -> list[str]:
    """Lines of the page.

    Args:
        wanted: families to export where they are not kept; all unless given.
        fresh: whether to export those that are kept as well.
    """
    known = _rows(FAMILIES, wanted, fresh)
    known += [row for name in REAL if (row := _row(name, None, wanted, fresh))]
    strange = _rows(STRANGERS, wanted, fresh)
    total = GREEDY_PROMPTS * GREEDY_TOKENS
    return [
        "## Decoders and encoder-decoders",
        "",
        "Two layers of width 64, made from transformers' config classes and trained for",
        f"{STEPS} steps on what `examples/tiny_decoder.py` and `examples/tiny_seq2seq.py` write;",
        "*tiny decoder* and *tiny seq2seq* are those two examples themselves, trained for minutes.",
        f"Measured on {text_models.EXAMPLES} texts that training never saw, in a context of "
        f"{CONTEXT} tokens.",
        "",
        "*fp32* is the largest difference of a logit from the eager model, token by token, and",
        f"how many of {total} greedy tokens ({GREEDY_PROMPTS} prompts) are the same; a tie by",
        "rounding counts as the same. *4-bit* is a decoder's usual scheme, `int4-int8`: linears",
        "of 4 bits in groups of 32, a table of 8. Its figures are the divergence from the eager",
        "model in nats a token, and how often the likeliest token is the same. A width of 64 is",
        "little for four bits: where a hop fell below its floor (\\*) an export stops, unless it",
        "is told to keep what failed. *File* is what an architecture needs in",
        "`converters/edgekit_converters/generation/families/`; most need nothing.",
        "",
        *_table(known),
        "",
        *_remarks(known),
        *(_strangers(strange) if strange else []),
    ]


def _strangers(rows: list[Row]) -> list[str]:
    return [
        "### Strangers that write",
        "",
        "Architectures that edgekit was not made for. What cannot be exported is refused by name,",
        "with exit status 78.",
        "",
        *_table(rows),
        "",
        *_remarks(rows),
    ]


def _rows(families: dict[str, TextFamily], wanted: set[str] | None, fresh: bool) -> list[Row]:
    found = (_row(name, family, wanted, fresh) for name, family in families.items())
    return [row for row in found if row]


def _row(name: str, family: TextFamily | None, wanted: set[str] | None, fresh: bool) -> Row | None:
    """Both schemes of a family for both runtimes; None where it is neither wanted nor kept."""
    asked = wanted is None or name in wanted
    kept = None if fresh and asked else KEPT.read(name)
    if kept is not None or not asked:
        return kept
    print(name, file=sys.stderr, flush=True)
    answers = name == "tiny seq2seq" if family is None else family.answers
    row: Row = {"name": name, "answers": answers}
    with tempfile.TemporaryDirectory() as home:
        model = _real(name) if family is None else text_models.write(Path(home) / "model", family)
        samples = text_models.samples(Path(home) / "samples.txt", answers=answers)
        for scheme in (FP32, SMALL):
            row |= _export(model, Path(home) / scheme, scheme, samples, RUNTIMES)
            if all("refused" in row[f"{runtime} {scheme}"] for runtime in RUNTIMES):
                break  # what fails in fp32 fails with fewer bits
    KEPT.write(name, row)
    return row


def _real(name: str) -> Path:
    from examples import tiny_decoder, tiny_seq2seq

    return tiny_decoder.folder() if REAL[name] == "tiny_decoder" else tiny_seq2seq.folder()


def _export(model: Path, out: Path, scheme: str, samples: Path, runtimes: tuple[str, ...]) -> Row:
    """Figures by runtime and scheme; one by one where the runtimes cannot all be made."""
    missed = ""
    try:
        bundle = edgekit.export(
            model,
            out=out,
            quantize=scheme,
            runtimes=runtimes,
            samples=samples,
            max_context=CONTEXT,
            keep_failed=True,
        )
    except ParityFailed as error:
        missed, bundle = error.message, edgekit.Bundle.open(out)
    except EdgekitError as error:
        if len(runtimes) == 1:
            said = {"refused": error.message, "status": error.exit_status}
            return {f"{runtimes[0]} {scheme}": said}
        found: Row = {}
        for one in runtimes:
            found |= _export(model, out, scheme, samples, (one,))
            shutil.rmtree(out, ignore_errors=True)
        return found
    made = {f"{one} {scheme}": _figures(bundle.manifest, one) for one in runtimes}
    return made | ({f"missed {scheme}": missed} if missed else {})


def _figures(manifest: Manifest, runtime: str) -> Row:
    artifact = next(made for made in manifest.artifacts if made.runtime == runtime)
    hop = next(hop for hop in manifest.quality if hop.hop == runtime)
    assert hop.tokens is not None
    return {
        "difference": hop.tokens.max_difference,
        "divergence": hop.tokens.divergence,
        "greedy": hop.tokens.greedy,
        "same": hop.agreement,
        "tokens": hop.tokens.count,
        "bytes": artifact.bytes,
        "passed": hop.passed,
        "family": manifest.family,
    }


def _table(rows: list[Row]) -> list[str]:
    head = "| family | kind | .pte fp32 | .onnx fp32 | .pte 4-bit | .onnx 4-bit | file |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in rows:
        family = next((made["family"] for made in row.values() if "family" in _dict(made)), "")
        cells = [
            row["name"],
            "text to text" if row["answers"] else "decoder",
            *(_exact(row.get(f"{runtime} {FP32}")) for runtime in RUNTIMES),
            *(_close(row, runtime) for runtime in RUNTIMES),
            f"`{family}.py`" if _has_file(family) and not row["answers"] else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _dict(made: object) -> Row:
    return made if isinstance(made, dict) else {}


def _has_file(family: str) -> bool:
    return (Path(decoder_files.__file__).parent / f"{family.replace('-', '_')}.py").is_file()


def _exact(made: Row | None) -> str:
    if made is None or "refused" in made:
        return _refused(made)
    total = GREEDY_PROMPTS * GREEDY_TOKENS
    return f"{made['difference']:.0e}, {made['greedy'] * total:.0f} of {total}"


def _close(row: Row, runtime: str) -> str:
    made = row.get(f"{runtime} {SMALL}")
    if made is None or "refused" in made:
        return _refused(made)
    missed = " \\*" if f"missed {SMALL}" in row else ""
    return f"{made['divergence']:.4f}, {made['same']:.0%}{missed}"


def _refused(made: Row | None) -> str:
    return f"refused ({made['status']})" if made else "-"


def _remarks(rows: list[Row]) -> list[str]:
    """What was refused, in the product's words, and files that are not what their graph is."""
    said = []
    for row in rows:
        refused = [made["refused"] for made in row.values() if "refused" in _dict(made)]
        said += [f"- {row['name']}: {refused[0]}"] if refused else []
        for key, made in row.items():
            if not _dict(made).get("passed", True):
                far = f"{made['divergence']:.2g} nats a token, {made['same']:.0%} the same"
                said.append(f"- {row['name']}: the file itself misses its floor ({key}): {far}.")
    return [*said, ""] if said else []


if __name__ == "__main__":
    main()
