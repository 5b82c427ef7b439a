"""What each part of a model can spare: the loss when one group of units alone is thinned out.

The same table as the sensitivity scan of quantization gives (``quantize.search.sensitivity``), with
shares in the place of bits, so that a search over both reads one form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit.errors import SpecError
from edgekit.stages import ProgressCallback, Stages
from edgekit_converters import prepare, prune
from edgekit_converters.evaluate import samples
from edgekit_converters.prune import architecture, ranking, rounds
from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.groups import Group, zeroed
from edgekit_converters.prune.job import given
from edgekit_converters.prune.plan import Cut
from edgekit_converters.prune.request import LAYER, VOCAB, Wanted, settled
from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.quantize.search.sensitivity import Sensitivity
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve

_BATCH = 8
_SCORED = 128
_BYTES = 4


@dataclass(frozen=True)
class Scan:
    """A sensitivity table.

    Attributes:
        model: where it came from.
        task: what its outputs are.
        method: how units were ranked.
        granularity: what was removed.
        rows: one a group and amount.
    """

    model: str
    task: str
    method: str
    granularity: str
    rows: tuple[Sensitivity, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; losses are ``1 - cosine`` of vectors or the divergence of logits, a text."""
        return {
            "model": self.model,
            "task": self.task,
            "method": self.method,
            "granularity": self.granularity,
            "sensitivity": [row.as_dict() for row in self.rows],
        }


def run(
    model: str | Path,
    said: Mapping[str, Any],
    *,
    recipe: Path | None = None,
    task: str = "auto",
    max_length: int | None = None,
    samples_file: Path | None = None,
    revision: str | None = None,
    progress: ProgressCallback | None = None,
) -> Scan:
    """Scan a model; see ``job.prune`` for the arguments and what is refused.

    Raises:
        SpecError: besides, a granularity that has no groups.
    """
    wanted = settled({**said, "scan": True}, recipe)
    if wanted.masks or wanted.granularity == VOCAB:
        raise SpecError(
            f"a scan thins out units of layers, and {wanted.granularity} has none",
            hint="Use --granularity ffn, head, hidden or layer.",
        )
    measured = samples.evaluation(samples_file)
    texts = given(wanted.data)
    stages = Stages({"load": 5.0, "score": 30.0, "scan": 60.0}, progress)
    with stages.stage("load"):
        original = subject(resolve(model, revision=revision), task, max_length)
    with quiet(), prepare.one_thread():
        with stages.stage("score"):
            groups, scores = _scored(original, wanted, texts)
        with stages.stage("scan"):
            rows = tuple(_rows(original, wanted, groups, scores, measured))
    stages.finish()
    name = original.loaded.source.id
    found = Scan(name, original.task, wanted.method, wanted.granularity, rows)
    if wanted.plot is not None:
        from edgekit_converters.prune import heat_map

        heat_map.draw(found, wanted.plot)
    return found


