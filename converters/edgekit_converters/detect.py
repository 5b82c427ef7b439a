"""What a folder is for: its task, and how sentence-transformers turns tokens into one vector."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edgekit import tasks
from edgekit.bundle.paths import safe_join
from edgekit.errors import InputRefused, SpecError, UnsafeInput, Unsupported
from edgekit_converters.folder import read_json, read_object
from edgekit_converters.quiet import quiet
from edgekit_converters.tasks import check_labels, head_module
from edgekit_converters.tokenizer import load_tokenizer

_MODES = {
    "mean": "mean",
    "cls": "cls",
    "max": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
}
# The flags that versions before 5 wrote, with today's names.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SENTENCE_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_SAVE_HINT = (
    "Save the model with sentence-transformers: SentenceTransformer(MODEL).save(FOLDER), "
    "or choose another --task."
)


@dataclass(frozen=True)
class Pooling:
    """How token vectors become a sentence vector.

    Attributes:
        mode: ``mean``, ``cls``, ``max`` or ``mean_sqrt_len`` (sum over the root of the count).
        normalize: whether the vector is scaled to length 1.
        max_length: limit in tokens where the sentence-transformers files give one.
    """

    mode: str
    normalize: bool
    max_length: int | None


def task_of(folder: Path, config: dict[str, Any]) -> str:
    """The task that a folder was saved for, as ``--task`` names it.

    Raises:
        SpecError: the files do not tell.
        Unsupported: they name a task that edgekit has no module for.
    """
    if any(kind == "Pooling" for kind, _ in _modules(folder)):
        return "sentence-similarity"
    names = config.get("architectures")
    architecture = names[0] if isinstance(names, list) and names else None
    found = _task_of_class(architecture) if isinstance(architecture, str) else None
    ours = tasks.names()
    if found is None:
        what = (
            f"architecture {architecture!r}" if architecture else "config.json (no architectures)"
        )
        raise SpecError(
            f"the task cannot be told from {what}",
            hint=f"Say it with --task: {', '.join(ours)}.",
        )
    if found not in ours:
        raise Unsupported(
            f"{architecture} is a model for {found}, which edgekit cannot export",
            hint=f"Tasks: {', '.join(ours)}; --task chooses one of them.",
            task=found,
        )
    return found


def fitting_tasks(folder: Path, config: Any) -> list[str]:
    """The tasks that a folder's weights have the head for, by the class that saved them.

    Args:
        folder: the model's.
        config: transformers' configuration object.
    """
    names = getattr(config, "architectures", None)
    first = names[0] if isinstance(names, list) and names else None
    own = _task_of_class(first) if isinstance(first, str) else None
    saved = None if own is None or own not in tasks.names() else head_module(own).AUTO_CLASS
    found = []
    for name in tasks.names():
        if name == "sentence-similarity":
            fits = bool(_modules(folder))
        elif name == "feature-extraction":
            fits = True  # whatever the head, what is below it gives vectors
        else:
            fits = saved == head_module(name).AUTO_CLASS and _labels_fit(name, config)
        if fits:
            found.append(name)
    return found


def _labels_fit(name: str, config: Any) -> bool:
    try:
        check_labels(name, tuple(map(str, (getattr(config, "id2label", None) or {}).values())))
    except InputRefused:
        return False
    return True


def sentence_pooling(folder: Path) -> Pooling:
    """Read pooling and normalisation from the sentence-transformers files.

    Raises:
        InputRefused: the files are malformed.
        SpecError: the folder has none.
        UnsafeInput: a module is custom code.
        Unsupported: there is a module, a pooling mode or a prompt that edgekit does not put
            inside the graph.
    """
    modules = _modules(folder)
    if not modules:
        raise SpecError(f"{folder.name} has no sentence-transformers files", hint=_SAVE_HINT)
    kinds = [kind for kind, _ in modules]
    odd = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if odd or kinds[:2] != ["Transformer", "Pooling"] or kinds.count("Pooling") > 1:
        named = ", ".join(odd) if odd else " -> ".join(kinds)
        raise Unsupported(
            f"modules.json has modules that edgekit does not export: {named}",
            hint="Transformer -> Pooling [-> Normalize] is what works.",
        )
    if modules[0][1]:
        raise Unsupported(
            f"the transformer is in the subfolder {modules[0][1]!r}, as old versions saved it",
            hint=_SAVE_HINT,
        )
    _refuse_silent_changes(folder)
    settings = safe_join(folder, f"{modules[1][1]}/config.json")
    if not settings.is_file():
        raise InputRefused(
            f"the Pooling module has no {modules[1][1]}/config.json", hint=_SAVE_HINT
        )
    mode = _pooling_mode(read_object(settings))
    return Pooling(mode, "Normalize" in kinds, sentence_limit(folder))


def sentence_limit(folder: Path) -> int | None:
    """The limit in tokens that the sentence-transformers files give; newer ones give none."""
    limit = _sentence_config(folder).get("max_seq_length")
    return limit if isinstance(limit, int) and limit > 0 else None


def _task_of_class(name: str) -> str | None:
    with quiet():
        import transformers
        from optimum.exporters.tasks import TasksManager
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        )

        # Only classes that transformers itself exports as models; a name from a file is no import.
        known = getattr(transformers, name, None) if name.isidentifier() else None
        if not (isinstance(known, type) and issubclass(known, transformers.PreTrainedModel)):
            return None
        # BART's class fills masks as well, and optimum names that first.
        if name in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values():
            return "text2text-generation"
        try:
            return str(TasksManager.infer_task_from_model(known))
        except ValueError:
            return None


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Class name and subfolder of each sentence-transformers module, in order."""
    path = folder / "modules.json"
    if not path.is_file():
        return []
    data = read_json(path)
    found = []
    for entry in data if isinstance(data, list) else [None]:
        kind = entry.get("type") if isinstance(entry, dict) else None
        place = entry.get("path", "") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or not isinstance(place, str):
            raise InputRefused("modules.json is malformed", hint=_SAVE_HINT)
        if not kind.startswith("sentence_transformers."):
            raise UnsafeInput(
                f"modules.json asks for custom code ({kind}); edgekit runs no code from a model",
                hint="Use a model made of sentence-transformers' own modules.",
            )
        found.append((kind.rpartition(".")[2], place.removesuffix("/")))
    return found


