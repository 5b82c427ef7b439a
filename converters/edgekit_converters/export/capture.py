"""Capture: a wrapped model becomes one torch.export graph, dynamic in its length.

Three signatures. *Dynamic*: batch 1, any length within bounds, no padding and so no mask. *Static*:
batch 1, one fixed length, with a padding mask, for runtimes that refuse dynamic shapes. *Batched*:
a fixed number of texts, padded to any length within bounds, with a mask; a number that is free as
well would keep delegates from taking views whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from edgekit.bundle.manifest import Dim as DimSpec
from edgekit.bundle.manifest import Signature, TensorSpec
from edgekit_converters.export.retracing import unexplained

# torch.export specialises lengths 0 and 1, so a dynamic length starts here.
MIN_LENGTH = 2
# A graph that reads neighbours of a token has a part one shorter than the text, or two.
_MOST_MIN_LENGTH = 4
_REFUSED_BOUNDS = "Constraints violated"


@dataclass(frozen=True)
class Captured:
    """A graph with what is needed to export it again after a rewrite.

    Attributes:
        program: the exported program.
        example: inputs that it was traced with.
        dynamic: dynamic shapes in torch.export's form; None for a static graph.
        signature: names, dtypes and bounds of inputs and outputs.
    """

    program: ExportedProgram
    example: tuple[Tensor, ...]
    dynamic: tuple[dict[int, Dim], ...] | None
    signature: Signature

    def module(self) -> GraphModule:
        """The graph as a module that a rewrite may change."""
        module = self.program.module(check_guards=False)
        assert isinstance(module, GraphModule)
        return module

    def again(self, module: GraphModule) -> Captured:
        """The same signature over a rewritten module, without the tensors that nothing reads."""
        _drop_unread(module)
        with unexplained():
            program = torch.export.export(
                module, self.example, dynamic_shapes=self.dynamic, strict=False
            )
        return Captured(program, self.example, self.dynamic, self.signature)


def capture(
    model: nn.Module,
    inputs: tuple[str, ...],
    output: str,
    max_length: int,
    static: bool = False,
    batch: int = 1,
) -> Captured:
    """Export ``model``.

    Args:
        model: takes int64 tensors ``(batch, tokens)`` named ``inputs``; returns one float tensor.
        inputs: input names, in call order.
        output: name of the output.
        max_length: largest number of tokens; the only one when ``static``.
        static: one fixed length instead of a dynamic one.
        batch: texts of one pass; with several, a mask must be among ``inputs``.

    The shortest dynamic length is ``MIN_LENGTH``, or the first one after it that the graph takes.
    """
    _lengthen_buffers(model)
    least = MIN_LENGTH
    while not static:
        try:
            return _capture(model, inputs, output, (least, max_length), batch)
        except UserError as error:
            if _REFUSED_BOUNDS not in str(error) or least == _MOST_MIN_LENGTH:
                raise
            least += 1
    return _capture(model, inputs, output, (max_length, max_length), batch)


def _capture(
    model: nn.Module,
    inputs: tuple[str, ...],
    output: str,
    lengths: tuple[int, int],
    batch: int,
) -> Captured:
    """One attempt with given bounds of the length."""
    least, most = lengths
    static = least == most
    length = most if static else min(16, most)
    # Ones are ids in every vocabulary; a model may know a single token type, and that is 0.
    example = tuple(
        torch.full((batch, length), int(name != "token_type_ids"), dtype=torch.int64)
        for name in inputs
    )
    dynamic = None
    if not static:
        tokens = Dim("tokens", min=least, max=most)
        dynamic = tuple({1: tokens} for _ in inputs)
    program = torch.export.export(model, example, dynamic_shapes=dynamic, strict=False)
    with torch.no_grad():
        shape = tuple(model(*example).shape)
    tokens_dim = DimSpec(name="tokens", minimum=least, maximum=most)
    signature = Signature(
        inputs=tuple(
            TensorSpec(name=name, dtype="int64", dims=(_fixed("batch", batch), tokens_dim))
            for name in inputs
        ),
        outputs=(TensorSpec(name=output, dtype="float32", dims=_output_dims(shape, tokens_dim)),),
    )
    return Captured(program, example, dynamic, signature)


def _drop_unread(module: GraphModule) -> None:
    """Forget tensors that a rewrite replaced: some lowerings would write them into the file."""
    for node in list(module.graph.nodes):
        if node.op == "get_attr" and not node.users:
            module.graph.erase_node(node)
    module.recompile()
    read = {node.target for node in module.graph.nodes if node.op == "get_attr"}
    for path, owner in list(module.named_modules()):
        for held in (owner._parameters, owner._buffers):
            for name in list(held):
                if (f"{path}.{name}" if path else name) not in read:
                    del held[name]


def _fixed(name: str, size: int) -> DimSpec:
    return DimSpec(name=name, minimum=size, maximum=size)


def _output_dims(shape: tuple[int, ...], tokens: DimSpec) -> tuple[DimSpec, ...]:
    """``(batch, features)``, or ``(batch, tokens, features)`` for one row a token."""
    batch, features = _fixed("batch", shape[0]), _fixed("features", shape[-1])
    return (batch, features) if len(shape) == 2 else (batch, tokens, features)


def _lengthen_buffers(model: nn.Module) -> None:
    """Make position buffers one longer than the longest text.

    A buffer sliced at exactly its own length gives the graph a guard that refuses that length.
    """
    for module in model.modules():
        for name in ("position_ids", "token_type_ids"):
            buffer = module._buffers.get(name)
            if buffer is None or buffer.ndim != 2:
                continue
            last = buffer[:, -1:] + (1 if name == "position_ids" else 0)
            module._buffers[name] = torch.cat([buffer, last], dim=1)
