"""Each criterion against its own formula, worked out another way on a small network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, hessian
from torch.nn import functional as F

from edgekit.errors import InputRefused
from edgekit_converters import prune
from edgekit_converters.prune import ranking
from edgekit_converters.prune.evidence import Evidence, grams
from edgekit_converters.prune.groups import Group, Member, lifted
from edgekit_converters.prune.scores import movement, obd, obs, sparsegpt

CLASSES = 3


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, CLASSES)).requires_grad_(False)


def seen(model: nn.Module, categorical: bool = True, texts: int = 24, **more: Any) -> Evidence:
    torch.manual_seed(1)
    batches = [
        {"x": torch.randn(8, 5), "y": torch.randint(CLASSES, (8,))} for _ in range(texts // 8)
    ]
    return Evidence(model, lambda m, batch: m(batch["x"]), categorical, batches, **more)


def one_by_one(evidence: Evidence) -> list[dict[str, Tensor]]:
    return [
        {name: tensor[place : place + 1] for name, tensor in batch.items()}
        for batch in evidence.batches
        for place in range(8)
    ]


def test_obd_is_the_exact_second_derivative_of_a_linear_layers_loss() -> None:
    """With one layer the Gauss-Newton matrix is the Hessian itself."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, CLASSES)).requires_grad_(False)
    evidence = seen(model)
    weights = dict(model.named_parameters())

    def loss(flat: Tensor) -> Tensor:
        changed = {"0.weight": flat.reshape(CLASSES, 5), "0.bias": weights["0.bias"]}
        total = torch.zeros(())
        for batch in evidence.batches:
            rows = functional_call(model, changed, (batch["x"],))
            total = total + F.cross_entropy(rows, batch["y"], reduction="sum")
        return total / 24

    exact = hessian(loss)(weights["0.weight"].flatten()).diagonal().reshape(CLASSES, 5)
    diagonal = obd.exact_diagonal(evidence)
    assert torch.allclose(diagonal["0.weight"], exact, atol=1e-6)
    saliency = obd.saliency(evidence, diagonal)["0.weight"]
    assert torch.allclose(saliency, exact * weights["0.weight"].square() / 2, atol=1e-6)


@pytest.mark.parametrize("categorical", [True, False])
def test_random_probes_come_near_the_exact_diagonal(categorical: bool) -> None:
    evidence = seen(network(), categorical, probes=400)
    estimated, exact = obd.diagonal(evidence), obd.exact_diagonal(evidence)
    assert estimated.keys() == exact.keys()
    for name, tensor in exact.items():
        assert float((estimated[name] - tensor).norm() / tensor.norm()) < 0.15


def test_the_diagonal_of_vectors_is_that_of_half_the_squared_error() -> None:
    """At the model's own output the Hessian of the squared error is J^T J."""
    model = network()
    evidence = seen(model, categorical=False, texts=8)
    target = model(evidence.batches[0]["x"])
    last = dict(model.named_parameters())["2.weight"]

    def loss(flat: Tensor) -> Tensor:
        changed = {**dict(model.named_parameters()), "2.weight": flat.reshape(last.shape)}
        rows = functional_call(model, changed, (evidence.batches[0]["x"],))
        return ((rows - target) ** 2).sum() / 2 / 8

    exact = hessian(loss)(last.flatten()).diagonal().reshape(last.shape)
    assert torch.allclose(obd.exact_diagonal(evidence)["2.weight"], exact, atol=1e-5)


def test_fisher_and_taylor_are_sums_over_single_texts() -> None:
    model = network()
    evidence = seen(model, answers=lambda batch: batch["y"])
    squares, sizes = torch.zeros(6, 5), torch.zeros(6, 5)
    weight = dict(model.named_parameters())["0.weight"]
    for one in one_by_one(evidence):
        free = weight.clone().requires_grad_()
        changed = {**dict(model.named_parameters()), "0.weight": free}
        loss = F.cross_entropy(functional_call(model, changed, (one["x"],)), one["y"])
        (gradient,) = torch.autograd.grad(loss, free)
        squares += gradient.square() / 24
        sizes += (gradient * weight).abs() / 24
    fisher = prune.module("scores", "obd-fisher").score(evidence)["0.weight"]
    assert torch.allclose(fisher, squares * weight.square() / 2, atol=1e-7)
    taylor = prune.module("scores", "taylor").score(evidence)["0.weight"]
    assert torch.allclose(taylor, sizes, atol=1e-6)
    assert all(not parameter.requires_grad for parameter in model.parameters())


def test_the_surgeons_update_is_the_closed_form() -> None:
    """One weight removed: delta = -w_q / [H^-1]_qq * H^-1 e_q, and the loss is its saliency."""
    torch.manual_seed(0)
    x = torch.randn(40, 6, dtype=torch.float64)
    weight, matrix = torch.randn(4, 6, dtype=torch.float64), obs.damped(x.T @ x)
    inverse = matrix.inverse()
    for row, column in ((0, 2), (3, 5)):
        removed = torch.zeros(4, 6, dtype=torch.bool)
        removed[row, column] = True
        change = -weight[row, column] / inverse[column, column] * inverse[:, column]
        fitted = obs.fit(weight, x.T @ x, removed)
        assert torch.allclose(fitted[row], weight[row] + change)
        others = [other for other in range(4) if other != row]
        assert torch.allclose(fitted[others], weight[others])
        cost = change @ matrix @ change / 2
        saliency = weight[row, column] ** 2 / (2 * inverse[column, column])
        assert torch.allclose(cost, saliency)


