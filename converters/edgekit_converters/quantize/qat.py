"""Quantization-aware training: a short run that makes the weights ready for their rounding.

The model is its own teacher. torchao's ``FakeQuantizedLinear`` rounds weights and activations on
the way forward and lets gradients pass as if nothing had been rounded; what is minimised is the
distance to the outputs of the float model. Scales are chosen once, by round to nearest, and stay:
what comes back lies on that grid, and rounding it to nearest again gives the same grid.

Only the weights move. Biases, norms and tables keep their values, so that a plan for the float
model serves the trained one.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgekit_converters.quantize.grid import Grid, highest, lowest
from edgekit_converters.quantize.plan import FP32, LINEAR_BITS, Setting
from edgekit_converters.quantize.rounding import nearest

# Texts whose gradients make one step; each is run alone, as it will be in an app.
BATCH = 8

# How far a weight may move in one step of training, in steps of its grid.
_RATE = 0.001
_STEPS = 200

Progress = Callable[[int, float], None]


def train(
    model: nn.Module,
    inputs: Sequence[tuple[Tensor, ...]],
    settings: Mapping[str, Setting],
    steps: int = _STEPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Train the weights of a model's linears for their grids.

    Args:
        model: the float model, one tensor out; it is not changed.
        inputs: arguments of the model, one text each; used in an order that ``seed`` decides.
        settings: by parameter name. Names of anything but a linear with a weight of its own are
            left alone: a table would only learn the tokens that it is shown.
        steps: of ``BATCH`` texts.
        seed: the same one gives the same weights.
        progress: called after each step with its number and the relative squared error.

    Returns:
        The trained weights by parameter name, float32, each on its grid.

    Raises:
        ValueError: no inputs, no step, or nothing to train.
    """
    if not inputs or steps < 1:
        raise ValueError(f"{steps} steps over {len(inputs)} texts train nothing")
    wanted = _wanted(model, settings)
    if not wanted:
        raise ValueError("none of the settings is for a linear with 8 or 4 bits")
    with torch.no_grad():
        targets = [model(*arguments).detach() for arguments in inputs]
    student, grids = _student(model, wanted)
    trained = [student.get_parameter(f"{path}.weight") for path in wanted]
    # Weights of one grid move alike whatever their size, so each tensor has a rate of its own.
    rates = [float(grid.scales.mean()) * _RATE for grid in grids.values()]
    groups = [{"params": [w], "lr": rate} for w, rate in zip(trained, rates, strict=True)]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = _shuffled(len(inputs), seed)
    for step in range(steps):
        optimizer.zero_grad()
        total = 0.0
        for index in (next(order) for _ in range(BATCH)):
            target = targets[index]
            error = (student(*inputs[index]) - target).square().mean()
            loss = error / target.square().mean().clamp(min=1e-12) / BATCH
            torch.autograd.backward(loss)
            total += float(loss.detach())
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, total)
    return {
        f"{path}.weight": _on_grid(weight.detach(), grid)
        for weight, (path, grid) in zip(trained, grids.items(), strict=True)
    }


def _wanted(model: nn.Module, settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Settings by a linear's path; a weight that several modules share is none's own."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {
        path: settings[f"{path}.weight"]
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and owners[id(module.weight)] == 1
        and settings.get(f"{path}.weight", Setting(FP32)).bits in set(LINEAR_BITS) - {FP32}
    }


def _student(model: nn.Module, wanted: Mapping[str, Setting]) -> tuple[nn.Module, dict[str, Grid]]:
    """A copy that rounds, all of it frozen but the weights that are wanted."""
    # By name: what is behind them moves between releases, and this file is the only one to know.
    quantization: Any = importlib.import_module("torchao.quantization")
    qat: Any = importlib.import_module("torchao.quantization.qat")
    student = copy.deepcopy(model).eval().requires_grad_(False)
    grids = {path: _grid(student.get_submodule(path), wish) for path, wish in wanted.items()}
    for setting in dict.fromkeys((s.bits, s.group) for s in wanted.values()):
        paths = {path for path, s in wanted.items() if (s.bits, s.group) == setting}
        config = qat.QATConfig(
            activation_config=qat.IntxFakeQuantizeConfig(
                torch.int8, "per_token", is_symmetric=False
            ),
            weight_config=_weight_config(qat, *setting),
            step="prepare",
        )
        quantization.quantize_(
            student, config, lambda _, path, paths=paths: path in paths, device=None
        )
    for path, grid in grids.items():
        linear: Any = student.get_submodule(path)
        linear.weight.requires_grad_(True)
        linear.weight_fake_quantizer.scale = grid.scales
        linear.weight_fake_quantizer.zero_point = torch.zeros_like(grid.scales, dtype=torch.int32)
    return student, grids


def _grid(linear: Any, setting: Setting) -> Grid:
    dtype = torch.bfloat16 if setting.group else torch.float32
    weight: Tensor = linear.weight.detach()
    return nearest.fit(weight, setting.bits, setting.group, scale_dtype=dtype)


def _weight_config(qat: Any, bits: int, group: int) -> Any:
    dtype = getattr(torch, f"int{bits}")
    fixed = {"is_symmetric": True, "is_dynamic": False}
    if group:
        return qat.IntxFakeQuantizeConfig(dtype, group_size=group, **fixed)
    return qat.IntxFakeQuantizeConfig(dtype, "per_channel", **fixed)


def _shuffled(count: int, seed: int) -> Iterator[int]:
    """All indices in one random order after another."""
    made = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=made).tolist()


def _on_grid(weight: Tensor, grid: Grid) -> Tensor:
    """Rounded to the grid's scales; what was at the end of its range stays there.

    So the scales are found again from the weights alone.
    """
    step = grid.scales.repeat_interleave(grid.group, dim=1)
    values = torch.round(weight / step).clamp(lowest(grid.bits), highest(grid.bits))
    at_end = (grid.values == highest(grid.bits)) | (grid.values == lowest(grid.bits))
    return torch.where(at_end, grid.values.to(values.dtype), values) * step
