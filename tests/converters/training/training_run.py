"""A small regression to train, here and in a process of its own that a test may kill."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgekit_converters.training.trainer import Settings, Trained, train


class Net(nn.Module):
    """Noise in each step, so that a run that forgets its random state comes out elsewhere."""

    def __init__(self, pause: float = 0.0, poison: int = -1) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.pause = pause
        self.poison = poison
        self.seen = 0

    def forward(self, x: Tensor, y: Tensor, return_loss: bool = True) -> dict[str, Tensor]:
        if self.training:
            time.sleep(self.pause)
            self.seen += 1
        loss = (self.layers(x)[:, 0] - y).square().mean()
        return {"loss": loss * float("nan") if self.seen == self.poison else loss}


def rows(count: int = 64, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=draw)
    return list(zip(x, x.sum(1).sin(), strict=True))


def collate(batch: list[Any]) -> dict[str, Tensor]:
    return {"x": torch.stack([x for x, _ in batch]), "y": torch.stack([y for _, y in batch])}


def run(folder: Path, model: Net | None = None, **settings: Any) -> tuple[Net, Trained]:
    model = model or Net()
    said = {"steps": 30, "batch": 8, "rate": 0.01, "evaluate_every": 5, "seed": 3} | settings
    return model, train(model, rows(), rows(16, 2), collate, Settings(**said), folder)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), Net(pause=float(sys.argv[2])))
