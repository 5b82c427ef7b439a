"""Capture of an encoder-decoder: ``encode`` reads the text once, ``decode`` answers over it.

``encode`` turns token ids into keys and values of the text for every layer of the decoder, so that
they are computed once. ``decode`` reads tokens of the answer and says what follows, in two forms:
*buffers* keeps the answer's own keys and values in the program (``.pte``), *passed* hands them in
and out (``.onnx``), under the names that other tools expect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from edgekit.bundle.manifest import Dim as DimSpec
from edgekit.bundle.manifest import Signature, TensorSpec
from edgekit.errors import SpecError, Unsupported
from edgekit.runtime.generation.executorch import load_operators
from edgekit_converters.export.capture import Captured
from edgekit_converters.generation.layers import KeyValues, LayerShape
from edgekit_converters.generation.seq2seq import attention
from edgekit_converters.generation.seq2seq.kept import Buffers, Passed
from edgekit_converters.generation.seq2seq.layers import Decoding, Encoding, Plan, Probe, Recording
from edgekit_converters.generation.seq2seq.positions import long_enough

# Fewer tokens than this could not be told from a fixed length while tracing.
SMALLEST = 8
ENCODE, DECODE = "encode", "decode"
_EXAMPLE = 5
_KINDS = ("key", "value")


@dataclass(frozen=True)
class EncoderDecoder:
    """A model that has been looked at.

    Attributes:
        model: in eval mode.
        plan: its caches.
        source: the most tokens of a text.
        target: the most tokens of an answer, those it begins with included.
        vocabulary: rows of the output.
    """

    model: nn.Module
    plan: Plan
    source: int
    target: int
    vocabulary: int

    @property
    def cache_bytes(self) -> int:
        """Of both caches in float32, full."""
        own = sum(shape.bytes_per_token for shape in self.plan.shapes.values())
        cross = sum(shape.bytes_per_token for shape in self.plan.cross.values())
        return self.target * own + self.source * cross


@contextmanager
def prepared(
    model: nn.Module, model_type: str, source: int, target: int
) -> Iterator[EncoderDecoder]:
    """Look at a model, ready to be captured while the block runs; afterwards it is as before.

    Args:
        model: from ``AutoModelForSeq2SeqLM``, fp32, in eval mode.
        model_type: of its config.
        source: the most tokens of a text.
        target: the most tokens of an answer.

    Raises:
        SpecError: lengths that the model does not have.
        Unsupported: attention of a kind that no kernel here has.
    """
    found: Any = model
    _check_lengths(found.config, source, target)
    before = found.config._attn_implementation
    head = found.get_output_embeddings()
    attention.register()
    hook = head.register_forward_pre_hook(_last_row) if head is not None else None
    try:
        found.set_attn_implementation(attention.NAME)
        if found.config._attn_implementation != attention.NAME:
            raise _no_interface(model_type)
        # Tokens of an answer and of its past are bounded apart: together they are twice as many.
        with long_enough(model, 2 * max(source, target)), torch.no_grad():
            yield _probed(found, model_type, source, target)
    finally:
        if hook is not None:
            hook.remove()
        found.set_attn_implementation(before)


def capture_encode(looked: EncoderDecoder, *, states: bool) -> Captured:
    """``input_ids`` to ``present.N.encoder.key`` and ``.value``, each ``(1, heads, source, dim)``.

    Args:
        looked: the model.
        states: whether ``last_hidden_state`` is an output too, before the others.
    """
    example = (torch.ones(1, _EXAMPLE, dtype=torch.int64),)
    length = DimSpec(name="source", minimum=1, maximum=looked.source)
    dynamic: Any = ({1: Dim("source", min=1, max=looked.source)},)
    module = _Encode(looked, states)
    program = torch.export.export(module, example, dynamic_shapes=dynamic, strict=False)
    ids = TensorSpec(name="input_ids", dtype="int64", dims=(_fixed("batch", 1), length))
    outputs = _caches("present", "encoder", looked.plan.cross, length)
    if states:
        hidden = _fixed("features", module(*example)[0].shape[2])
        dims = (_fixed("batch", 1), length, hidden)
        outputs.insert(0, TensorSpec(name="last_hidden_state", dtype="float32", dims=dims))
    return Captured(program, example, dynamic, Signature(inputs=(ids,), outputs=tuple(outputs)))


def capture_buffers(looked: EncoderDecoder) -> Captured:
    """The form with the answer's cache inside.

    Inputs are ``input_ids``, ``position`` of the first of them, and of the text
    ``past_key_values.N.encoder.key`` and ``.value``; the output is ``logits (1, vocabulary)`` of
    what follows the last token.
    """
    load_operators()
    example = [torch.ones(1, _EXAMPLE, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)]
    source, text = _text(looked)
    example += [states for _, states in text]
    tokens = Dim("tokens", min=1, max=looked.target)
    dynamic: Any = ({1: tokens}, {}, *({2: source} for _ in text))
    program = torch.export.export(
        _WithBuffers(looked), tuple(example), dynamic_shapes=(dynamic,), strict=False
    )
    one, length = _fixed("batch", 1), DimSpec(name="tokens", minimum=1, maximum=looked.target)
    inputs = [
        TensorSpec(name="input_ids", dtype="int64", dims=(one, length)),
        TensorSpec(name="position", dtype="int64", dims=(_fixed("positions", 1),)),
        *(spec for spec, _ in text),
    ]
    signature = Signature(inputs=tuple(inputs), outputs=(_logits(looked),))
    return Captured(program, tuple(example), dynamic, signature)


def capture_passed(looked: EncoderDecoder) -> Captured:
    """The form with the answer's cache outside.

    Inputs are ``input_ids``, ``past_key_values.N.decoder.key`` and ``.value`` of the answer so far,
    and ``past_key_values.N.encoder.key`` and ``.value``; outputs are ``logits (1, 1, vocabulary)``
    and ``present.N.decoder.key`` and ``.value``.
    """
    past_length = 3
    tokens = Dim("tokens", min=1, max=looked.target)
    past = Dim("past", min=1, max=looked.target)
    source, text = _text(looked)
    lengths = {
        name: DimSpec(name=name, minimum=1, maximum=looked.target)
        for name in ("tokens", "past", "total")
    }
    own = _caches("past_key_values", "decoder", looked.plan.shapes, lengths["past"])
    shapes = [looked.plan.shapes[layer] for layer in sorted(looked.plan.shapes) for _ in _KINDS]
    example = [
        torch.ones(1, _EXAMPLE, dtype=torch.int64),
        *(torch.zeros(1, shape.kv_heads, past_length, shape.head_dim) for shape in shapes),
        *(states for _, states in text),
    ]
    dynamic: Any = ({1: tokens}, *({2: past} for _ in own), *({2: source} for _ in text))
    program = torch.export.export(
        _WithPast(looked), tuple(example), dynamic_shapes=(dynamic,), strict=False
    )
    ids = TensorSpec(name="input_ids", dtype="int64", dims=(_fixed("batch", 1), lengths["tokens"]))
    present = _caches("present", "decoder", looked.plan.shapes, lengths["total"])
    signature = Signature(
        inputs=(ids, *own, *(spec for spec, _ in text)),
        outputs=(_logits(looked, _fixed("last", 1)), *present),
    )
    return Captured(program, tuple(example), dynamic, signature)


class _Tables(nn.Module):
    """What is added to scores, as tensors of the program; see ``biases``."""

    def __init__(self, tables: Sequence[Tensor | None]) -> None:
        super().__init__()
        self._count = len(tables)
        for number, table in enumerate(tables):
            if table is not None:
                self.register_buffer(f"distances_{number}", table)

    def all(self) -> list[Tensor | None]:
        """In the model's order; None where the model makes its own."""
        return [getattr(self, f"distances_{number}", None) for number in range(self._count)]


