"""A distillation in as many processes as torchrun starts; the curve goes to a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from edgekit_converters.distill import world
from edgekit_converters.distill.distilling import distill
from edgekit_converters.distill.losses import parse
from edgekit_converters.distill.recipe import Recipe
from edgekit_converters.distill.wanted import Beginning


def main(teacher: str, data: str, out: str) -> None:
    torch.set_num_threads(1)
    said = Recipe(
        steps=12,
        batch=8,
        learning_rate=2e-3,
        controls=False,
        losses=tuple(parse("cosine,relations=0.1")),
    )
    made = distill(
        teacher, [Path(data)], out=Path(out), beginning=Beginning(layers="0,3"), said=said
    )
    if world.is_first():
        (Path(out) / "processes.json").write_text(json.dumps(world.processes()))
        assert made.report["runs"]
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
