"""What stays outside a delegate is counted, with a reason, and its time is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch.export import ExportedProgram

from benchmarks import delegated_time
from edgekit.errors import InternalError, TemporaryFailure
from edgekit_converters.export import Lowered, delegation
from edgekit_converters.export.delegates import xnnpack
from edgekit_converters.quiet import quiet
from tests.converters.conftest import Case


@pytest.fixture(scope="module")
def sentence(case: Callable[[str], Case]) -> tuple[ExportedProgram, dict[str, str]]:
    """The edge program of a sentence encoder without any rewrite, and what was refused."""
    from executorch.exir import to_edge_transform_and_lower

    with quiet(), delegation.refusals() as refused:
        edge = to_edge_transform_and_lower(case("sentence").captured.program, **xnnpack.lowering())
    return edge.exported_program(), refused


def test_every_operator_outside_has_a_reason(
    sentence: tuple[ExportedProgram, dict[str, str]],
) -> None:
    program, refused = sentence
    found = delegation.report(program, refused, "xnnpack")
    assert found.calls > 5
    assert 0.5 < found.share < 1
    assert found.reasons.keys() == found.left.keys()
    assert "no reason" not in " ".join(found.reasons.values())
    for name, words in {
        "aten.native_layer_norm.default": "no kernel for native_layer_norm",
        "aten.embedding.default": "table lookup",
        "aten.full_like.default": "integers",
        "aten.mean.dim": "rank 3",
        "aten.view_copy.default": "at run time",
        "sym_size.int": "size at run time",
    }.items():
        assert words in found.reasons[name], name


def test_without_a_delegate_that_is_the_reason(
    sentence: tuple[ExportedProgram, dict[str, str]],
) -> None:
    found = delegation.report(sentence[0], {}, "none")
    assert set(found.reasons.values()) == {"no delegate was asked for"}


def test_time_inside_and_outside(int8_pte: Lowered, tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(int8_pte.data)
    inputs = {"input_ids": np.full((1, 40), 7, dtype=np.int64)}
    found = delegated_time.time_share(path, inputs)
    assert 0.5 < found.share < 1
    assert found.milliseconds >= found.delegated + sum(found.outside.values()) > 0
    assert any(name.startswith("embedding") for name in found.outside)


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(b"no program at all" * 100)
    with pytest.raises(InternalError, match=r"traced on model\.pte"):
        delegated_time.time_share(path, {"input_ids": np.ones((1, 4), dtype=np.int64)})
    with pytest.raises(TemporaryFailure, match="did not finish"):
        delegated_time.time_share(path, {}, timeout=0.01)