class _Encode(nn.Module):
    """Token ids to the text's keys and values in every layer of the decoder."""

    def __init__(self, looked: EncoderDecoder, states: bool) -> None:
        super().__init__()
        self.model = looked.model
        self.tables = _Tables(looked.plan.encoder_tables)
        self._states = states

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        """Keys and values of each layer in turn, perhaps after the encoder's own output."""
        encoding = Encoding(input_ids.shape[1], self.tables.all())
        encoded, cross = _encoded(self.model, input_ids, encoding)
        flat = [states for layer in sorted(cross) for states in cross[layer]]
        return (encoded, *flat) if self._states else tuple(flat)


class _WithBuffers(nn.Module):
    """``(input_ids, position, cross...)`` to the last token's logits."""

    def __init__(self, looked: EncoderDecoder) -> None:
        super().__init__()
        self.model = looked.model
        self._plan = looked.plan
        shapes = [looked.plan.shapes[layer] for layer in sorted(looked.plan.shapes)]
        # One row more than the longest answer: torch takes a dynamic length for two or more, and
        # would refuse the last position.
        self._rows = looked.target + 1
        self.caches = nn.ModuleList(KeyValues(shape, self._rows) for shape in shapes)
        self.tables = _Tables(looked.plan.tables)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits ``(1, vocabulary)`` of what follows the last token."""
        ids, position, *cross = inputs
        start: Any = position[0].item()
        check: Any = torch._check
        check(start >= 0)
        check(start < self._rows)
        check(start + ids.shape[1] <= self._rows)
        caches: Any = list(self.caches)
        kept = Buffers(self._plan, caches, start, ids.shape[1], self.tables.all())
        return _decoded(self.model, ids, Decoding(self._plan, cross, kept))


class _WithPast(nn.Module):
    """Token ids, the answer's cache and the text's to the last token's logits and the cache."""

    def __init__(self, looked: EncoderDecoder) -> None:
        super().__init__()
        self.model = looked.model
        self._plan = looked.plan
        self.tables = _Tables(looked.plan.tables)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Logits ``(1, 1, vocabulary)`` and the cache, in the order of the layers."""
        ids, *more = inputs
        own = 2 * len(self._plan.shapes)
        kept = Passed(self._plan, more[:own], ids.shape[1], self.tables.all())
        logits = _decoded(self.model, ids, Decoding(self._plan, more[own:], kept))
        return (logits[None], *kept.present)


def _encoded(
    model: Any, ids: Tensor, encoding: Encoding
) -> tuple[Tensor, dict[int, tuple[Tensor, Tensor]]]:
    """The encoder's output, and what each layer of the decoder makes of it."""
    from transformers.modeling_outputs import BaseModelOutput

    with attention.serving(encoding):
        encoded = model.get_encoder()(input_ids=ids).last_hidden_state
    recording = Recording()
    with attention.serving(recording):
        model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            decoder_input_ids=torch.ones(1, 1, dtype=torch.int64),
            past_key_values=recording.caches,
            use_cache=True,
        )
    return encoded, recording.cross.recorded


