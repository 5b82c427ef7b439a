"""Capture of a decoder: one graph that reads a prompt and continues it, a cache beside it.

Two forms of the same model. *Buffers*: the cache is memory of the program (``.pte``), inputs are
token ids and the position of the first. *Passed*: the cache is handed in and out (``.onnx``), under
the names that other tools expect.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from edgekit.bundle.manifest import Dim as DimSpec
from edgekit.bundle.manifest import Signature, TensorSpec
from edgekit.errors import SpecError, Unsupported
from edgekit.runtime.generation.executorch import load_operators
from edgekit_converters.export.capture import Captured
from edgekit_converters.generation import attention, families
from edgekit_converters.generation.layers import Buffers, KeyValues, Passed, Plan, Probe
from edgekit_converters.generation.rotary import tabulated

# Fewer tokens than this could not be told from a fixed length while tracing.
SMALLEST_CONTEXT = 8
_EXAMPLE = 5


@dataclass(frozen=True)
class Decoder:
    """A model that has been looked at.

    Attributes:
        model: in eval mode.
        plan: its caches and windows.
        context: the most tokens in all.
        vocabulary: rows of the output.
    """

    model: nn.Module
    plan: Plan
    context: int
    vocabulary: int

    @property
    def cache_bytes(self) -> int:
        """Of the whole cache in float32, full."""
        return self.context * sum(shape.bytes_per_token for shape in self.plan.shapes.values())


@contextmanager
def prepared(model: nn.Module, model_type: str, context: int) -> Iterator[Decoder]:
    """Look at a model, ready to be captured while the block runs; afterwards it is as before.

    Args:
        model: from ``AutoModelForCausalLM``, fp32, in eval mode.
        model_type: of its config.
        context: the most tokens in all, prompt and answer.

    Raises:
        SpecError: a context that the model does not have.
        Unsupported: attention or positions of a kind that no kernel here has.
    """
    found: Any = model
    _check_context(found.config, context)
    family = _family(model_type)
    before = found.config._attn_implementation
    attention.register()
    if family is not None:
        family.prepare(model)
    try:
        found.set_attn_implementation(attention.NAME)
        if family is None and found.config._attn_implementation != attention.NAME:
            raise Unsupported(
                f"{model_type} models compute attention where no cache can be put in",
                hint="Only models on transformers' AttentionInterface, GPT-J and GPT-Neo can be.",
            )
        with tabulated(model, context), torch.no_grad():
            yield _probed(model, context)
    finally:
        found.set_attn_implementation(before)
        if family is not None:
            family.restore(model)


def capture_buffers(decoder: Decoder) -> Captured:
    """The form with the cache inside: ``(input_ids, position)`` to ``logits`` of the last token."""
    load_operators()
    example = (torch.ones(1, _EXAMPLE, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    tokens = Dim("tokens", min=1, max=decoder.context)
    dynamic: Any = ({1: tokens}, {})
    program = torch.export.export(
        _WithBuffers(decoder), example, dynamic_shapes=dynamic, strict=False
    )
    one = _fixed("batch", 1)
    signature = Signature(
        inputs=(
            TensorSpec(
                name="input_ids",
                dtype="int64",
                dims=(one, DimSpec(name="tokens", minimum=1, maximum=decoder.context)),
            ),
            TensorSpec(name="position", dtype="int64", dims=(_fixed("positions", 1),)),
        ),
        outputs=(_logits(decoder),),
    )
    return Captured(program, example, dynamic, signature)


def capture_passed(decoder: Decoder) -> Captured:
    """The form with the cache outside.

    Inputs are ``input_ids``, ``attention_mask`` (ones, past and present), ``position_ids`` and, for
    each layer N, ``past_key_values.N.key`` and ``.value``; outputs are ``logits`` and
    ``present.N.key`` and ``.value``, each cache ``(1, kv_heads, length, dim)``.
    """
    past_length = 3
    shapes = [decoder.plan.shapes[layer] for layer in sorted(decoder.plan.shapes)]
    example = [
        torch.ones(1, _EXAMPLE, dtype=torch.int64),
        torch.ones(1, past_length + _EXAMPLE, dtype=torch.int64),
        torch.arange(past_length, past_length + _EXAMPLE)[None],
    ]
    for shape in shapes:
        one = torch.zeros(1, shape.kv_heads, past_length, shape.head_dim)
        example += [one, one.clone()]
    tokens = Dim("tokens", min=1, max=decoder.context)
    total = Dim("total", min=1, max=decoder.context)
    past = Dim("past", min=1, max=decoder.context)
    dynamic: Any = ({1: tokens}, {1: total}, {1: tokens}, *({2: past} for _ in example[3:]))
    program = torch.export.export(
        _WithPast(decoder), tuple(example), dynamic_shapes=(dynamic,), strict=False
    )
    return Captured(program, tuple(example), dynamic, _passed_signature(decoder))


def _passed_signature(decoder: Decoder) -> Signature:
    one, context = _fixed("batch", 1), decoder.context
    lengths = {
        name: DimSpec(name=name, minimum=least, maximum=context)
        for name, least in (("tokens", 1), ("total", 1), ("past", 0))
    }

    def integers(name: str, length: str) -> TensorSpec:
        return TensorSpec(name=name, dtype="int64", dims=(one, lengths[length]))

    def caches(stem: str, length: str) -> list[TensorSpec]:
        found = []
        for number, layer in enumerate(sorted(decoder.plan.shapes)):
            shape = decoder.plan.shapes[layer]
            heads = _fixed("kv_heads", shape.kv_heads)
            dims = (one, heads, lengths[length], _fixed("head_dim", shape.head_dim))
            for kind in ("key", "value"):
                name = f"{stem}.{number}.{kind}"
                found.append(TensorSpec(name=name, dtype="float32", dims=dims))
        return found

    given = [integers("input_ids", "tokens"), integers("attention_mask", "total")]
    given += [integers("position_ids", "tokens"), *caches("past_key_values", "past")]
    return Signature(
        inputs=tuple(given),
        outputs=(_logits(decoder, _fixed("last", 1)), *caches("present", "total")),
    )


class _WithBuffers(nn.Module):
    """``(input_ids, position)`` to the last token's logits."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.model = decoder.model
        shapes = [decoder.plan.shapes[layer] for layer in sorted(decoder.plan.shapes)]
        # One row more than the context: torch takes a dynamic length for two or more, and would
        # refuse the last position.
        self._rows = decoder.context + 1
        self.caches = nn.ModuleList(KeyValues(shape, self._rows) for shape in shapes)
        self._decoder = decoder

    def forward(self, input_ids: Tensor, position: Tensor) -> Tensor:
        """Logits ``(1, vocabulary)`` of what follows the last token."""
        rows, tokens = self._rows, input_ids.shape[1]
        start: Any = position[0].item()
        check: Any = torch._check
        check(start >= 0)
        check(start < rows)
        check(start + tokens <= rows)
        positions = position + torch.arange(tokens)
        caches: Any = list(self.caches)
        layers = Buffers(self._decoder.plan, caches, positions, start)
        return _logits_of(self._decoder, layers, input_ids, positions[None])


