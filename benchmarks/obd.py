"""Optimal Brain Damage on networks trained here: what is left of accuracy as weights go.

    .venv/bin/python -m benchmarks.obd [--seeds 3] [--plot docs/pruning-obd.svg]

Twelve intents in sentences that this script writes, seen as hashed letter trigrams by a network of
about 100,000 weights; an easy task, and one with so many typing errors and shared words that the
dense network does not solve it. Weights go in rounds, the same training after each, ranked by
Optimal Brain Damage, by magnitude, or at random.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit_converters.prune import allocation, masks
from edgekit_converters.prune.evidence import Evidence

LEVELS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
SHOWN = (0.9, 0.95, 0.98)
METHODS = ("obd", "magnitude", "random")
FEATURES = 256
DENSE_STEPS, ROUND_STEPS, BATCH = 500, 100, 128
TRAIN, TEST = 4000, 2000

INTENTS: dict[str, tuple[str, ...]] = {
    "alarm": ("wake me at {n}", "set an alarm for {n}", "alarm at {n} please"),
    "timer": ("count down {n} minutes", "start a timer of {n} minutes", "timer for {n} please"),
    "weather": ("will it rain in {p}", "how warm is it in {p}", "weather in {p} please"),
    "music": ("play some {t}", "put on {t} music", "I want to hear {t}"),
    "volume": ("make it louder by {n}", "set the sound to {n}", "volume {n} please"),
    "light on": ("turn on the lamp in the {r}", "light in the {r} please", "brighten the {r}"),
    "light off": ("turn off the lamp in the {r}", "no light in the {r}", "darken the {r}"),
    "heating": ("heat the {r} to {n} degrees", "make the {r} warmer", "heating in the {r} to {n}"),
    "call": ("call {w}", "phone {w} please", "ring up {w} now"),
    "message": ("send {w} a message", "write to {w}", "text {w} that I come at {n}"),
    "route": ("how do I get to {p}", "take me to {p}", "the way to {p} please"),
    "news": ("what is new in {p}", "read the news about {t}", "headlines of {p} please"),
}
WORDS = {
    "n": [str(n) for n in range(1, 60)],
    "p": ["Paris", "Berlin", "London", "Madrid", "Rome", "Vienna", "Oslo", "Athens", "Prague"],
    "t": ["jazz", "rock", "piano", "football", "politics", "folk", "science", "opera"],
    "r": ["kitchen", "bedroom", "hall", "office", "garage", "garden", "bathroom"],
    "w": ["Anna", "Ben", "Clara", "David", "mother", "my boss", "Grace", "the doctor"],
}


@dataclass(frozen=True)
class Task:
    """A classification task.

    Attributes:
        name: as the table calls it.
        errors: share of letters that are typed wrong.
        borrowed: share of words that come from another intent's sentence.
    """

    name: str
    errors: float
    borrowed: float


TASKS = (Task("easy", 0.0, 0.0), Task("hard", 0.12, 0.35))


def sentences(task: Task, count: int, draw: random.Random) -> Iterator[tuple[str, int]]:
    """Sentences with their intents, as many of each."""
    names = list(INTENTS)
    for number in range(count):
        label = number % len(names)
        words = _sentence(names[label], draw).split()
        other = _sentence(draw.choice(names), draw).split()
        mixed = [draw.choice(other) if draw.random() < task.borrowed else word for word in words]
        typed = [
            draw.choice("abcdefghijklmnopqrstuvwxyz ") if draw.random() < task.errors else letter
            for letter in " ".join(mixed)
        ]
        yield "".join(typed), label


def _sentence(intent: str, draw: random.Random) -> str:
    chosen = {key: draw.choice(words) for key, words in WORDS.items()}
    return draw.choice(INTENTS[intent]).format(**chosen)


def features(text: str) -> Tensor:
    """Counts of letter trigrams in ``FEATURES`` buckets, scaled to length 1."""
    padded = f"  {text.lower()} "
    found = torch.zeros(FEATURES)
    for place in range(len(padded) - 2):
        found[zlib.crc32(padded[place : place + 3].encode()) % FEATURES] += 1
    return F.normalize(found, dim=0)


def data(task: Task, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test sets; no sentence of the test set is trained on."""
    draw = random.Random(seed)
    train = list(sentences(task, TRAIN, draw))
    known = {text for text, _ in train}
    fresh = [pair for pair in sentences(task, 3 * TEST, draw) if pair[0] not in known][:TEST]
    made = []
    for part in (train, fresh):
        made += [torch.stack([features(text) for text, _ in part])]
        made += [torch.tensor([label for _, label in part])]
    return made[0], made[1], made[2], made[3]


