"""Distillation of a decoder and of a classifier, and training on reasons: small tasks made here."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from edgekit_converters.distill.distilling import distill
from edgekit_converters.distill.losses import Term, parse, term
from edgekit_converters.distill.models import GENERATION, Taught, opened
from edgekit_converters.distill.recipe import Recipe
from edgekit_converters.distill.wanted import Beginning
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve
from examples import tiny_decoder

_DIALOGUES = 30_000
Table = tuple[list[str], list[list[str]], str]


def decoder(steps: int, batch: int, seeds: int, place: Path, losses: Sequence[str] = ()) -> Table:
    """A quarter of the tiny decoder's parameters: bits per character, and what it writes alone."""
    place.mkdir(parents=True, exist_ok=True)
    sizes = place / "quarter.json"
    whole = {"num_hidden_layers": 3, "hidden_size": 96, "intermediate_size": 224}
    sizes.write_text(json.dumps(whole | {"num_attention_heads": 3, "head_dim": 32}))
    names = losses or ("labels", "forward_kl", "skew_kl", "on_policy")
    return _decoders(names, Beginning(config=sizes), "at random", steps, batch, seeds, place)


def half(steps: int, batch: int, seeds: int, place: Path, losses: Sequence[str] = ()) -> Table:
    """Half of the tiny decoder's layers: a student that knows something already."""
    place.mkdir(parents=True, exist_ok=True)
    words = "layers 0 and 3 of 4"
    names = losses or ("labels", "forward_kl", "skew_kl")
    return _decoders(names, Beginning(layers="0,3"), words, steps, batch, seeds, place)


def _decoders(
    names: Sequence[str],
    beginning: Beginning,
    words: str,
    steps: int,
    batch: int,
    seeds: int,
    place: Path,
) -> Table:
    teacher = opened(resolve(tiny_decoder.folder()))
    data = _dialogues(place / "dialogues.jsonl", _DIALOGUES)
    unseen = _unseen(200)
    lines = [["teacher", *_written(teacher, teacher, unseen)]]
    share = 1.0
    for name in names:
        rows = []
        for seed in range(seeds):
            out = place / f"{name}-{seed}"
            made = _made(
                tiny_decoder.folder(), data, out, parse(name), beginning, steps, batch, seed
            )
            student = opened(resolve(made.path))
            rows.append([float(cell) for cell in _written(student, teacher, unseen)])
            share = made.report["student"]["parameters"] / made.report["teacher"]["parameters"]
        lines.append([name, *(f"{sum(column) / seeds:.4f}" for column in zip(*rows, strict=True))])
    said = (
        f"student {share:.1%} of the teacher's parameters, {words}; mean of {seeds} seeds; "
        f"{steps} steps of {batch}; 200 unseen dialogues; what it writes is sampled after 8 tokens"
    )
    columns = ["loss", "bits/char", "teacher's bits/char of what it writes", "repeated 4-grams"]
    return columns, lines, said


def classifier(steps: int, batch: int, seeds: int, place: Path) -> Table:
    """Triage of complaints with hard negatives: with the teacher against labels only."""
    from benchmarks import triage

    teacher, data = triage.taught_teacher(place)
    one = Beginning(layers="1")
    lines = [["teacher", f"{triage.accuracy(opened(resolve(teacher))):.4f}", "", "1.0000"]]
    for name, losses in (("labels", "labels"), ("teacher", "logits"), ("both", "logits,labels")):
        right, like = [], 0.0
        for seed in range(seeds):
            out = place / f"{name}-{seed}"
            made = _made(teacher, data, out, parse(losses), one, steps, batch, seed)
            right.append(triage.accuracy(opened(resolve(made.path))))
            like += made.report["runs"][0]["fidelity"] / seeds
        spread = (max(right) - min(right)) / 2
        lines.append([name, f"{sum(right) / seeds:.4f}", f"{spread:.4f}", f"{like:.4f}"])
    words = (
        f"1 of 6 layers; {seeds} seeds; {steps} steps of {batch}; accuracy on {triage.TESTED} "
        f"clean texts, {triage.NOISE:.0%} of the labels trained on are wrong; +- is half the range"
    )
    return ["learns from", "accuracy", "+-", "fidelity"], lines, words


