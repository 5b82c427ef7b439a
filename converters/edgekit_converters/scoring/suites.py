"""Benchmarks by the names that lm-eval has for them, their data from a folder or the hub."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError, InputMissing, SpecError
from edgekit_converters.scoring import hub_files

# Suggested where a name is wrong; lm-eval knows hundreds more, and any of them is taken.
COMMON = (
    *("arc_easy", "arc_challenge", "wsc273", "winogrande", "copa", "hellaswag", "piqa", "boolq"),
    *("gsm8k", "wikitext"),
)
_SPLITS = ("test_split", "validation_split", "training_split", "fewshot_split")


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
    index = manager()
    known = index.all_subtasks
    specs = []
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise SpecError(
                f"no suite is called {name!r}",
                hint=(f"Did you mean {near[0]!r}? " if near else "")
                + f"Often used: {', '.join(COMMON)}.",
            )
        specs.append(_spec(index, name, data_dir, shots))
    try:
        found: dict[str, Any] = index.load(specs)["tasks"]
    except EdgekitError:
        raise
    except Exception as error:  # the hub, the network and the loader fail in many ways
        raise InputMissing(
            f"the data of {', '.join(names)} cannot be had: {str(error)[:200]}",
            hint="Pass --data-dir with a copy of it.",
        ) from error
    return found


@cache
def manager() -> Any:
    """lm-eval's index of its thousands of suites, which takes seconds to read."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _spec(index: Any, name: str, data_dir: Path | None, shots: int | None) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    config: dict[str, Any] = load_yaml(index.task_index[name].yaml_path)
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
    return " and ".join(
        f"{place}/{split}.{{{','.join(hub_files.ENDINGS)}}}" for split in _splits(config)
    )


def _splits(config: dict[str, Any]) -> list[str]:
    """The split that is scored, and the one that examples in the prompt come from."""
    scored = config.get("test_split") or config.get("validation_split")
    shots = config.get("fewshot_split") or config.get("training_split")
    names = [scored, shots if config.get("num_fewshot") else None]
    return [str(name) for name in dict.fromkeys(names) if name]


def _local(config: dict[str, Any], name: str, data_dir: Path) -> dict[str, tuple[Path, ...]]:
    """The files of the splits that are there.

    Raises:
        InputMissing: one that is needed is not.
        InputRefused: pieces of one are missing.
    """
    found = {}
    needed = _splits(config)
    places = hub_files.folders(data_dir, str(config["dataset_path"]), config.get("dataset_name"))
    for split in dict.fromkeys([*needed, *(config.get(key) for key in _SPLITS)]):
        if not split:
            continue
        if files := hub_files.files(places, str(split)):
            found[split] = files
        elif split in needed:
            raise InputMissing(
                f"{data_dir} has no {split} data of {name}",
                hint=f"Wanted: {wanted(config, data_dir)}",
            )
    return found


def _loaded(files: dict[str, tuple[Path, ...]], **_: Any) -> Any:
    """The data as lm-eval takes it."""
    from datasets import Dataset, DatasetDict

    return DatasetDict(
        {split: Dataset.from_list(list(hub_files.rows(paths))) for split, paths in files.items()}
    )
