"""The texts of a job as files: one part to train with, one that no stage ever trains on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import InputRefused
from edgekit_converters.evaluate import samples
from edgekit_converters.training import data, data_files

# One row of ten measures, at most as many as an export looks at.
SHARE, MOST = 0.1, samples.MOST
_FEWEST = 2 * samples.FEWEST_CALIBRATION
# Far more than a model reads of one text.
_LONGEST = 3000


@dataclass(frozen=True)
class Rows:
    """Files of a job.

    Attributes:
        training: rows with all their columns, JSONL; None where the user gave no data.
        calibration: the texts of some of them, one a line; None where there is no data.
        held_out: texts to measure with, one a line; None for the built-in ones.
        texts: those to measure with.
        sha256: of the user's file; empty without one.
        trained: how many rows the training part has.
    """

    training: Path | None
    calibration: Path | None
    held_out: Path | None
    texts: tuple[str, ...]
    sha256: str
    trained: int


def split(path: Path | None, folder: Path) -> Rows:
    """Split the user's file; the same file is split the same way each time.

    Args:
        path: ``.txt`` with a text a line, or a table with a column ``text``; None for no data.
        folder: an existing one, where the parts are written.

    Raises:
        InputMissing, InputRefused, PermissionRefused: the file cannot be had or used.
        StorageFull, CannotWrite: the cache of ``datasets`` has no room or refuses.
        OSError: a part cannot be written.
    """
    if path is None:
        return Rows(None, None, None, tuple(samples.evaluation()), "", 0)
    found = data.read([path], "plain-text")
    if len(found.rows) < _FEWEST:
        raise InputRefused(
            f"{path.name} has {len(found.rows)} texts, {_FEWEST} are the fewest",
            hint="Give some hundred lines of the text that the app will see.",
            texts=len(found.rows),
        )
    _, held = data.split(found.rows, share=min(SHARE, MOST / len(found.rows)))
    apart = set(held["text"])
    training, calibration = folder / "training.jsonl", folder / "calibration.txt"
    trained, kept = 0, []
    every = max(1, len(found.rows) // samples.MOST_CALIBRATION)
    with training.open("w", encoding="utf-8") as stream:
        for text, (_, record) in zip(found.rows["text"], data_files.records(path), strict=True):
            if text in apart:
                continue
            stream.write(json.dumps(_plain(record, text), ensure_ascii=False) + "\n")
            if trained % every == 0:
                kept.append(_line(text))
            trained += 1
    texts = tuple(_line(text) for text in sorted(apart))[:MOST]
    held_out = folder / "held-out.txt"
    calibration.write_text("\n".join(kept), encoding="utf-8")
    held_out.write_text("\n".join(texts), encoding="utf-8")
    return Rows(training, calibration, held_out, texts, found.sha256, trained)


def _plain(record: Any, text: str) -> dict[str, Any]:
    """A record as JSON can hold it."""
    kept = (str, int, float, bool, list, dict, type(None))
    whole = {key: one if isinstance(one, kept) else str(one) for key, one in record.items()}
    return {**whole, "text": text}


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]
