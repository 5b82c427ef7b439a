"""Train a pruned model to answer as the original did: distillation without labels.

Hinton et al. (1503.02531) for logits; the cosine towards the original's vectors otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from edgekit_converters.prune.evidence import Batch, Rows
from edgekit_converters.prune.subject import loss

RATE = 3e-4
_DECAY = 0.01
_LONGEST_GRADIENT = 1.0
_WARM_UP = 0.05


def retrain(
    student: nn.Module,
    teacher: nn.Module,
    rows: Rows,
    batches: Sequence[Batch],
    steps: int,
    *,
    categorical: bool,
    after: Callable[[], None] = lambda: None,
    seed: int = 0,
    rate: float = RATE,
    say: Callable[[str], None] = lambda line: None,
) -> float:
    """Train in place with AdamW, the rate warmed up and then a cosine; dropout stays off.

    Args:
        student: what learns.
        teacher: whose outputs are learnt; never changed.
        rows: the output of a model for a batch.
        batches: of real texts, gone through in a new order each time.
        steps: updates.
        categorical: rows are logits.
        after: called after each update; puts zeros back where a mask wants them.
        seed: of the order.
        rate: largest learning rate.
        say: told how it goes.

    Returns:
        The mean loss over the last tenth of the steps.
    """
    if steps < 1:
        return math.nan
    learnt = [parameter for parameter in student.parameters()]
    student.requires_grad_(True)
    optimizer = torch.optim.AdamW(learnt, lr=rate, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps))
    answers: dict[int, Tensor] = {}
    losses = []
    for step, place in enumerate(_order(len(batches), steps, seed)):
        if place not in answers:
            with torch.no_grad():
                answers[place] = rows(teacher, batches[place])
        value = loss(rows(student, batches[place]), answers[place], categorical)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learnt, _LONGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        after()
        losses.append(float(value.detach()))
        if step % 100 == 99:
            say(f"step {step + 1} of {steps}: loss {sum(losses[-100:]) / 100:.4f}")
    student.requires_grad_(False)
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)


def _share(step: int, steps: int) -> float:
    warm = max(1, round(_WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / max(steps - warm, 1))


def _order(count: int, steps: int, seed: int) -> list[int]:
    draw = torch.Generator().manual_seed(seed)
    found: list[int] = []
    while len(found) < steps:
        found += torch.randperm(count, generator=draw).tolist()
    return found[:steps]


Answers = Mapping[int, Tensor]
