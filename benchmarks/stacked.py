"""Everything that makes a model small, one after the other: MiniLM by one recipe and one command.

    python -m benchmarks.stacked [--steps N] [--ffn SHARE] [--layers K] [--schemes A,B]

The recipe is ``examples/recipes/smallest-encoder.toml``, the domain the docstrings of numpy and
scipy. ``--ffn 0.5`` removes half of the neurons, ``--layers 3`` keeps three layers, ``--layers
0,4,5`` these; each scheme makes a bundle, and what they share is made once.

What is measured: bytes of the ``.pte`` against the original's in fp32, and Spearman's correlation
of the cosines of all pairs of held-out sentences, the ``.pte`` against the original in fp32. A goal
that is missed says so. With ``--folder DIR`` a run that was killed goes on.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.pruning import goal, sentences
from edgekit.api.compress import compress
from edgekit.errors import EdgekitError
from edgekit.stages import Progress

MODEL = "minilm"
RECIPE = Path(__file__).parents[1] / "examples" / "recipes" / "smallest-encoder.toml"
GOAL, MOONSHOT, KEPT = 0.08, 0.05, 0.95  # shares of the fp32 bytes, Spearman
_SCHEME = re.compile(r'^scheme = ".*"$', re.MULTILINE)
_FFN = re.compile(r'(?<=^method = "obs"\namount = )[\d.]+$', re.MULTILINE)
_STEPS = re.compile(r"^steps = \d+$", re.MULTILINE)


def main() -> None:
    """Make both bundles and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stacked")
    parser.add_argument("--steps", type=int, help="of distillation, instead of the recipe's")
    parser.add_argument("--ffn", help="share of the neurons to remove, instead of the recipe's")
    parser.add_argument("--layers", help="how many layers to keep, or which; else all")
    parser.add_argument("--schemes", default="int4", help="bits of linear layers and tables")
    parser.add_argument("--texts", type=int, default=20000, help="most sentences")
    parser.add_argument("--folder", type=Path, help="where to work, and to go on; else a new one")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{MODEL}, torch {torch.__version__}, one thread of {platform.machine()} with "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        texts = folder / "texts.txt"
        every = list(sentences())
        every = every[:: max(1, len(every) // asked.texts)]
        texts.write_text("\n".join(every), encoding="utf-8")
        for scheme in asked.schemes.split(","):
            one(scheme, texts, folder, asked)


def one(scheme: str, texts: Path, folder: Path, asked: argparse.Namespace) -> None:
    """One bundle and its tables."""
    text = _SCHEME.sub(f'scheme = "{scheme}"', RECIPE.read_text(encoding="utf-8"))
    if asked.steps is not None:
        text = _STEPS.sub(f"steps = {asked.steps}", text)
    if asked.ffn is not None:
        text = _FFN.sub(asked.ffn, text)
    if asked.layers is not None:
        text = _STEPS.sub(rf'layers = "{asked.layers}"\n\g<0>', text)
    recipe = folder / f"{scheme}.toml"
    recipe.write_text(text, encoding="utf-8")
    begin = time.monotonic()
    try:
        record = compress(
            MODEL,
            recipe,
            out=folder / "bundle",
            data=texts,
            force=True,
            keep_stages=True,
            progress=tell,
        ).record
    except EdgekitError as error:
        print(f"{scheme}: {error.message}\n{error.hint}\n", flush=True)
        return
    rows = record["rows"]
    print(
        f"\n{scheme}, ffn {asked.ffn or 'as'}, layers {asked.layers or 'as'}, steps "
        f"{asked.steps or 'as'} in the recipe: "
        f"{rows['trained on']} sentences to train with, {rows['held out']} held out; "
        f"{time.monotonic() - begin:.0f} s, load {os.getloadavg()[0]:.1f}\n"
    )
    table(record)
    (artifact,) = record["artifacts"]
    goal("Spearman of the .pte against the original", artifact["fidelity"], KEPT)
    goal("share of the fp32 bytes that is saved", 1 - artifact["share"], 1 - GOAL)
    goal("the same, moonshot", 1 - artifact["share"], 1 - MOONSHOT)
    print(flush=True)


def table(record: dict[str, Any]) -> None:
    """The figures as Markdown."""
    print(
        "| after | parameters | bytes of weights | Spearman | cosine |\n|---|---:|---:|---:|---:|"
    )
    for line in record["stages"]:
        kept = [f"{line[name]:.4f}" if name in line else "" for name in ("fidelity", "cosine")]
        cells = [line["after"], f"{line['parameters']:,}", f"{line['bytes']:,}", *kept]
        print(f"| {' | '.join(cells)} |")
    for line in record["artifacts"]:
        print(
            f"| {line['artifact']}, {line['scheme']} | | {line['bytes']:,} ({line['share']:.2%} of "
            f"{line['fp32 bytes of the original']:,}) | {line['fidelity']:.4f} | "
            f"{line['cosine']:.4f} |"
        )
    artifact = record["artifacts"][0]
    print(
        f"\nAgainst the model of the last stage: worst cosine {artifact['worst cosine']:.4f}, mean "
        f"{artifact['mean cosine']:.4f}.\n"
    )


def tell(progress: Progress) -> None:
    """Stages and remarks, with the time that they began at."""
    words = progress.note if progress.stage == "note" else f"[{progress.stage}]"
    print(f"<!-- {progress.elapsed:.0f} s {words} -->", flush=True)


if __name__ == "__main__":
    main()