def test_the_surgeons_joint_update_is_least_squares() -> None:
    torch.manual_seed(0)
    x = torch.randn(60, 6, dtype=torch.float64)
    weight = torch.randn(3, 6, dtype=torch.float64)
    gone = torch.tensor([True, False, True, False, False, True])
    fitted = obs.fit(weight, x.T @ x, gone.expand(3, 6))
    best = torch.linalg.lstsq(x[:, ~gone], x @ weight.T).solution.T
    assert torch.equal(fitted[:, gone], torch.zeros(3, 3, dtype=torch.float64))
    assert torch.allclose(fitted[:, ~gone], best, rtol=0.02, atol=0.02)  # damping is one per cent
    ragged = torch.rand(3, 6) < 0.5
    rows = obs.fit(weight, x.T @ x, ragged)
    for row in range(3):
        alone = obs.fit(weight[row : row + 1], x.T @ x, ragged[row : row + 1])
        assert torch.allclose(rows[row], alone[0])


def test_surgeon_scores_and_wanda_come_from_a_layers_inputs() -> None:
    model = network()
    evidence = seen(model)
    x = torch.cat([batch["x"] for batch in evidence.batches])
    inside = torch.tanh(model[0](x))
    weight = dict(model.named_parameters())["2.weight"]
    gram = grams(evidence)["2"]
    assert torch.allclose(gram, (inside.T @ inside).double(), atol=1e-4)
    inverse = obs.damped(gram).inverse().diagonal()
    surgeon = prune.module("scores", "obs").score(evidence)["2.weight"]
    assert torch.allclose(surgeon.double(), weight.square() / (2 * inverse), rtol=1e-4)
    wanda = prune.module("scores", "wanda").score(evidence)["2.weight"]
    assert torch.allclose(wanda, weight.abs() * inside.norm(dim=0), rtol=1e-4)
    activation = prune.module("scores", "activation").score(evidence)["2.weight"]
    assert torch.allclose(activation, inside.norm(dim=0).expand_as(weight), rtol=1e-4)


def test_sparsegpt_beats_its_mask_without_compensation() -> None:
    torch.manual_seed(0)
    # Features that follow from few causes can stand in for each other.
    causes = torch.randn(200, 6, dtype=torch.float64) @ torch.randn(6, 20, dtype=torch.float64)
    x = causes + 0.3 * torch.randn(200, 20, dtype=torch.float64)
    weight = torch.randn(16, 20, dtype=torch.float64)
    for pattern in (None, (2, 4)):
        swept = sparsegpt.sweep(weight, x.T @ x, 0.5, pattern)
        assert float((swept == 0).double().mean()) == pytest.approx(0.5)
        if pattern is not None:
            assert bool(((swept == 0).reshape(16, 5, 4).sum(-1) == 2).all())
        masked = torch.where(swept == 0, 0.0, weight)
        error = (x @ (swept - weight).T).norm()
        assert error < 0.7 * (x @ (masked - weight).T).norm()
        # With the mask given, no update can be better than least squares.
        best = obs.fit(weight, x.T @ x, swept == 0)
        assert (x @ (best - weight).T).norm() <= error * 1.01


def test_movement_ranks_down_what_training_moves_to_zero() -> None:
    """Labels that one input does not matter for: its weights are pulled to nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0, 0, 3.0], [-1.0, 0, 0, -3.0]]))
    before = model[0].weight.detach().clone()
    x = torch.randn(64, 4)
    labels = (x[:, 0] < 0).long()
    evidence = Evidence(
        model.requires_grad_(False),
        lambda m, batch: m(batch["x"]),
        True,
        [{"x": x, "y": labels}],
        answers=lambda batch: batch["y"],
        amount=0.25,
    )
    found = movement.score(evidence)["0.weight"]
    assert bool((found[:, 0] > found[:, 3]).all())  # magnitude would say the opposite
    assert torch.equal(model[0].weight, before)


def test_every_score_lifts_to_a_unit_by_sum_and_mean() -> None:
    """A unit with parts in a fused matrix, a bias and a matrix that reads it."""
    members = (
        Member("fused", 1, starts=(0, 6), width=2),
        Member("bias", 0, starts=(0, 6), width=2),
        Member("out", 0, width=2, reads=True),
    )
    torch.manual_seed(0)
    scores = {"fused": torch.rand(5, 12), "bias": torch.rand(12), "out": torch.rand(6, 4)}
    group = Group("unit", 3, members)
    expected, elements = [], 5 * 4 + 4 + 2 * 4
    for unit in range(3):
        columns = [2 * unit, 2 * unit + 1, 6 + 2 * unit, 7 + 2 * unit]
        parts = scores["fused"][:, columns].sum() + scores["bias"][columns].sum()
        expected.append(float(parts + scores["out"][2 * unit : 2 * unit + 2].sum()))
    assert lifted(group, scores).tolist() == pytest.approx(expected)
    mean = [value / elements for value in expected]
    assert lifted(group, scores, "mean").tolist() == pytest.approx(mean)


def test_scores_that_are_no_numbers_are_refused() -> None:
    model = network()
    with torch.no_grad():
        dict(model.named_parameters())["0.weight"][0, 0] = 1e38
    with pytest.raises(InputRefused, match="is not a number"):
        ranking.element_scores("obd", seen(model, categorical=False))


@pytest.mark.parametrize("method", [n for n in prune.names("scores") if n != "block-influence"])
def test_a_score_leaves_the_model_as_it_was_and_comes_out_the_same_twice(method: str) -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = ranking.element_scores(method, seen(model))
    second = ranking.element_scores(method, seen(model))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(before[name], model.state_dict()[name]) for name in before)
    for name, score in first.items():
        assert score.shape == before[name].shape