def reasons(steps: int, batch: int, seeds: int, place: Path) -> Table:
    """A rule of two steps: label and reason against label alone, on unseen combinations."""
    place.mkdir(parents=True, exist_ok=True)
    rows = _rules()
    random.Random(0).shuffle(rows)
    data = place / "rules.jsonl"
    data.write_text("\n".join(map(json.dumps, rows[:600])), encoding="utf-8")
    tested = rows[600:700]
    kitchens = sum(row["label"] == "kitchen" for row in tested) / len(tested)
    lines = [["the commoner label, always", f"{max(kitchens, 1 - kitchens):.3f}", ""]]
    for name, weight in (("label alone", 0.0), ("label and reason", 1.0)):
        found = []
        for seed in range(seeds):
            loss = term("rationale", settings={"rationale_weight": weight})
            made = _made(
                tiny_decoder.folder(),
                data,
                place / f"{weight}-{seed}",
                [loss],
                Beginning(),
                steps,
                batch,
                seed,
            )
            found.append(_right(opened(resolve(made.path)), tested))
        spread = (max(found) - min(found)) / 2
        lines.append([name, f"{sum(found) / seeds:.3f}", f"{spread:.3f}"])
    words = (
        f"the tiny decoder trained on 600 rows, {steps} steps of {batch}, {seeds} seeds; accuracy "
        "of the written label on 100 unseen rows; +- is half the range"
    )
    return ["trained on", "accuracy", "+-"], lines, words


def _made(
    teacher: str | Path,
    data: Path,
    out: Path,
    losses: Sequence[Term],
    beginning: Beginning,
    steps: int,
    batch: int,
    seed: int,
) -> Any:
    said = Recipe(
        steps=steps,
        batch=batch,
        seed=seed,
        losses=tuple(losses),
        controls=False,
        learning_rate=5e-4 if beginning.config is None else 2e-3,
    )
    with quiet():
        return distill(teacher, [data], out=out, beginning=beginning, said=said)


def _dialogues(path: Path, count: int) -> Path:
    texts = tiny_decoder.dialogues(1)
    rows = ({"text": next(texts)} for _ in range(count))
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def _unseen(count: int) -> list[str]:
    texts = tiny_decoder.dialogues(2, held_out=True)
    return [next(texts) for _ in range(count)]


def _written(student: Taught, teacher: Taught, texts: Sequence[str]) -> list[str]:
    """Bits per character of given texts, of what it writes under the teacher, and repetition."""
    assert student.task == GENERATION
    model: Any = student.model
    made, repeated = [], 0.0
    torch.manual_seed(0)
    for text in texts[:50]:
        ids = torch.tensor([student.loaded.tokenizer.encode(text).ids[:8]])
        with torch.no_grad():
            out = model.generate(input_ids=ids, max_new_tokens=32, do_sample=True, top_k=0)
        tokens = out[0].tolist()
        made.append(student.loaded.tokenizer.decode(tokens, skip_special_tokens=False))
        grams = list(zip(*(tokens[shift:] for shift in range(4)), strict=False))
        repeated += 1 - len(set(grams)) / max(len(grams), 1)
    own, judged = _bits(student, texts), _bits(teacher, made)
    return [f"{own:.4f}", f"{judged:.4f}", f"{repeated / 50:.4f}"]


def _bits(model: Taught, texts: Sequence[str]) -> float:
    """Bits per character."""
    total, characters = 0.0, 0
    whole: Any = model.model
    for text in texts:
        ids = torch.tensor([model.loaded.tokenizer.encode(text).ids])
        if ids.shape[1] < 2:
            continue
        with torch.no_grad():
            logits = whole(input_ids=ids).logits[0, :-1]
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        characters += len(text)
    return total / max(characters, 1) / float(torch.log(torch.tensor(2.0)))


def _rules() -> list[dict[str, str]]:
    """Which of two houses is warmer after changes: the reason holds the sums."""
    rows = []
    for a in range(13):
        for b in range(13):
            for c in range(1, 6):
                label = "kitchen" if a + c > b else "bedroom"
                rows.append(
                    {
                        "input": f"kitchen {a}, bedroom {b}, kitchen + {c}: warmer?",
                        "rationale": f"{a} + {c} = {a + c}. {a + c} and {b}: {label}.",
                        "label": label,
                    }
                )
    return rows


def _right(model: Taught, rows: Sequence[dict[str, str]]) -> float:
    whole: Any = model.model
    tokenizer = model.loaded.tokenizer
    right = 0
    for row in rows:
        ids = torch.tensor([tokenizer.encode(f"[label] {row['input']}\n").ids])
        with torch.no_grad():
            out = whole.generate(input_ids=ids, max_new_tokens=8, do_sample=False)
        said = tokenizer.decode(out[0, ids.shape[1] :].tolist(), skip_special_tokens=True)
        right += said.strip() == row["label"]
    return right / len(rows)


COMMANDS: dict[str, Callable[..., Table]] = {
    "classifier": classifier,
    "decoder": decoder,
    "half": half,
    "rationale": reasons,
}