class _WithPast(nn.Module):
    """Token ids, mask, positions and caches to the last token's logits and the caches."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.model = decoder.model
        self._decoder = decoder

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Logits ``(1, 1, vocabulary)`` and the caches, in the order of the layers."""
        ids, mask, positions, *past = inputs
        layers = Passed(self._decoder.plan, past, mask, self._decoder.context)
        logits = _logits_of(self._decoder, layers, ids, positions)
        return (logits[None], *layers.present)


def _logits_of(
    decoder: Decoder, layers: Buffers | Passed | Probe, ids: Tensor, positions: Tensor
) -> Tensor:
    """One forward pass over ``layers``; ``(1, vocabulary)`` of the last token."""
    model: Any = decoder.model
    accepts = inspect.signature(model.forward).parameters
    given: dict[str, Any] = {"input_ids": ids, "position_ids": positions, "use_cache": False}
    if "logits_to_keep" in accepts:
        given["logits_to_keep"] = 1
    if model.config._attn_implementation == attention.NAME:
        # Without it transformers looks for several texts in one row.
        given["attention_mask"] = torch.ones_like(ids)
    else:
        # Four dimensions are passed on as they are; the family's attention looks at no mask.
        given["attention_mask"] = torch.zeros(1, 1, 1, 1)
    with attention.using(layers):
        logits: Tensor = model(**given).logits
    return logits[:, -1]


def _probed(model: nn.Module, context: int) -> Decoder:
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise Unsupported(f"{type(model).__name__} counts positions by itself: none can be given")
    probe = Probe(context)
    decoder = Decoder(model, probe.plan, context, 0)
    ids = torch.ones(1, min(_EXAMPLE, context), dtype=torch.int64)
    logits = _logits_of(decoder, probe, ids, torch.arange(ids.shape[1])[None])
    if not probe.plan.shapes:
        raise Unsupported("no layer of the model asked for attention over a cache")
    return Decoder(model, probe.plan, context, logits.shape[1])


def _check_context(config: Any, context: int) -> None:
    limit = getattr(config, "max_position_embeddings", None)
    most = limit if isinstance(limit, int) and limit > 0 else None
    if context < SMALLEST_CONTEXT or (most is not None and context > most):
        raise SpecError(
            f"a context of {context} tokens does not fit this model",
            hint=f"From {SMALLEST_CONTEXT} to {most or 'any length'}.",
        )


def _family(model_type: str) -> ModuleType | None:
    known = {found.name for found in pkgutil.iter_modules(families.__path__)}
    if model_type not in known:
        return None
    return importlib.import_module(f"{families.__name__}.{model_type}")


def _logits(decoder: Decoder, *more: DimSpec) -> TensorSpec:
    dims = (_fixed("batch", 1), *more, _fixed("vocabulary", decoder.vocabulary))
    return TensorSpec(name="logits", dtype="float32", dims=dims)


def _fixed(name: str, size: int) -> DimSpec:
    return DimSpec(name=name, minimum=size, maximum=size)
