"""The model that fine-tuning starts from: the folder's own, under a new head where it needs one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgekit.errors import Unsupported
from edgekit_converters.load import Loaded, load
from edgekit_converters.quiet import quiet
from edgekit_converters.soundness import refuse_mismatched, refuse_missing, refuse_non_finite
from edgekit_converters.source import Source
from edgekit_converters.tasks import input_names
from edgekit_converters.training.data import Data
from edgekit_converters.training.data_tokens import transformers_tokenizer
from edgekit_converters.tune.tasks import Coding, TuneTask

_LONGEST = 512
# A head that is trained from nothing; the others would be noise for too long.
_NEW_HEADS = frozenset(
    {
        "AutoModelForSequenceClassification",
        "AutoModelForTokenClassification",
        "AutoModelForQuestionAnswering",
    }
)


@dataclass(frozen=True)
class Start:
    """A model ready to be trained.

    Attributes:
        model: fp32, with a head for the task.
        coding: how rows become its inputs.
        base: the checked folder without the task's head, its weights dropped.
        fresh: parameters that the folder did not have, random by the seed.
    """

    model: Any
    coding: Coding
    base: Loaded
    fresh: tuple[str, ...]


def start(
    source: Source, name: str, task: TuneTask, data: Data, max_length: int | None, seed: int
) -> Start:
    """Load a model for a task.

    Args:
        source: the folder.
        name: the task's name.
        task: its module.
        data: decides about labels.
        max_length: most tokens of an input; None for the model's own limit, 512 at most.
        seed: of a new head.

    Raises:
        EdgekitError: as ``load.load``; and where a part other than a new head is missing.
        Unsupported: the architecture has no model for the task.
    """
    base = load(source, "AutoModel", may_miss=("pooler.",), max_length=max_length)
    base.model.to("meta")  # it was for the checks; the weights come again, under the head
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, fresh = _with_head(source.folder, task, data)
    refuse_non_finite(model)
    tokenizer = transformers_tokenizer(source.folder)
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    if not name.endswith("generation"):
        inputs += input_names(name, model, base.tokenizer)[1:]
    tokenizer.model_input_names = list(inputs)
    length = base.max_length if max_length else min(base.max_length, _LONGEST)
    coding = Coding(tokenizer, source.folder, model.config, data.kind, length, inputs)
    return Start(model, coding, base, fresh)


def _with_head(folder: Path, task: TuneTask, data: Data) -> tuple[Any, tuple[str, ...]]:
    import transformers

    config = transformers.AutoConfig.from_pretrained(
        str(folder), trust_remote_code=False, local_files_only=True
    )
    for key, value in task.settings(data, config).items():
        setattr(config, key, value)
    try:
        model, info = getattr(transformers, task.AUTO_CLASS).from_pretrained(
            str(folder),
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # looked at below
        )
    except ValueError as error:
        if not str(error).startswith("Unrecognized configuration class"):
            raise
        raise Unsupported(
            f"{config.model_type} models have no {task.AUTO_CLASS}", hint="Choose another --task."
        ) from None
    base = f"{model.base_model_prefix}."
    head = tuple(
        key
        for key in model.state_dict()
        if task.AUTO_CLASS in _NEW_HEADS and not key.startswith(base)
    )
    refuse_missing(set(info["missing_keys"]), model, task.AUTO_CLASS, ("pooler.", *head))
    misshapen = {entry for entry in info["mismatched_keys"] if entry[0] not in head}
    refuse_mismatched(misshapen)
    fresh = {*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])}
    return model, tuple(sorted(fresh))