def _pooling_mode(settings: dict[str, Any]) -> str:
    modes = settings.get("pooling_mode")
    if modes is None:
        # Without any flag sentence-transformers means the mean.
        modes = [mode for flag, mode in _FLAGS.items() if settings.get(flag)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or not all(isinstance(mode, str) for mode in modes):
        raise InputRefused("the Pooling module's config.json is malformed", hint=_SAVE_HINT)
    if len(modes) != 1 or modes[0] not in _MODES:
        raise Unsupported(
            f"pooling by {' + '.join(modes) or 'nothing'} is not supported",
            hint=f"One of these alone works: {', '.join(_MODES)}.",
        )
    return _MODES[modes[0]]


def _refuse_silent_changes(folder: Path) -> None:
    """Steps that sentence-transformers does to the text itself, outside tokenizer and graph."""
    settings = read_object(folder / "config_sentence_transformers.json")
    name, prompts = settings.get("default_prompt_name"), settings.get("prompts")
    prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    if prompt:
        raise Unsupported(
            f"the model puts a prompt before every text by default: {prompt!r}",
            hint="Set default_prompt_name to null in a copy of config_sentence_transformers.json "
            "and put the prompt before each text yourself.",
        )
    config = _sentence_config(folder)
    task = config.get("transformer_task", "feature-extraction")
    if task != "feature-extraction":
        raise Unsupported(f"transformer_task {task!r} is not supported", hint=_SAVE_HINT)
    if config.get("do_lower_case") and not _lowercases(load_tokenizer(folder)):
        raise Unsupported(
            "the model lower-cases texts before its tokenizer, which does not do it itself",
            hint="Add a Lowercase normalizer to tokenizer.json in a copy of the folder.",
        )


def _lowercases(tokenizer: Tokenizer) -> bool:
    stack = [json.loads(tokenizer.to_str())["normalizer"]]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if part.get("lowercase") is True or part.get("type") == "Lowercase":
                return True
            stack.extend(part.get("normalizers") or [])
    return False


def _sentence_config(folder: Path) -> dict[str, Any]:
    for name in _SENTENCE_CONFIGS:
        if (folder / name).is_file():
            return read_object(folder / name)
    return {}
