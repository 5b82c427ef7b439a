"""Text generation: a decoder with a cache, built by ``generation.build``."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from edgekit_converters.tasks import Logits

AUTO_CLASS = "AutoModelForCausalLM"
OUTPUT = "logits"
MAY_MISS: tuple[str, ...] = ()
PAIR = False
LABELS = False
BUILD = "generation.build"
SCHEME = "int4-int8"


def head(folder: Path) -> nn.Module:
    """Takes the logits."""
    return Logits()
