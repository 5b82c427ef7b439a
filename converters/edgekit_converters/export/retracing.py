"""Lower with fewer traces of the same graph: the bytes are the same, the wait is shorter.

A lowering traces the whole graph again for each of its passes. Four costs can be spared:

- Each trace writes down the Python stack behind every node, for messages to who wrote the model.
- Each trace copies every node's whole history, which grows with each trace (``NodeSource`` in
  ``torch.fx.traceback``). Histories are never changed, so sharing them is enough.
- Many passes are for operators that a graph does not have: convolutions, batch norms, upsampling,
  fused activations. A pass that can find nothing is left out.
- Decompositions are run a last time when nothing is left to decompose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, config, traceback
from torch.fx.passes.infra.pass_base import PassBase, PassResult

_VIEW = "a view"
_CUSTOM = "a custom note"
# Passes by the operators that they look for; without one of these in the graph they change nothing.
_LOOKS_FOR = {
    "ChannelsLastTaggedReshapePass": (
        *("convolution", "upsample", "mean.dim", "max_pool2d", "amax", "max.dim", "avg_pool2d"),
        *("prelu", "channels_last", "dim_order"),
    ),
    "Conv1dUnsqueezePass": ("conv",),
    "ConvertToLinearPass": ("mm",),
    "ConvertToSDPAPass": ("scaled_dot_product", "sdpa"),
    "ConvertToUpsampleBilinear2d": ("upsample", "index"),
    "DecomposeBatchNorm": ("batch_norm",),
    "DecomposeConcatenate": ("cat",),
    "DimOrderOpsRevertPass": ("dim_order",),
    "FuseActivationPass": ("relu", "hardtanh"),
    "FuseBatchNormPass": ("batch_norm",),
    "InsertPadQDQPass": ("pad",),
    "LegalizePortableDimOrderPass": ("avg_pool2d", "expand_copy", "mean.dim", "sum.dim"),
    "MemoryFormatOpsPass": ("_to_copy", "clone", "empty"),
    "NormalizeTransposePass": ("aten.t.",),
    "PReLUReshapePass": ("prelu",),
    "PropagateCustomMetaPass": (_CUSTOM,),
    "RemoveGetItemPass": ("max_pool2d_with_indices", "max.dim"),
    "RemoveNoopExpandCopyPass": ("expand",),
    "RemoveRedundantCopyPass": ("_to_copy",),
    "ReplaceBrokenOpsWithFunctionalOpsPass": (_VIEW,),
}


@contextmanager
def spared() -> Iterator[None]:
    """Spare all four while the block runs; a version that lacks one is left as it is."""
    source: Any = traceback.NodeSource
    classes: tuple[Any, Any] = PassBase, ExportedProgram
    before = PassBase.__call__, ExportedProgram.run_decompositions
    had = source.__dict__.get("__deepcopy__")

    def call(self: Any, module: GraphModule) -> Any:
        if _concerns(type(self).__name__, module):
            return before[0](self, module)
        return PassResult(module, False)

    def decompose(self: Any, table: Any = None, *rest: Any, **more: Any) -> Any:
        if not rest and not more and _is_decomposed(self, table):
            return self
        return before[1](self, table, *rest, **more)

    classes[0].__call__, classes[1].run_decompositions = call, decompose
    if had is None:
        source.__deepcopy__ = lambda self, memo: self
    try:
        with unexplained():
            yield
    finally:
        classes[0].__call__, classes[1].run_decompositions = before
        if had is None:
            del source.__deepcopy__


@contextmanager
def unexplained() -> Iterator[None]:
    """Let traces leave out the Python stack behind each node; after a rewrite it says nothing."""
    before = config.do_not_emit_stack_traces
    config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        config.do_not_emit_stack_traces = before


def _is_decomposed(program: ExportedProgram, table: Mapping[Any, Any] | None) -> bool:
    """Whether a table has nothing for a program that has been through another one before."""
    if table is None or not len(table) or program.dialect != "ATEN":
        return False
    if any(isinstance(child, GraphModule) for child in program.graph_module.children()):
        return False
    # A symbolic length stays as it is, whatever the table has for it.
    known = set(table) - {torch.ops.aten.sym_size.int}
    return not any(node.target in known for node in program.graph.nodes)


def _concerns(name: str, module: GraphModule) -> bool:
    wanted = _LOOKS_FOR.get(name)
    if wanted is None:
        return True
    found = _operators(module)
    return any(word in found for word in wanted)


def _operators(module: GraphModule) -> str:
    """The names of all operators of a module and the modules in it, in one line."""
    found: set[str] = set()
    for one in module.modules():
        for node in one.graph.nodes if isinstance(one, GraphModule) else ():
            if "custom" in node.meta:
                found.add(_CUSTOM)
            if node.op == "call_function":
                found.add(str(node.target))
                if getattr(node.target, "is_view", False):
                    found.add(_VIEW)
    return " ".join(sorted(found))