def _scored(
    original: Subject, wanted: Wanted, texts: Sequence[str]
) -> tuple[tuple[Group, ...], dict[str, Tensor]]:
    now = architecture.of(original.model)
    least = min(wanted.amounts) if wanted.granularity != LAYER else 0.5
    cut: Cut = prune.module("granularities", wanted.granularity).cut(now, now, max(least, 0.5))
    step = max(1, -(-len(texts) // _SCORED))
    seen = rounds.evidence(
        original, original.model, original.batches(texts[::step], _BATCH), wanted
    )
    scores = ranking.unit_scores(wanted.method, cut, seen, wanted.lift)
    return cut.groups, scores


def _rows(
    original: Subject,
    wanted: Wanted,
    groups: Sequence[Group],
    scores: Mapping[str, Tensor],
    texts: Sequence[str],
) -> Iterator[Sensitivity]:
    batches = original.batches(texts, _BATCH)
    with torch.no_grad():
        answers = [_each_text(original, batch) for batch in batches]
    state = original.model.state_dict()
    for group in groups:
        held = group.elements(state) * _BYTES
        order = scores[group.name].argsort(stable=True).tolist()
        if group.whole is not None:  # a layer is one unit: each is a group of its own
            for unit in range(group.count):
                name = f"{group.name.removesuffix(' layers')}.{unit}"
                with _skipped(original.model, group, unit):
                    yield _row(original, name, "removed", 0, batches, answers)
            continue
        for amount in wanted.amounts:
            gone = order[: round(amount * group.count)]
            with _without(original.model, zeroed(group, state, gone)):
                left = held * (group.count - len(gone))
                yield _row(original, group.name, f"{amount:g}", left, batches, answers)


def _row(
    original: Subject,
    name: str,
    amount: str,
    size: int,
    batches: Sequence[Any],
    answers: Sequence[list[Tensor]],
) -> Sensitivity:
    losses: list[float] = []
    with torch.no_grad():
        for batch, before in zip(batches, answers, strict=True):
            for own, other in zip(_each_text(original, batch), before, strict=True):
                losses.append(_loss(own, other, original.categorical))
    return Sensitivity(name, amount, size, tuple(losses))


def _each_text(original: Subject, batch: Any) -> list[Tensor]:
    """Rows of each text of a batch."""
    rows = original.rows(original.model, batch)
    texts = len(batch["input_ids"])
    if len(rows) == texts:
        return list(rows[:, None])
    lengths: list[int] = batch["attention_mask"].sum(1).tolist()
    return list(torch.split(rows, lengths))


def _loss(own: Tensor, other: Tensor, categorical: bool) -> float:
    if categorical:
        pair = F.log_softmax(own, -1), F.log_softmax(other, -1)
        return float(F.kl_div(*pair, reduction="batchmean", log_target=True))
    return float((1 - F.cosine_similarity(own, other, dim=-1)).mean())


@contextmanager
def _without(model: Any, changed: Mapping[str, Tensor]) -> Iterator[None]:
    """Other values of some parameters inside, the model's own again outside."""
    state = model.state_dict()
    before = {name: state[name].clone() for name in changed}
    with torch.no_grad():
        for name, tensor in changed.items():
            state[name].copy_(tensor)
        try:
            yield
        finally:
            for name, tensor in before.items():
                state[name].copy_(tensor)


@contextmanager
def _skipped(model: Any, group: Group, unit: int) -> Iterator[None]:
    """One layer passes on what it is given."""
    assert group.whole is not None
    stack = group.name.removesuffix(" layers")
    head = group.whole[unit][0].partition(f"{stack}.")[0]
    layer = model.get_submodule(f"{head}{stack}.{unit}")

    def passed(module: Any, given: tuple[Any, ...], named: Any, output: Any) -> Any:
        before = given[0] if given else named["hidden_states"]
        return (before, *output[1:]) if isinstance(output, tuple) else before

    hook = layer.register_forward_hook(passed, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def mask_losses(
    original: Subject, seen: Evidence, scores: Mapping[str, Tensor], amounts: Sequence[float]
) -> dict[str, list[float]]:
    """Loss of each weight's lowest elements alone becoming zero, for each share.

    Args:
        original: whose answers are the right ones.
        seen: with the model that is changed, and back.
        scores: of the elements of each weight.
        amounts: ascending shares.
    """
    from edgekit_converters.prune.granularities import element
    from edgekit_converters.prune.subject import loss

    weights = seen.weights()
    with torch.no_grad():
        batches = seen.batches[: max(1, len(seen.batches) // 4)]
        answers = [original.rows(original.model, batch) for batch in batches]
        found: dict[str, list[float]] = {}
        for name, score in scores.items():
            for amount in amounts:
                gone = element.removed(score, amount)
                with _without(seen.model, {name: weights[name].masked_fill(gone, 0.0)}):
                    every = [
                        float(loss(original.rows(seen.model, batch), answer, seen.categorical))
                        for batch, answer in zip(batches, answers, strict=True)
                    ]
                found.setdefault(name, []).append(sum(every) / len(every))
    return found
