"""Norm tweaking: what stays in float learns to make up for what was rounded.

Li et al. 2023, "Norm Tweaking: High-performance Low-bit Quantization of Large Language Models"
(arXiv 2309.02784): once the integers are chosen, the weights of the norms are trained for the float
model's answers. Here the biases are as well, and the answers are those of the whole model. They are
a thousandth of all weights, so a few hundred texts teach them without being learned by heart.

Integers and scales stay; a rounded activation passes gradients as if it had not been rounded. What
comes of it is kept only if less is lost on texts that it was not trained with.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import REDUCTION, constant, shallow_copy
from edgekit_converters.quantize.activations import per_token

_aten = torch.ops.aten

# Texts whose gradients make one step; each is run alone, as it will be in an app.
BATCH = 8
# How far a vector may move in one step, as a share of its own size.
_RATE = 0.002
_SMALLEST = 1e-2
# Of so many texts one is kept to judge by.
_JUDGED = 8

Progress = Callable[[int, float], None]


def tweak(
    graph_module: GraphModule,
    reference: GraphModule,
    rounded: Collection[str],
    inputs: Sequence[tuple[Tensor, ...]],
    steps: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Train the float vectors of a calibrated graph.

    Args:
        graph_module: calibrated: its linears hold what their integers stand for; not changed.
        reference: the same graph before, float32; one output.
        rounded: names of the tensors with integers; linears among them round what they read.
        inputs: one tuple of arguments a text; drawn in an order that ``seed`` decides.
        steps: of ``BATCH`` texts.
        seed: the same one gives the same vectors.
        progress: called after each step with its number and the relative squared error.

    Returns:
        The trained vectors by the graph's name of them, float32; none where they are no better.
    """
    student = _student(graph_module, rounded)
    judges = inputs[::_JUDGED]
    lessons = [one for index, one in enumerate(inputs) if index % _JUDGED] or judges
    vectors = {
        name: value.clone().requires_grad_(True)
        for name, value in _vectors(graph_module, reference).items()
    }
    if not vectors:
        return {}
    rates = [
        _RATE * max(float(v.detach().square().mean().sqrt()), _SMALLEST) for v in vectors.values()
    ]
    groups = [{"params": [v], "lr": rate} for v, rate in zip(vectors.values(), rates, strict=True)]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    draw, order = random.Random(seed), list[int]()
    for step in range(steps):
        optimizer.zero_grad()
        total = 0.0
        for _ in range(BATCH):
            if not order:
                order = draw.sample(range(len(lessons)), len(lessons))
            error = _error(student, reference, vectors, lessons[order.pop()])
            torch.autograd.backward(error / BATCH)
            total += float(error.detach()) / BATCH
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, total)
    trained = {name: vector.detach() for name, vector in vectors.items()}
    with torch.no_grad():
        before, after = (
            sum(float(_error(student, reference, held, one)) for one in judges)
            for held in ({}, trained)
        )
    return trained if after < before else {}


def _error(
    student: GraphModule,
    reference: GraphModule,
    vectors: Mapping[str, Tensor],
    arguments: tuple[Tensor, ...],
) -> Tensor:
    """Squared error of the student's answer to one text, relative to the answer."""
    with torch.no_grad():
        target = _only(reference(*arguments))
    answer = _only(torch.func.functional_call(student, dict(vectors), arguments))
    return (answer - target).square().sum() / target.square().sum().clamp(min=1e-12)


def _vectors(graph_module: GraphModule, reference: GraphModule) -> Mapping[str, Tensor]:
    """Float vectors that calibration left as they were: weights of norms, biases."""
    known = _constants(reference)
    return {
        name: value
        for name, value in _constants(graph_module).items()
        if value.ndim == 1
        and value.is_floating_point()
        and not name.startswith(REDUCTION)
        and name in known
        and torch.equal(value, known[name])
    }


def _constants(graph_module: GraphModule) -> dict[str, Tensor]:
    found = {}
    for node in graph_module.graph.nodes:
        value = constant(graph_module, node)
        if value is not None:
            found[str(node.target)] = value
    return found


def _student(graph_module: GraphModule, rounded: Collection[str]) -> GraphModule:
    """A copy that rounds what integer linears read; the tensors are shared."""
    student = shallow_copy(graph_module)
    graph = student.graph
    student.add_submodule("edgekit_round", _Rounded())
    seen: dict[Node, Node] = {}
    for node in list(graph.nodes):
        if node.target is not _aten.linear.default or str(_target(node)) not in rounded:
            continue
        source = node.args[0]
        assert isinstance(source, Node)
        if source not in seen:
            with graph.inserting_after(source):
                seen[source] = graph.call_module("edgekit_round", (source,))
        node.args = (seen[source], *node.args[1:])
    student.recompile()
    return student.requires_grad_(False)


def _target(linear: Node) -> object:
    weight = linear.args[1]
    return weight.target if isinstance(weight, Node) else ""


class _Rounded(nn.Module):
    def forward(self, activation: Tensor) -> Tensor:
        return activation + (per_token(activation) - activation).detach()


def _only(outputs: object) -> Tensor:
    """The one answer of a graph, which may come in a tuple."""
    found = outputs[0] if isinstance(outputs, tuple | list) else outputs
    assert isinstance(found, Tensor)
    return found
