"""What a model computes on its way to an answer, by name.

- ``embedding``: one vector a text, ``(texts, width)``.
- ``logits``: ``(texts, classes)`` or ``(texts, tokens, entries)``.
- ``hidden.N``: ``(texts, tokens, width)``; 0 is given to the first layer, N is given by layer N.
- ``attention.N``: attention probabilities of layer N (from 1), ``(texts, heads, tokens, tokens)``.
- ``queries.N``, ``keys.N``, ``values.N``: of layer N (from 1), ``(texts, tokens, all heads)``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgekit.errors import Unsupported
from edgekit_converters.tasks import has_token_types

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_PROJECTIONS = {
    "queries": ("query", "q_lin", "q_proj", "query_proj", "q"),
    "keys": ("key", "k_lin", "k_proj", "key_proj", "k"),
    "values": ("value", "v_lin", "v_proj", "value_proj", "v"),
}
_FUSED = "c_attn"  # GPT-2: queries, keys and values side by side
_ORDER = tuple(_PROJECTIONS)


@dataclass(frozen=True)
class Shape:
    """The sizes of a model that losses speak of.

    Attributes:
        layers: how many.
        hidden: width of a token's vector between layers.
        heads: attention heads of a layer.
    """

    layers: int
    hidden: int
    heads: int


@dataclass(frozen=True)
class Outputs:
    """One model's answers to one batch.

    Attributes:
        mask: ``(texts, tokens)``; 1 for a token, 0 for padding.
        named: by the names above.
    """

    mask: Tensor
    named: Mapping[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.named[name]


@dataclass(frozen=True)
class Batch:
    """What losses know besides the answers.

    Attributes:
        ids: token ids ``(texts, tokens)``.
        counted: ``(texts, tokens)``; 1 where the model's guess counts, the others are 0.
        labels: classes ``(texts,)`` or token ids and classes ``(texts, tokens)``, -100 for none.
        weights: ``(texts,)``; what each text counts.
    """

    ids: Tensor
    counted: Tensor
    labels: Tensor | None
    weights: Tensor


def shape_of(model: nn.Module) -> Shape:
    """The sizes of a transformers model."""
    config: Any = model.config
    return Shape(
        int(config.num_hidden_layers), int(config.hidden_size), int(config.num_attention_heads)
    )


def layer_list(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The list of a model's layers and its name.

    Raises:
        Unsupported: the model has no single list of layers.
    """
    count = shape_of(model).layers
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module) == count
        and any(True for _ in module.parameters())
    ]
    outer = [(name, module) for name, module in found if not _inside(name, found)]
    if len(outer) != 1:
        raise Unsupported(
            f"a {_family(model)} model has no single list of {count} layers to choose from",
            hint="Models with one stack of layers can be distilled: BERT, DistilBERT, RoBERTa, "
            "ELECTRA, GPT-2, Llama, Qwen and their kin.",
        )
    return outer[0]


def _inside(name: str, others: list[tuple[str, nn.ModuleList]]) -> bool:
    return any(name.startswith(f"{other}.") for other, _ in others if other != name)


class Asks(Protocol):
    """A model that can be asked for its outputs by name."""

    model: nn.Module

    def __call__(  # noqa: D102
        self, inputs: Mapping[str, Tensor], names: Collection[str]
    ) -> Outputs: ...


class Probe:
    """Runs a model on padded batches and keeps the outputs that are asked for."""

    def __init__(self, model: nn.Module, pooling: nn.Module | None) -> None:
        """Bind a model.

        Args:
            model: a transformers model.
            pooling: makes a text's vector of the model's output and the mask; None where the task
                has none.
        """
        self.model = model
        self.pooling = pooling
        self.types = has_token_types(model.config)

    def __call__(self, inputs: Mapping[str, Tensor], names: Collection[str]) -> Outputs:
        """One forward pass over ``input_ids``, ``attention_mask`` and perhaps token types."""
        mask = inputs["attention_mask"]
        given = {name: inputs[name] for name in INPUTS if name in inputs}
        if not self.types:
            given.pop("token_type_ids", None)
        kinds = {name.partition(".")[0] for name in names}
        model: Any = self.model
        with _projections(self.model, names) as caught:
            out = model(
                **given,
                output_hidden_states="hidden" in kinds,
                output_attentions="attention" in kinds,
                return_dict=True,
                **({"use_cache": False} if hasattr(model.config, "use_cache") else {}),
            )
        named: dict[str, Tensor] = dict(caught)
        for name in names:
            kind, _, number = name.partition(".")
            if kind == "embedding":
                assert self.pooling is not None
                named[name] = self.pooling(out, mask)
            elif kind == "logits":
                named[name] = out.logits
            elif kind == "hidden":
                named[name] = out.hidden_states[int(number)]
            elif kind == "attention":
                named[name] = out.attentions[int(number) - 1]
        return Outputs(mask, named)


@contextmanager
def _projections(model: nn.Module, names: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """Catch what the attention's projections give while the block runs."""
    wanted = [name for name in names if name.partition(".")[0] in _PROJECTIONS]
    caught: dict[str, Tensor] = {}
    handles = []
    try:
        layers = layer_list(model)[1] if wanted else nn.ModuleList()
        for name in wanted:
            kind, _, number = name.partition(".")
            module, part = _projection(layers[int(number) - 1], kind, _family(model))
            handles.append(module.register_forward_hook(_catch(caught, name, part)))
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def _projection(layer: nn.Module, kind: str, family: str) -> tuple[nn.Module, int | None]:
    """The module that makes queries, keys or values, and which third of it where it makes all."""
    for path, module in layer.named_modules():
        last = path.rpartition(".")[2]
        if last in _PROJECTIONS[kind] and hasattr(module, "weight"):
            return module, None
        if last == _FUSED:
            return module, _ORDER.index(kind)
    raise Unsupported(
        f"the {kind} of a {family} layer are not where they are in other families",
        hint="Losses without queries, keys and values work: cosine, similarity, logits, hidden.",
    )


def _catch(caught: dict[str, Tensor], name: str, part: int | None) -> Any:
    def hook(module: nn.Module, given: Any, made: Tensor) -> None:
        caught[name] = made if part is None else made.chunk(3, dim=-1)[part]

    return hook


def _family(model: nn.Module) -> str:
    config: Any = model.config
    return str(config.model_type)


def average(values: Tensor, batch: Batch) -> Tensor:
    """Mean over texts of values ``(texts,)`` or, over their counted tokens, ``(texts, tokens)``.

    Every text counts alike whatever its length, so that the mean over several processes is the
    mean over all of their texts.
    """
    if values.dim() == 2:
        counted = batch.counted.to(values.dtype)
        values = (values * counted).sum(1) / counted.sum(1).clamp(min=1.0)
    return (values * batch.weights).mean()


def no_grad_copy(outputs: Outputs) -> Outputs:
    """The same outputs without their history."""
    return Outputs(outputs.mask, {name: t.detach() for name, t in outputs.named.items()})


def pair_mask(mask: Tensor) -> Tensor:
    """``(texts, tokens, tokens)``: True where both tokens are real."""
    real = mask.to(torch.bool)
    return real[:, :, None] & real[:, None, :]
