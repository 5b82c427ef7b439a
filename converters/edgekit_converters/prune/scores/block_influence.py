"""Block influence: ``1 - cos(input, output)`` of a layer (ShortGPT, Men et al. 2403.03853)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit_converters.prune.evidence import Evidence

NEEDS_DATA = True
GRANULARITIES = ("layer",)


def layer_score(evidence: Evidence, layers: Sequence[str]) -> Tensor:
    """A number for each layer, float64: the mean over tokens of how much it turns its input.

    Args:
        evidence: with texts.
        layers: names of the modules, in order.
    """
    modules = dict(evidence.model.named_modules())
    sums = torch.zeros(len(layers), dtype=torch.float64)
    counts = torch.zeros(len(layers), dtype=torch.float64)
    mask: list[Tensor] = []

    def hook(place: int) -> Callable[..., None]:
        def seen(
            module: nn.Module, given: tuple[Tensor, ...], named: object, output: object
        ) -> None:
            before = given[0] if given else named["hidden_states"]  # type: ignore[index]
            after = output[0] if isinstance(output, tuple) else output
            turned = 1 - F.cosine_similarity(before, after, dim=-1)  # type: ignore[arg-type]
            real = mask[0].to(turned) if turned.shape == mask[0].shape else torch.ones_like(turned)
            sums[place] += (turned * real).double().sum()
            counts[place] += real.double().sum()

        return seen

    hooks = [
        modules[name].register_forward_hook(hook(place), with_kwargs=True)
        for place, name in enumerate(layers)
    ]
    try:
        with torch.no_grad():
            for batch in evidence.batches:
                mask[:] = [batch["attention_mask"]]
                evidence.rows(evidence.model, batch)
    finally:
        for one in hooks:
            one.remove()
    return sums / counts.clamp_min(1)
