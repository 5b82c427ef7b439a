"""Programs that call a decoder's operators, and what ExecuTorch's own answer to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.runtime.generation.executorch import load_operators

Sample = list[NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """One call: shapes, what hides keys, and where the tokens start, a place a sample."""

    tokens: int
    heads: int
    kv_heads: int
    width: int
    rows: int
    starts: tuple[int, int]
    hidden: str = "causal"
    scale: float | None = None


# Blocks of 64 keys, tiles of 6 rows and vectors of 8 and 16 each end somewhere else than these.
CASES = (
    Case(1, 9, 3, 64, 100, (0, 99)),
    Case(1, 9, 3, 64, 100, (63, 64)),
    Case(1, 4, 1, 20, 140, (65, 139)),
    Case(2, 6, 6, 7, 30, (0, 28)),
    Case(7, 4, 2, 40, 70, (1, 63)),
    Case(70, 6, 2, 32, 200, (0, 130)),
    Case(130, 2, 2, 16, 130, (0, 0)),
    Case(1, 64, 1, 8, 70, (5, 69), scale=0.7),
    Case(5, 4, 2, 24, 90, (0, 85), "window"),
    Case(33, 6, 2, 32, 150, (0, 117), "window"),
    Case(1, 4, 2, 24, 90, (3, 89), "window"),
    Case(40, 4, 2, 24, 90, (0, 50), "holes"),
    Case(6, 4, 2, 24, 90, (0, 84), "added"),
    Case(5, 4, 2, 24, 90, (0, 40), "nothing"),
)
_LIKE_WINDOW = 5


def attention(path: Path) -> tuple[list[Sample], list[list[NDArray[np.float32]]]]:
    """One program with all of ``CASES``: writes it; gives two samples and the answers to them."""
    load_operators()
    draw = torch.Generator().manual_seed(0)
    samples = [
        [tensor for case in CASES for tensor in _inputs(case, turn, draw)] for turn in range(2)
    ]
    module = _Attention()
    _export(module, tuple(samples[0]), path)
    wanted = [[answer.numpy() for answer in module(*sample)] for sample in samples]
    return [[tensor.numpy() for tensor in sample] for sample in samples], wanted


def cache(path: Path) -> tuple[list[Sample], list[NDArray[np.float32]]]:
    """A program that writes three tokens into its cache and shows it: samples in a row, answers."""
    load_operators()
    draw = torch.Generator().manual_seed(1)
    starts = (0, 3, 5, 0)
    samples = [[torch.randn(1, 3, 2, 5, generator=draw), torch.tensor([n])] for n in starts]
    _export(_Cache(), tuple(samples[0]), path)
    module = _Cache()
    wanted = [module(*sample).numpy().copy() for sample in samples]
    return [[tensor.numpy() for tensor in sample] for sample in samples], wanted


def refused(path: Path, kind: str) -> Sample:
    """A program that asks for what the kernels cannot do without reading out of bounds."""
    load_operators()
    query, keys, start = torch.ones(1, 2, 4, 8), torch.ones(1, 10, 2, 8), torch.tensor([4])
    mask: list[Tensor] = []
    if kind == "beyond the cache":
        start = torch.tensor([9])
    elif kind == "negative start":
        start = torch.tensor([-1])
    elif kind == "heads that cannot share":
        keys = torch.ones(1, 10, 3, 8)
    elif kind == "another width":
        keys = torch.ones(1, 10, 2, 4)
    elif kind == "short mask":
        mask = [torch.zeros(2, 9)]
    elif kind == "mask of other tokens":
        mask = [torch.zeros(3, 10)]
    elif kind == "written beyond":
        start = torch.tensor([9])
        _export(_Cache(), (torch.ones(1, 3, 2, 5), start), path)
        return [np.ones((1, 3, 2, 5), np.float32), start.numpy()]
    given = (query, keys, start, *mask)
    _export(_One(), given, path)
    return [tensor.numpy() for tensor in given]


class _Attention(nn.Module):
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """An answer a case."""
        given, answers = list(inputs), []
        for case in CASES:
            query, key, value, start = (given.pop(0) for _ in range(4))
            place: Any = start[0].item()
            check: Any = torch._check
            check(place >= 0)
            check(place + case.tokens <= case.rows)
            causal = case.hidden == "causal"
            mask = None if case.hidden in {"causal", "nothing"} else given.pop(0)
            call: Callable[..., Tensor] = torch.ops.llama.custom_sdpa
            answers.append(call(query, key, value, place, mask, 0.0, causal, case.scale))
        return tuple(answers)


class _Cache(nn.Module):
    cache: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(1, 9, 2, 5))

    def forward(self, value: Tensor, start: Tensor) -> Tensor:
        """The cache, after three tokens were written into it."""
        place: Any = start[0].item()
        torch.ops.llama.update_cache(value, self.cache, place)
        return self.cache + 0.0


class _One(nn.Module):
    def forward(self, query: Tensor, keys: Tensor, start: Tensor, *mask: Tensor) -> Tensor:
        """One call, of shapes that nobody checked."""
        place: Any = start[0].item()
        hidden = mask[0] if mask else None
        found: Tensor = torch.ops.llama.custom_sdpa(
            query, keys, keys, place, hidden, 0.0, not mask, None
        )
        return found


def _inputs(case: Case, turn: int, draw: torch.Generator) -> list[Tensor]:
    start = case.starts[turn]
    states = (1, case.rows, case.kv_heads, case.width)
    made = [
        torch.randn(1, case.tokens, case.heads, case.width, generator=draw),
        torch.randn(states, generator=draw),
        torch.randn(states, generator=draw),
        torch.tensor([start]),
    ]
    shape = (case.tokens, case.rows)
    if case.hidden == "window":
        back = torch.arange(start, start + case.tokens)[:, None] - torch.arange(case.rows)[None]
        made.append(torch.where((back >= 0) & (back < _LIKE_WINDOW), 0.0, -1e9))
    elif case.hidden == "holes":
        mask = torch.where(torch.rand(shape, generator=draw) < 0.5, 0.0, -torch.inf)
        mask[:, 0] = 0.0
        made.append(mask)
    elif case.hidden == "added":
        made.append(torch.randn(shape, generator=draw))
    return made


def _export(module: nn.Module, example: Sequence[Tensor], path: Path) -> None:
    from executorch.exir import to_edge_transform_and_lower

    with torch.no_grad():
        program = torch.export.export(module, tuple(example), strict=False)
        path.write_bytes(to_edge_transform_and_lower(program).to_executorch().buffer)
