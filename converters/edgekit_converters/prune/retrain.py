"""Train a pruned model to answer as the original did: distillation without labels.

Hinton et al. (1503.02531) for logits; the cosine towards the original's vectors otherwise. Where
the width is still the original's, the states between the layers follow the original's as well
(FitNets, Romero et al., 1412.6550): they say much more of each text than its answer does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from edgekit_converters.prune.evidence import Batch
from edgekit_converters.prune.subject import loss

RATE = 3e-4
_DECAY = 0.01
_LONGEST_GRADIENT = 1.0
_WARM_UP = 0.05

# A model and a batch -> its outputs as rows, and its states after the embedding and each layer.
Answer = tuple[Tensor, tuple[Tensor, ...]]
Answers = Callable[[nn.Module, Batch], Answer]


def retrain(
    student: nn.Module,
    teacher: nn.Module,
    answers: Answers,
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
        answers: the output of a model for a batch, and its states where they may be compared.
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
    losses = []
    for step, place in enumerate(_order(len(batches), steps, seed)):
        with torch.no_grad():
            target, theirs = answers(teacher, batches[place])
        made, states = answers(student, batches[place])
        value = loss(made, target, categorical) + _apart(states, theirs)
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


def _apart(states: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor | float:
    """Mean squared error of the states as a share of the original's variance, a mean over layers.

    Where layers are missing only the last states are held together; where the width is another
    one, none.
    """
    if not states or not theirs or states[-1].shape != theirs[-1].shape:
        return 0.0
    pairs = list(zip(states, theirs, strict=True)) if len(states) == len(theirs) else []
    pairs = pairs or [(states[-1], theirs[-1])]
    errors = [(own - other).square().mean() / other.var() for own, other in pairs]
    return torch.stack(errors).mean()


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
