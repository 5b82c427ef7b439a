"""An ONNX graph while it is rewritten: the old nodes to read, the new ones in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[np.float32]

# ONNX Runtime's own operators; its Android package for any model has them all.
CONTRIB = "com.microsoft"


class Draft:
    """Reads a model's graph and collects what replaces it; ``finish`` puts it in place.

    Attributes:
        nodes: the old nodes.
        readers: value name -> old nodes that read it.
        producers: value name -> old node that makes it.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        """Index ``model``, which is left as it is until ``finish``."""
        self._model = model
        self.nodes: list[onnx.NodeProto] = list(model.graph.node)
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.outputs = frozenset(value.name for value in model.graph.output)
        self._old = {tensor.name: tensor for tensor in model.graph.initializer}
        self._new: dict[str, onnx.TensorProto] = {}
        self._made: list[onnx.NodeProto] = []
        self._dims = dict(_dims(model.graph))

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """The tensor behind a name; None for a value that is computed."""
        tensor = self._old.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def row(self, name: str) -> Array | None:
        """A constant that is one float32 row, ``(outputs,)``; None for anything else."""
        held = self.constant(name)
        if held is None or held.ndim == 0 or held.size != held.shape[-1]:
            return None
        return held.ravel().astype(np.float32) if held.dtype == np.float32 else None

    def matrices(self) -> Iterator[tuple[str, Array]]:
        """Every two-dimensional float32 constant."""
        for name, tensor in self._old.items():
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2:
                yield name, numpy_helper.to_array(tensor)

    def dims(self, name: str) -> tuple[int | str, ...] | None:
        """A value's sizes, free ones by name (unnamed ones are ``""``); None when not recorded."""
        return self._dims.get(name)

    def reads_only(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a value; None when there are more, or it is an output."""
        found = self.readers[name]
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def keep(self, node: onnx.NodeProto) -> None:
        """Take an old node over as it is."""
        self._made.append(node)

    def const(self, name: str, value: NDArray[np.generic]) -> str:
        """Hold a constant, once for each name."""
        if name not in self._new:
            self._new[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def floats(self, value: float) -> str:
        """A float32 scalar, shared by all that read the same."""
        return self.const(f"edgekit.float.{value!r}", np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        """A list of int64, shared by all that read the same."""
        name = "edgekit.int." + ".".join(str(value) for value in values)
        return self.const(name, np.array(values, np.int64))

    def add(
        self,
        kind: str,
        inputs: list[str],
        *outputs: str,
        domain: str = "",
        **attributes: object,
    ) -> str:
        """Append a node named after its first output, which is returned."""
        self._made.append(
            helper.make_node(
                kind, inputs, outputs, name=outputs[0], domain=domain or None, **attributes
            )
        )
        return outputs[0]

    def finish(self) -> None:
        """Put the new nodes in place; what nobody reads any more is dropped."""
        graph = self._model.graph
        needed, alive = set(self.outputs), []
        for node in reversed(self._made):
            if needed.intersection(node.output):
                needed.update(node.input)
                alive.append(node)
        kept = [tensor for name, tensor in self._old.items() if name in needed]
        made = [tensor for name, tensor in self._new.items() if name in needed]
        del graph.node[:]
        graph.node.extend(reversed(alive))
        del graph.initializer[:]
        graph.initializer.extend([*kept, *made])
        domains = {entry.domain for entry in self._model.opset_import}
        if CONTRIB not in domains and any(node.domain == CONTRIB for node in alive):
            self._model.opset_import.append(helper.make_opsetid(CONTRIB, 1))


def attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    """A node's attribute, or ``default``."""
    for found in node.attribute:
        if found.name == name:
            value: object = helper.get_attribute_value(found)
            return value
    return default


def _dims(graph: onnx.GraphProto) -> Iterator[tuple[str, tuple[int | str, ...]]]:
    for value in [*graph.input, *graph.value_info, *graph.output]:
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            yield (
                value.name,
                tuple(
                    d.dim_value if d.HasField("dim_value") else d.dim_param for d in kind.shape.dim
                ),
            )
