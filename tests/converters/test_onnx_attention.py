"""Attention as one operator: the same function, and only where the form is the plain one."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit_converters.export import onnx_attention
from tests.support.onnx_graphs import Array, kinds, model, run

HEADS, HEAD = 3, 8
WIDTH = HEADS * HEAD


def attention(
    change: str = "", batch: int | str = 1, outputs: tuple[str, ...] = ("y",)
) -> onnx.ModelProto:
    """Three projections of ``x``, their attention, one node changed perhaps."""
    rng = np.random.default_rng(0)
    held: dict[str, np.ndarray] = {
        f"w{name}": rng.standard_normal((WIDTH, WIDTH), dtype=np.float32) / 4 for name in "qkv"
    }
    held["heads"] = np.array([-1, HEADS, HEAD])
    held["whole"] = np.array([1, -1, WIDTH])
    held["half"] = np.array(0.5, np.float32)
    nodes = []
    for name, order in (("q", [1, 0, 2]), ("k", [1, 2, 0]), ("v", [1, 0, 2])):
        nodes += [
            helper.make_node("MatMul", ["x", f"w{name}"], [name]),
            helper.make_node("Reshape", [name, "heads"], [f"{name}_view"]),
            helper.make_node("Transpose", [f"{name}_view"], [f"{name}_heads"], perm=order),
        ]
    nodes.append(helper.make_node("MatMul", ["q_heads", "k_heads"], ["scores"]))
    scores = "scores"
    if change == "masked":
        nodes.append(helper.make_node("Add", ["scores", "half"], ["masked"]))
        scores = "masked"
    axis = 1 if change == "other axis" else -1
    nodes += [
        helper.make_node("Softmax", [scores], ["weights"], axis=axis),
        helper.make_node("MatMul", ["weights", "v_heads"], ["mixed"]),
        helper.make_node("Transpose", ["mixed"], ["turned"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["turned", "whole"], ["y"]),
    ]
    made = model(nodes, held, outputs, dims=[batch, "tokens", WIDTH])
    for name in ("q", "k", "v"):
        shape = [batch, "tokens", WIDTH]
        made.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    made.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    return made


def text(tokens: int) -> Array:
    return np.random.default_rng(tokens).standard_normal((1, tokens, WIDTH), dtype=np.float32)


def test_the_function_is_the_same() -> None:
    made = attention()
    before = [run(made, text(tokens))[0] for tokens in (1, 2, 7, 64)]
    assert onnx_attention.apply(made) == 1
    assert kinds(made) == ["MatMul", "MatMul", "MatMul", "MultiHeadAttention"]
    after = [run(made, text(tokens))[0] for tokens in (1, 2, 7, 64)]
    for wanted, found in zip(before, after, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)
    assert onnx_attention.apply(made) == 0


@pytest.mark.parametrize("change", ["masked", "other axis"])
def test_another_form_is_left(change: str) -> None:
    made = attention(change)
    before = run(made, text(6))[0]
    assert onnx_attention.apply(made) == 0
    np.testing.assert_array_equal(run(made, text(6))[0], before)


def test_scores_that_somebody_reads_are_left() -> None:
    made = attention(outputs=("y", "weights"))
    assert onnx_attention.apply(made) == 0
    assert len(run(made, text(5))) == 2


def test_several_texts_at_once_are_left() -> None:
    """Their tokens lie in one list, and each would see those of the others."""
    assert onnx_attention.apply(attention(batch="batch")) == 0


def test_unknown_shapes_are_left() -> None:
    made = attention()
    del made.graph.value_info[:]
    assert onnx_attention.apply(made) == 0
