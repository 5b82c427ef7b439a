"""Complaints to be sorted: made here, with hard negatives, and a teacher that is not perfect."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from edgekit_converters.distill.collate import collate_for
from edgekit_converters.distill.models import Taught
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve

LABELS = ("screen", "battery", "network", "sound")
_WORDS = {
    "screen": ["screen", "display", "glass", "touch panel"],
    "battery": ["battery", "charge", "power", "charging port"],
    "network": ["signal", "reception", "network", "connection"],
    "sound": ["speaker", "sound", "volume", "microphone"],
}
_FAULTS = ["is broken", "does not work", "is dead", "fades", "comes and goes", "is getting worse"]
# Near to the faults in words: what is fine is told from what is broken by the small ones.
_FINE = [
    *("is not broken", "does work", "is not dead", "no longer fades", "came and stays"),
    *("is getting better", "was dead and is alive again", "was broken until the repair"),
]
_FORMS = [
    *("{good} but {bad}", "{bad} although {good}"),
    *("{hit} because {bad}", "{bad}, and that is why {hit}"),
    *("{hit} only when {bad}", "since {bad}, {hit}"),
]
NOISE = 0.08  # of the labels are wrong, as in data that people sorted in a hurry
_TRAINED, _ROUNDS = 300, 2  # texts that the teacher itself was trained on, and how often
TESTED = 400  # texts, none of which anything was trained on


def triage(
    count: int, seed: int, noise: float = NOISE, *, all_words: bool = False
) -> list[tuple[str, str]]:
    """Texts and labels: another part is always named too, and is fine, or broken by the first.

    ``all_words`` draws from words and forms that no text to train on has.
    """
    draw = random.Random(seed)

    def one(choices: list[str], kept: int) -> str:
        return draw.choice(choices if all_words else choices[:kept])

    rows = []
    for _ in range(count):
        label, other = draw.sample(LABELS, 2)
        bad = f"the {one(_WORDS[label], 2)} {one(_FAULTS, 4)}"
        good = f"the {one(_WORDS[other], 2)} {one(_FINE, 5)}"
        hit = f"the {one(_WORDS[other], 2)} {one(_FAULTS, 4)}"
        text = one(_FORMS, 4).format(bad=bad, good=good, hit=hit)
        said = draw.choice(LABELS) if draw.random() < noise else label
        rows.append((text.capitalize() + ".", said))
    return rows


def taught_teacher(place: Path) -> tuple[Path, Path]:
    """A teacher on MiniLM's body, and the student's data: 600 texts, labelled as carelessly."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    place.mkdir(parents=True, exist_ok=True)
    folder = resolve("minilm").folder
    names = dict(enumerate(LABELS))
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=len(LABELS), id2label=names, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        examples = triage(_TRAINED, 1)
        model.train()
        for start in [*range(0, _TRAINED, 25)] * _ROUNDS:
            part = examples[start : start + 25]
            inputs = tokenizer([text for text, _ in part], return_tensors="pt", padding=True)
            targets = torch.tensor([LABELS.index(label) for _, label in part])
            loss = F.cross_entropy(model(**inputs).logits, targets)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    model.eval()
    model.save_pretrained(place / "teacher")
    tokenizer.save_pretrained(place / "teacher")
    data = place / "triage.csv"
    with data.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows(triage(600, 3))
    return place / "teacher", data


def accuracy(model: Taught) -> float:
    """Share of ``TESTED`` unseen texts, all labelled well, that a model sorts right.

    Half of their words and a third of their forms are new to everyone.
    """
    rows = triage(TESTED, 2, 0.0, all_words=True)
    collate, probe, right = collate_for(model), model.probe(), 0
    for start in range(0, TESTED, 32):
        part = rows[start : start + 32]
        batch: Any = [{"text": text, "row": 0} for text, _ in part]
        with torch.no_grad():
            said = probe(collate(batch), {"logits"})["logits"].argmax(-1).tolist()
        right += sum(LABELS[i] == label for i, (_, label) in zip(said, part, strict=True))
    return right / TESTED
