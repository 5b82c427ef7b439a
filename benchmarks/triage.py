"""Complaints to be sorted: made here, with hard negatives, and a teacher that is not perfect."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

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
_FINE = ["is fine", "works well", "is perfect", "was repaired"]
_NOISE = 0.08  # of the labels are wrong, as in data that people sorted in a hurry
_TRAINED = 300  # texts that the teacher itself was trained on


def triage(count: int, seed: int, noise: float = _NOISE) -> list[tuple[str, str]]:
    """Texts and labels: another part is always named too, and is fine."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        label, other = draw.sample(LABELS, 2)
        bad = f"the {draw.choice(_WORDS[label])} {draw.choice(_FAULTS)}"
        good = f"the {draw.choice(_WORDS[other])} {draw.choice(_FINE)}"
        text = f"{good} but {bad}" if draw.random() < 0.5 else f"{bad} although {good}"
        said = draw.choice(LABELS) if draw.random() < noise else label
        rows.append((text.capitalize() + ".", said))
    return rows


def taught_teacher(
    place: Path, rows: Callable[[int, int, float], list[tuple[str, str]]]
) -> tuple[Path, Path, float]:
    """A teacher on MiniLM's body, the student's data, the teacher's accuracy on clean labels."""
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
    examples = rows(_TRAINED, 1, _NOISE)
    model.train()
    for start in [*range(0, _TRAINED, 25)] * 2:
        part = examples[start : start + 25]
        inputs = tokenizer([text for text, _ in part], return_tensors="pt", padding=True)
        targets = torch.tensor([LABELS.index(label) for _, label in part])
        loss = F.cross_entropy(model(**inputs).logits, targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    model.eval()
    clean = rows(200, 2, 0.0)
    inputs = tokenizer([text for text, _ in clean], return_tensors="pt", padding=True)
    with torch.no_grad():
        said = model(**inputs).logits.argmax(-1).tolist()
    right = sum(LABELS[i] == label for i, (_, label) in zip(said, clean, strict=True)) / len(clean)
    model.save_pretrained(place / "teacher")
    tokenizer.save_pretrained(place / "teacher")
    data = place / "triage.csv"
    with data.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows(rows(600, 3, _NOISE))
    return place / "teacher", data, right
