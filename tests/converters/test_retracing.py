"""A lowering with fewer traces gives the same bytes."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch.export import ExportedProgram
from torch.fx import symbolic_trace
from torch.fx.passes.infra.pass_base import PassBase, PassResult

from edgekit_converters.export import executorch
from edgekit_converters.export.retracing import spared
from tests.converters.generation.decoders import captured, lowered, tiny


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_bytes_are_the_same(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    edge = captured(tiny(family), "executorch")
    lean = lowered(edge, "executorch")
    monkeypatch.setattr(executorch, "spared", nullcontext)
    whole = lowered(edge, "executorch")
    assert lean.data == whole.data
    assert lean.delegation == whole.delegation
    assert lean.operators == whole.operators


class FuseActivationPass(PassBase):
    """Of a name that is known to look for relu."""

    def call(self, graph_module: torch.fx.GraphModule) -> PassResult:
        return PassResult(graph_module, True)


def test_a_pass_runs_where_it_can_find_something() -> None:
    without = symbolic_trace(torch.nn.Sigmoid())
    having = symbolic_trace(lambda x: torch.relu(x))
    with spared():
        assert FuseActivationPass()(without).modified is False
        assert FuseActivationPass()(having).modified is True
    assert FuseActivationPass()(without).modified is True


def test_a_program_is_decomposed_once() -> None:
    program = torch.export.export(torch.nn.SiLU(), (torch.ones(3),), strict=True)
    silu = {torch.ops.aten.silu.default: lambda x: x * torch.sigmoid(x)}
    with spared():
        assert (plain := program.run_decompositions({})) is not program
        assert (done := plain.run_decompositions(silu)) is not plain
        assert done.run_decompositions(silu) is done
    assert done.run_decompositions(silu) is not done


def test_everything_is_as_before_after_a_failure() -> None:
    before = PassBase.__call__, ExportedProgram.run_decompositions
    with pytest.raises(ZeroDivisionError), spared():
        raise ZeroDivisionError
    assert before == (PassBase.__call__, ExportedProgram.run_decompositions)
