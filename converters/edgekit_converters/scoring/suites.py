"""Benchmarks by the names that lm-eval has for them, their data from a folder or the hub."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError, InputMissing, InputRefused, SpecError

# Suggested where a name is wrong; lm-eval knows hundreds more, and any of them is taken.
COMMON = (
    *("arc_easy", "arc_challenge", "wsc273", "winogrande", "copa", "hellaswag", "piqa", "boolq"),
    *("gsm8k", "wikitext"),
)
_SPLITS = ("test_split", "validation_split", "training_split", "fewshot_split")
_ENDINGS = ("parquet", "jsonl", "json", "csv")


def tasks(
    names: tuple[str, ...], data_dir: Path | None, shots: int | None = None
) -> dict[str, Any]:
    """lm-eval's tasks by name, their data taken from a folder where one is given.

    Args:
        names: of suites.
        data_dir: holds a folder for each dataset, called as on the hub (``org/name`` or
            ``name``), with the hub's files inside: ``[data/][CONFIG/]SPLIT*.parquet`` or
            ``.jsonl``, ``.json``, ``.csv``.
        shots: examples in the prompt; each suite's own number when None.

    Raises:
        SpecError: lm-eval has no suite of a name.
        InputMissing: the data is not there; the wanted files are named.
        InputRefused: the data is not what the suite reads.
    """
    manager = _manager()
    known = manager.all_subtasks
    specs = []
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise SpecError(
                f"no suite is called {name!r}",
                hint=(f"Did you mean {near[0]!r}? " if near else "")
                + f"Often used: {', '.join(COMMON)}.",
            )
        specs.append(_spec(manager, name, data_dir, shots))
    try:
        found: dict[str, Any] = manager.load(specs)["tasks"]
    except EdgekitError:
        raise
    except Exception as error:  # the hub, the network and the loader fail in many ways
        raise InputMissing(
            f"the data of {', '.join(names)} cannot be had: {str(error)[:200]}",
            hint="Pass --data-dir with a copy of it.",
        ) from error
    return found


@cache
def _manager() -> Any:
    """lm-eval's index of its thousands of suites, which takes seconds to read."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _spec(manager: Any, name: str, data_dir: Path | None, shots: int | None) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    config: dict[str, Any] = load_yaml(manager.task_index[name].yaml_path)
    if shots is not None:
        config["num_fewshot"] = shots
    config.pop("tag", None)
    if data_dir is None and os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        raise InputMissing(
            f"the data of {name} is on the hub ({config['dataset_path']}), and HF_HUB_OFFLINE "
            "is set",
            hint=f"Pass --data-dir DIR with a copy: {wanted(config, Path('DIR'))}",
        )
    if data_dir is None:
        return {"task": name}
    # What tells the hub's loader where to look is nothing to ours.
    files = _local(config, name, data_dir)
    # lm-eval reads every split that it is told of, needed or not.
    unknown = {key: None for key in _SPLITS if config.get(key) and config[key] not in files}
    return {
        **config,
        **unknown,
        "custom_dataset": partial(_loaded, files),
        "dataset_kwargs": None,
    }


def wanted(config: dict[str, Any], data_dir: Path) -> str:
    """Which files a suite reads, in words."""
    place = data_dir / str(config["dataset_path"])
    if config.get("dataset_name"):
        place /= str(config["dataset_name"])
    return " and ".join(f"{place}/{split}.{{{','.join(_ENDINGS)}}}" for split in _splits(config))


def _splits(config: dict[str, Any]) -> list[str]:
    """The split that is scored, and the one that examples in the prompt come from."""
    scored = config.get("test_split") or config.get("validation_split")
    shots = config.get("fewshot_split") or config.get("training_split")
    names = [scored, shots if config.get("num_fewshot") else None]
    return [str(name) for name in dict.fromkeys(names) if name]


def _local(config: dict[str, Any], name: str, data_dir: Path) -> dict[str, Path]:
    """The files of the splits that are there.

    Raises:
        InputMissing: one that is needed is not.
    """
    files = {}
    needed = _splits(config)
    for split in dict.fromkeys([*needed, *(config.get(key) for key in _SPLITS)]):
        if not split:
            continue
        file = next(_candidates(config, split, data_dir), None)
        if file is not None:
            files[split] = file
        elif split in needed:
            raise InputMissing(
                f"{data_dir} has no {split} data of {name}",
                hint=f"Wanted: {wanted(config, data_dir)}",
            )
    return files


def _loaded(files: dict[str, Path], **_: Any) -> Any:
    """The data as lm-eval takes it."""
    from datasets import Dataset, DatasetDict

    return DatasetDict({split: Dataset.from_list(_rows(file)) for split, file in files.items()})


def _candidates(config: dict[str, Any], split: str, data_dir: Path) -> Iterator[Path]:
    dataset = str(config["dataset_path"])
    for root in (data_dir / dataset, data_dir / dataset.rpartition("/")[2]):
        name = config.get("dataset_name")
        below = [root / str(name), root / "data" / str(name)] if name else []
        for folder in (*below, root / "data", root):
            for ending in _ENDINGS:
                yield from sorted(folder.glob(f"{split}*.{ending}"))


def _rows(file: Path) -> list[dict[str, Any]]:
    """A file's rows.

    Raises:
        InputRefused: it is malformed or has none.
    """
    hint = "Fetch it again from the hub."
    try:
        if file.suffix == ".parquet":
            from pyarrow import parquet

            rows = parquet.read_table(file).to_pylist()
        elif file.suffix == ".csv":
            with file.open(encoding="utf-8-sig", newline="") as stream:
                rows = list(csv.DictReader(stream, strict=True))
        else:
            text = file.read_text(encoding="utf-8-sig")
            whole = file.suffix == ".json" and text.lstrip().startswith("[")
            lines = (line for line in text.splitlines() if line.strip())
            rows = json.loads(text) if whole else [json.loads(line) for line in lines]
    except (ValueError, OSError, csv.Error) as error:
        raise InputRefused(f"{file} cannot be read: {str(error)[:200]}", hint=hint) from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise InputRefused(f"{file} has no rows", hint=hint)
    return list(rows)
