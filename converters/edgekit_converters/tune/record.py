"""What a fine-tuning run says of itself: ``tune.json``, the model card, ``provenance.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit_converters import describe
from edgekit_converters.load import Loaded
from edgekit_converters.training.data import Data
from edgekit_converters.tune.options import Options

REPORT = "tune.json"
_TOOLS = ("accelerate", "datasets", "edgekit", "peft", "python", "torch", "transformers")


@dataclass(frozen=True)
class Tuned:
    """A tuned folder and how it was made.

    Attributes:
        path: the folder.
        report: the content of ``tune.json``.
    """

    path: Path
    report: dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What is known once training is over.

    Attributes:
        task: its name.
        base: the model that was tuned.
        fresh: parameters of a head that began at random.
        data: the rows.
        rows: rows trained on and measured on.
        settings: of the training, as they were in the end.
        trained: steps made, best step and its loss, resumed from.
        before: metrics on the held-out rows before training.
        after: the same after it.
        labels: in the order of the model's outputs.
    """

    task: str
    base: Loaded
    fresh: tuple[str, ...]
    data: Data
    rows: tuple[int, int]
    settings: dict[str, Any]
    trained: dict[str, Any]
    before: dict[str, float]
    after: dict[str, float]
    labels: tuple[str, ...]


def report(facts: Facts, options: Options) -> dict[str, Any]:
    """All facts, JSON-able and without a path of this machine."""
    from importlib.metadata import PackageNotFoundError, version

    tools = describe.toolchain()
    for name in ("accelerate", "datasets", "peft"):
        try:
            tools[name] = version(name)
        except PackageNotFoundError:
            continue
    train, held_out = facts.rows
    return {
        "task": facts.task,
        "labels": list(facts.labels),
        "base_model": {
            "id": facts.base.source.id,
            "kind": facts.base.source.kind,
            "revision": facts.base.source.revision,
            "licence": facts.base.licence,
            "weights_sha256": facts.base.weights_sha256,
        },
        "new_head": list(facts.fresh),
        "data": {
            "files": list(facts.data.files),
            "sha256": facts.data.sha256,
            "kind": facts.data.kind,
            "train_rows": train,
            "held_out_rows": held_out,
            "held_out": "a file of its own" if options.validation else options.held_out,
        },
        "settings": facts.settings,
        "trained": facts.trained,
        "metrics": {"before": facts.before, "after": facts.after},
        "toolchain": {name: tools[name] for name in _TOOLS if name in tools},
    }


def write(folder: Path, made: dict[str, Any], base: Loaded) -> None:
    """Put report, card and provenance into the folder."""
    (folder / REPORT).write_bytes(dump_bytes(made))
    stage = {
        "stage": "tune",
        "input_sha256": base.weights_sha256,
        "config": {"task": made["task"], "data": made["data"], **made["settings"]},
        "toolchain": made["toolchain"],
        "measured": {**made["metrics"], **made["trained"]},
    }
    earlier = describe.earlier_stages(base)
    (folder / describe.PROVENANCE).write_bytes(dump_bytes([*earlier, stage]))
    (folder / "README.md").write_text(_card(folder.name, made), encoding="utf-8")


def _card(name: str, made: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    template = (files("edgekit_converters") / "tune" / "card.md.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    before, after = made["metrics"]["before"], made["metrics"]["after"]
    rows = [(key, before.get(key), after[key]) for key in after]
    return environment.from_string(template).render(name=name, rows=rows, **made)


def trained_record(trained: Any) -> dict[str, Any]:
    """What training came to, without what differs between two equal runs."""
    kept = asdict(trained)
    return {name: kept[name] for name in ("steps", "best_step", "best_loss")}
