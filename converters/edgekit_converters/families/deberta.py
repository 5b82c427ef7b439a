"""DeBERTa v1: the reach of relative positions as a size, not as a tensor.

transformers puts it into a tensor and slices the table of positions with it: a slice by a value
that is known at run time only, which no lowering can bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true


@contextmanager
def capturable(model: nn.Module, max_length: int) -> Iterator[None]:
    """See the package."""
    from transformers.models.deberta import modeling_deberta as modeling

    original = modeling.compute_attention_span
    modeling.compute_attention_span = _span
    try:
        yield
    finally:
        modeling.compute_attention_span = original


def _span(query: Tensor, key: Tensor, most: int) -> int:
    """How far positions are told apart: the text's length, or all that the table holds.

    A longer reach than the text needs gives the same scores, so no minimum is taken at run time.
    """
    tokens = query.size(-2)
    return tokens if statically_known_true(tokens <= most) else most
