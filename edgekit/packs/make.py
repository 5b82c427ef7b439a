"""Write a pack: a folder of JSON lines, one file a split, with its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.staging import Staging
from edgekit.errors import SpecError
from edgekit.packs import Pack, Row, pack
from edgekit.packs.templates import SPLITS

RECORD = "pack.json"
# Draws in a row that give nothing new: the templates are used up.
_PATIENCE = 5000


def make(
    name: str, out: Path, *, seed: int = 0, rows: int | None = None, force: bool = False
) -> dict[str, int]:
    """Write a pack's splits.

    Args:
        name: of the pack.
        out: the new folder: ``train.jsonl``, ``dev.jsonl``, ``test.jsonl``, ``pack.json`` and a
            card as README.md.
        seed: the same seed gives the same bytes.
        rows: of the training split; the pack's own number when None. The others stay.
        force: replace an older pack.

    Returns:
        How many rows each split has.

    Raises:
        SpecError: no such pack, or it cannot give that many different rows.
        CannotWrite, StorageFull: the folder cannot be written.
    """
    wanted = pack(name)
    sizes = dict(wanted.sizes) | ({} if rows is None else {SPLITS[0]: rows})
    with Staging(out, force, marker=RECORD) as staging:
        digests = {}
        seen: set[str] = set()
        # Test first: whatever is asked of the training split, the test stays the same.
        for split in reversed(SPLITS):
            lines = [_line(row) for row in _different(wanted, split, sizes[split], seed, seen)]
            data = "".join(lines).encode()
            (staging.folder / f"{split}.jsonl").write_bytes(data)
            digests[split] = hashlib.sha256(data).hexdigest()
        record = {
            "pack": name,
            "task": wanted.task,
            "metric": wanted.metric,
            "budget": wanted.budget,
            "seed": seed,
            "rows": sizes,
            "sha256": digests,
        }
        (staging.folder / RECORD).write_bytes(dump_bytes(record))
        (staging.folder / "README.md").write_text(_card(wanted, sizes, seed), encoding="utf-8")
        staging.commit()
    return {split: sizes[split] for split in SPLITS}


def _different(wanted: Pack, split: str, count: int, seed: int, seen: set[str]) -> Iterator[Row]:
    """Rows that no split has had yet."""
    draw = Random(f"{wanted.name} {split} {seed}")
    made, vain = 0, 0
    while made < count:
        row = wanted.row(draw, split)
        key = json.dumps([row[name] for name in wanted.keys])
        if key in seen:
            vain += 1
            if vain > _PATIENCE:
                raise SpecError(
                    f"the pack {wanted.name} has no {count} different rows for {split}",
                    hint=f"Ask for at most {made}.",
                )
            continue
        seen.add(key)
        made, vain = made + 1, 0
        yield row


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _card(wanted: Pack, sizes: dict[str, int], seed: int) -> str:
    counts = ", ".join(f"{sizes[split]} for {split}" for split in SPLITS)
    return f"""# {wanted.name}

{wanted.title}

- task: {wanted.task}
- metric: {wanted.metric}
- suggested budget: {wanted.budget}
- rows: {counts}
- made by: `edgekit pack make {wanted.name} --seed {seed}`, from templates and word lists of edgekit

## What the score means

{wanted.card}
"""
