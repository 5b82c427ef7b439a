"""Is what was loaded the model that was stored? Nothing random, dropped or foreign."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from tokenizers import Tokenizer

from edgekit.errors import InputRefused, WeightsCorrupt


def refuse_mismatched(mismatched: set[tuple[str, Any, Any]]) -> None:
    """Refuse tensors whose stored shape is not the one that config.json asks for.

    Args:
        mismatched: name, stored shape, wanted shape.

    Raises:
        WeightsCorrupt: there is one.
    """
    if mismatched:
        name, stored, wanted = sorted(mismatched)[0]
        raise WeightsCorrupt(
            f"tensor {name!r} is {tuple(stored)} in the file, config.json wants {tuple(wanted)}"
            + (f" (and {len(mismatched) - 1} more)" if len(mismatched) > 1 else ""),
            hint="config.json and weights are not of the same model: fetch both again.",
            tensor=name,
            stored=list(stored),
            wanted=list(wanted),
        )


def refuse_missing(
    missing: set[str],
    model: Any,
    auto_class: str,
    may_miss: tuple[str, ...],
    instead: Callable[[], str] = str,
) -> None:
    """Refuse parameters that no file gives: they would be random.

    Args:
        missing: parameter names that the files lack.
        model: the transformers model.
        auto_class: whose head was asked for.
        may_miss: beginnings of names, without the base model's prefix, that do not matter.
        instead: says what these weights are for, for the hint.

    Raises:
        InputRefused: a parameter that the task needs is missing.
    """
    base = f"{model.base_model_prefix}."
    needed = [
        name
        for name in sorted(missing)
        if not name.startswith(may_miss) and not name.removeprefix(base).startswith(may_miss)
    ]
    if needed:
        raise InputRefused(
            f"the weights lack {len(needed)} tensors that {auto_class} needs: "
            f"{', '.join(needed[:4])}{', ...' if len(needed) > 4 else ''}",
            hint="They would be random numbers. Train this head first, or choose another --task. "
            f"{instead()}".rstrip(),
            tensors=needed,
        )


def refuse_dropped_layers(unexpected: set[str], model: torch.nn.Module) -> None:
    """Refuse stored blocks that the config leaves out: the model would run, with fewer layers.

    Raises:
        WeightsCorrupt: an unused tensor is a sibling, by its number, of used ones.
    """
    known = {re.sub(r"\.\d+\.", ".N.", name) for name in model.state_dict()}
    for name in sorted(unexpected):
        if (shape := re.sub(r"\.\d+\.", ".N.", name)) != name and shape in known:
            raise WeightsCorrupt(
                f"the file has {name!r}, config.json describes a model without that layer",
                hint="Fetch config.json and weights of the same model.",
                tensor=name,
            )


def refuse_non_finite(model: torch.nn.Module) -> None:
    """Refuse NaN and infinity in any parameter or buffer.

    Raises:
        WeightsCorrupt: there is one; the tensor is named.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise WeightsCorrupt(
                f"tensor {name!r} has {bad} values that are NaN or infinite",
                hint="The training run that wrote it diverged, or the file is damaged.",
                tensor=name,
            )


def refuse_foreign_tokenizer(model: Any, tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer whose ids the embedding table does not hold.

    Raises:
        InputRefused: an id lies beyond the table, or there are no ids.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest >= rows:
        raise InputRefused(
            f"the tokenizer has ids up to {highest}, the embedding table has {rows} rows",
            hint="tokenizer.json is of another model, or the table was not resized with it.",
            highest_id=highest,
            rows=rows,
        )
    if highest < 0:
        raise InputRefused("the tokenizer has no vocabulary", hint="Fetch tokenizer.json again.")