def _decoded(model: Any, ids: Tensor, decoding: Decoding | Probe) -> Tensor:
    """One pass of the decoder; ``(1, vocabulary)`` of the last token."""
    from transformers.modeling_outputs import BaseModelOutput

    # Cross-attention is on when there are states of the text; nothing reads them any more.
    length = next(iter(decoding.caches.cross_attention_cache.layers)).keys.shape[2]
    states = BaseModelOutput(last_hidden_state=torch.zeros(1, length, _width(model)))
    with attention.serving(decoding):
        logits: Tensor = model(
            encoder_outputs=states,
            decoder_input_ids=ids,
            past_key_values=decoding.caches,
            use_cache=True,
        ).logits
    return logits[:, -1]


def _probed(model: Any, model_type: str, source: int, target: int) -> EncoderDecoder:
    # The longest text and answer, so that every distance is seen.
    encoding = Encoding(source)
    _, cross = _encoded(model, torch.ones(1, source, dtype=torch.int64), encoding)
    if not cross:
        raise _no_interface(model_type)
    probe = Probe(cross, target)
    logits = _decoded(model, torch.ones(1, target, dtype=torch.int64), probe)
    if sorted(probe.plan.shapes) != sorted(cross) or sorted(cross) != list(range(len(cross))):
        raise Unsupported(
            f"{model_type} models do not attend to text and answer once in every layer"
        )
    plan = replace(probe.plan, encoder_tables=encoding.tables)
    return EncoderDecoder(model, plan, source, target, logits.shape[1])


def _last_row(_head: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Only the last token's logits are wanted."""
    states, *more = args
    return (states[:, -1:], *more)


def _width(model: Any) -> int:
    return int(model.get_input_embeddings().weight.shape[1])


def _check_lengths(config: Any, source: int, target: int) -> None:
    limit = getattr(config, "max_position_embeddings", None)
    most = limit if isinstance(limit, int) and limit > 0 else None
    for what, length in (("text", source), ("answer", target)):
        if length < SMALLEST or (most is not None and length > most):
            raise SpecError(
                f"{length} tokens of {what} do not fit this model",
                hint=f"From {SMALLEST} to {most or 'any length'}.",
            )


def _no_interface(model_type: str) -> Unsupported:
    return Unsupported(
        f"{model_type} models compute attention where no cache can be put in",
        hint="Only encoder-decoders on transformers' AttentionInterface and EncoderDecoderCache "
        "can be: T5, BART, Marian, Pegasus and their kin.",
    )


def _text(looked: EncoderDecoder) -> tuple[Any, list[tuple[TensorSpec, Tensor]]]:
    """The length of the text, and its keys and values as inputs."""
    length = DimSpec(name="source", minimum=1, maximum=looked.source)
    specs = _caches("past_key_values", "encoder", looked.plan.cross, length)
    shapes = [looked.plan.cross[layer] for layer in sorted(looked.plan.cross) for _ in _KINDS]
    # Of another length than the tokens, lest the two be taken for one.
    states = [torch.zeros(1, shape.kv_heads, _EXAMPLE + 2, shape.head_dim) for shape in shapes]
    return Dim("source", min=1, max=looked.source), list(zip(specs, states, strict=True))


def _caches(
    stem: str, whose: str, shapes: dict[int, LayerShape], length: DimSpec
) -> list[TensorSpec]:
    found = []
    for layer in sorted(shapes):
        shape = shapes[layer]
        heads, width = _fixed("heads", shape.kv_heads), _fixed("head_dim", shape.head_dim)
        for kind in _KINDS:
            name = f"{stem}.{layer}.{whose}.{kind}"
            dims = (_fixed("batch", 1), heads, length, width)
            found.append(TensorSpec(name=name, dtype="float32", dims=dims))
    return found


def _logits(looked: EncoderDecoder, *more: DimSpec) -> TensorSpec:
    dims = (_fixed("batch", 1), *more, _fixed("vocabulary", looked.vocabulary))
    return TensorSpec(name="logits", dtype="float32", dims=dims)


def _fixed(name: str, size: int) -> DimSpec:
    return DimSpec(name=name, minimum=size, maximum=size)
