"""Square blocks of 16 x 16 weights; zeros still, in a form that block-sparse kernels could take."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit_converters.prune.granularities import element

UNITS = "blocks of weights"
SIDE = 16


def removed(score: Tensor, amount: float) -> Tensor:
    """Which elements go: those of the blocks with the lowest mean; see ``element.removed``."""
    rows, columns = score.shape
    padding = (0, -columns % SIDE, 0, -rows % SIDE)
    sums = F.avg_pool2d(F.pad(score.double(), padding)[None, None], SIDE)[0, 0]
    held = F.avg_pool2d(F.pad(torch.ones(rows, columns).double(), padding)[None, None], SIDE)[0, 0]
    gone = element.removed(sums / held, amount)
    wide = gone.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)
    return wide[:rows, :columns].contiguous()