def network() -> nn.Sequential:
    """Three layers, about 100,000 weights."""
    wide, narrow = 256, 128
    return nn.Sequential(
        nn.Linear(FEATURES, wide),
        nn.ReLU(),
        nn.Linear(wide, narrow),
        nn.ReLU(),
        nn.Linear(narrow, len(INTENTS)),
    )


def train(
    model: nn.Module, x: Tensor, y: Tensor, steps: int, removed: masks.Masks, seed: int
) -> None:
    """Adam, zeros staying zeros."""
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(steps):
        picked = torch.randint(len(x), (BATCH,), generator=draw)
        loss = F.cross_entropy(model(x[picked]), y[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        masks.apply(model, removed)


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of right answers."""
    with torch.no_grad():
        return float((model(x).argmax(-1) == y).double().mean())


def one_run(task: Task, seed: int) -> dict[str, list[float]]:
    """Accuracy of the dense network, then at each level of each method."""
    torch.manual_seed(seed)
    x, y, test_x, test_y = data(task, seed)
    dense = network()
    train(dense, x, y, DENSE_STEPS, {}, seed)
    found = {"dense": [accuracy(dense, test_x, test_y)]}
    batches = [{"x": x[start : start + 500]} for start in range(0, 2000, 500)]
    for method in METHODS:
        model = network()
        model.load_state_dict(dense.state_dict())
        removed: masks.Masks = {}
        path = []
        for number, level in enumerate(LEVELS):
            seen = Evidence(
                model, lambda m, batch: m(batch["x"]), True, batches, seed=seed + number, probes=4
            )

            def shares(scores: dict[str, Tensor], level: float = level) -> dict[str, float]:
                return allocation.ranked(scores, level)

            removed = masks.masked(seen, "element", method, level, shares, removed)  # type: ignore[arg-type]
            train(model, x, y, ROUND_STEPS, removed, seed + 1 + number)
            path.append(accuracy(model, test_x, test_y))
        found[method] = path
    return found


def draw_curves(results: dict[str, list[dict[str, list[float]]]], path: Path) -> None:
    """Accuracy against the share removed, a panel a task, mean and range over seeds."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "edgekit", "font.size": 9}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for place, (name, runs) in enumerate(results.items()):
            axes = figure.add_subplot(1, len(results), place + 1)
            dense = statistics.mean(run["dense"][0] for run in runs)
            axes.axhline(dense, color="grey", linestyle="--", label="dense")
            for method in METHODS:
                columns = list(zip(*(run[method] for run in runs), strict=True))
                at = [100 * level for level in LEVELS]
                middle = [statistics.mean(column) for column in columns]
                (line,) = axes.plot(at, middle, marker="o", label=method)
                low, high = [min(c) for c in columns], [max(c) for c in columns]
                axes.fill_between(at, low, high, alpha=0.2, color=line.get_color())
            axes.set_title(f"{name} task, {len(runs)} seeds")
            axes.set_xlabel("weights removed, %")
            axes.set_ylabel("accuracy")
            axes.set_ylim(0, 1.02)
            axes.legend(loc="lower left")
        figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Run both tasks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--only", choices=[task.name for task in TASKS])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.monotonic()
    weights = sum(p.numel() for p in network().parameters())
    print(
        f"{weights} parameters, {len(INTENTS)} classes, {TRAIN} training and {TEST} test "
        f"sentences, {DENSE_STEPS} dense steps, {ROUND_STEPS} after each of {len(LEVELS)} rounds, "
        f"{asked.seeds} seeds, one thread"
    )
    chosen = [task for task in TASKS if asked.only in (None, task.name)]
    results = {t.name: [one_run(t, seed) for seed in range(asked.seeds)] for t in chosen}
    print(
        "\n| task | method | dense | "
        + " | ".join(f"{100 * s:.0f} %" for s in SHOWN)
        + " | kept at 90 %, worst seed |"
    )
    print("|---|---|---|" + "---|" * (len(SHOWN) + 1))
    for name, runs in results.items():
        for method in METHODS:
            dense = [run["dense"][0] for run in runs]
            at = {s: [run[method][LEVELS.index(s)] for run in runs] for s in SHOWN}
            kept = min(a / d for a, d in zip(at[0.9], dense, strict=True))
            cells = " | ".join(f"{statistics.mean(at[s]):.3f}" for s in SHOWN)
            print(f"| {name} | {method} | {statistics.mean(dense):.3f} | {cells} | {kept:.1%} |")
    print(f"\n{time.monotonic() - begin:.0f} s")
    if asked.plot is not None:
        draw_curves(results, asked.plot)


if __name__ == "__main__":
    main()
