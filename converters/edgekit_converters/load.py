"""A Hugging Face folder, loaded whole or refused: safetensors only, no remote code, no guesses."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from edgekit.errors import EdgekitError, InputRefused, SpecError, Unsupported, WeightsCorrupt
from edgekit_converters.detect import fitting_tasks, sentence_limit
from edgekit_converters.folder import ModelFolder, check, read_object
from edgekit_converters.quiet import quiet
from edgekit_converters.soundness import (
    refuse_dropped_layers,
    refuse_foreign_tokenizer,
    refuse_mismatched,
    refuse_missing,
    refuse_non_finite,
)
from edgekit_converters.source import Source
from edgekit_converters.tokenizer import load_tokenizer
from edgekit_converters.weights import weights_sha256

_ATTENTION = ("eager", "sdpa")
_README_LIMIT = 1024 * 1024
_FALLBACK_LENGTH = 512
# tokenizer_config.json says 1e30 when it means "no limit".
_LARGEST_LENGTH = 1_000_000
# A model may add a head to what is stored, never a multiple of it.
_SMALL_HEAD = 1 << 20


@dataclass(frozen=True)
class Loaded:
    """A model ready to be captured.

    Attributes:
        model: fp32, in eval mode, without gradients.
        config: transformers' configuration object.
        tokenizer: without truncation and padding.
        source: where it came from.
        weights_sha256: digest of the weight files.
        family: the architecture's model_type.
        licence: what the README's front matter says; None when it says nothing.
        max_length: the most tokens in one text, special tokens included.
    """

    model: torch.nn.Module
    config: Any
    tokenizer: Tokenizer
    source: Source
    weights_sha256: str
    family: str
    licence: str | None
    max_length: int


def load(
    source: Source,
    auto_class: str,
    *,
    attention: str = "eager",
    max_length: int | None = None,
    may_miss: tuple[str, ...] = (),
) -> Loaded:
    """Check a model's folder and load it.

    Args:
        source: from ``source.resolve``.
        auto_class: transformers' auto class, such as ``AutoModelForSequenceClassification``.
        attention: ``eager`` or ``sdpa``.
        max_length: the most tokens in one text; the model's own default when None.
        may_miss: beginnings of parameter names that the task does not use, and that may therefore
            be absent from the files (``pooler.``).

    Raises:
        InputMissing: the folder, config.json or the weights are missing.
        InputRefused: the files do not make a whole model with a tokenizer that fits.
        SpecError: unknown model_type or attention, or a max_length that the model cannot have.
        UnsafeInput: pickle weights, custom code, or a path that leaves the folder.
        Unsupported: the architecture has no such head or attention.
        WeightsCorrupt: damaged, non-finite or misshapen weights.
    """
    if attention not in _ATTENTION:
        raise SpecError(
            f"unknown attention {attention!r}", hint=f"One of: {', '.join(_ATTENTION)}."
        )
    folder = check(source.folder)
    tokenizer = load_tokenizer(folder.folder)
    with quiet():
        config = _config(folder)
        auto_class = _encoder_class(config, auto_class)
        _refuse_bombs(config, auto_class, folder)
        model = _model(folder, config, auto_class, attention, may_miss)
    refuse_non_finite(model)
    refuse_foreign_tokenizer(model, tokenizer)
    return Loaded(
        model=model,
        config=model.config,
        tokenizer=tokenizer,
        source=source,
        weights_sha256=weights_sha256(folder.weight_files),
        family=folder.model_type,
        licence=licence(folder.folder),
        max_length=_max_length(model, config, folder.folder, tokenizer, max_length),
    )


def licence(folder: Path) -> str | None:
    """The licence in the README's YAML front matter; never guessed from anything else."""
    from huggingface_hub.repocard import metadata_load

    readme = folder / "README.md"
    try:
        if readme.stat().st_size > _README_LIMIT:
            return None
        data = metadata_load(readme) or {}
    except Exception:  # no README, or front matter that is not YAML: nothing is said
        return None
    named = data.get("license")
    if named == "other":
        named = data.get("license_name") or named
    if isinstance(named, list):
        named = ", ".join(str(name) for name in named)
    return named if isinstance(named, str) and named else None


def _config(folder: ModelFolder) -> Any:
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if folder.model_type not in CONFIG_MAPPING_NAMES:
        near = get_close_matches(folder.model_type, list(CONFIG_MAPPING_NAMES), n=3)
        raise SpecError(
            f"unknown model_type {folder.model_type!r} in config.json",
            hint=(f"Near names: {', '.join(near)}. " if near else "")
            + "A newer transformers may know it.",
        )
    try:
        return AutoConfig.from_pretrained(
            str(folder.folder), trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # any field can be wrong in any way
        raise _unusable("config.json is not valid", error) from error


def _encoder_class(config: Any, auto_class: str) -> str:
    """Of a model with encoder and decoder, what turns a text into vectors is the encoder alone."""
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING

    alone = auto_class == "AutoModel" and type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
    return "AutoModelForTextEncoding" if alone else auto_class


def _refuse_bombs(config: Any, auto_class: str, folder: ModelFolder) -> None:
    """Lay the model out without memory, and refuse it when the files hold far less."""
    try:
        with torch.device("meta"):
            shell = _auto(auto_class).from_config(config, trust_remote_code=False)
    except Exception as error:
        raise _no_model(folder, config, auto_class, error) from error
    declared = sum(parameter.numel() for parameter in shell.parameters())
    stored = sum(info.elements for info in folder.tensors.values())
    if declared > 2 * stored + _SMALL_HEAD:
        raise WeightsCorrupt(
            f"config.json describes {declared} parameters, the weight files hold {stored}",
            hint="config.json and weights are not of the same model: fetch both again.",
        )


def _model(
    folder: ModelFolder, config: Any, auto_class: str, attention: str, may_miss: tuple[str, ...]
) -> torch.nn.Module:
    try:
        # Unused parts are filled at random: always with the same numbers.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model, info = _auto(auto_class).from_pretrained(
                str(folder.folder),
                config=config,
                dtype=torch.float32,
                attn_implementation=attention,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, tensor by tensor
            )
    except Exception as error:
        raise _no_model(folder, config, auto_class, error) from error
    refuse_mismatched(info["mismatched_keys"])
    instead = partial(_instead, folder, config, auto_class)
    refuse_missing(info["missing_keys"], model, auto_class, may_miss, instead)
    refuse_dropped_layers(info["unexpected_keys"], model)
    model.requires_grad_(False)
    found: torch.nn.Module = model.eval()
    return found


def _auto(name: str) -> Any:
    import transformers

    if not name.startswith("AutoModel") or not hasattr(transformers, name):
        raise SpecError(f"transformers has no auto class {name!r}")
    return getattr(transformers, name)


def _instead(folder: ModelFolder, config: Any, auto_class: str) -> str:
    """What the weights are for, where they are not for what was asked."""
    try:
        known = fitting_tasks(folder.folder, config)
    except EdgekitError:  # the refusal on its way says more
        return ""
    said = f"These weights are for: {', '.join(known)}."
    if auto_class.endswith("QuestionAnswering") and "text2text-generation" in known:
        said += " A model that writes its answers takes question and passage in one text."
    return said


def _no_model(folder: ModelFolder, config: Any, auto_class: str, error: Exception) -> EdgekitError:
    if isinstance(error, EdgekitError):
        return error
    if str(error).startswith("Unrecognized configuration class"):
        return Unsupported(
            f"{folder.model_type} models have no {auto_class}",
            hint=f"Choose another --task. {_instead(folder, config, auto_class)}".rstrip(),
        )
    if "does not support an attention implementation" in str(error):
        return Unsupported(
            f"{folder.model_type} models have no such attention: {_first_line(error)}",
            hint="Eager attention always works.",
        )
    return _unusable("transformers cannot make a model of this folder", error)


def _unusable(what: str, error: Exception) -> InputRefused:
    return InputRefused(
        f"{what}: {_first_line(error)}",
        hint="Compare config.json with the one that the model was published with.",
    )


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"


def _max_length(
    model: torch.nn.Module, config: Any, folder: Path, tokenizer: Tokenizer, asked: int | None
) -> int:
    declared = read_object(folder / "tokenizer_config.json").get("model_max_length")
    tokenizer_limit = None
    if isinstance(declared, (int, float)) and 0 < declared < _LARGEST_LENGTH:
        tokenizer_limit = int(declared)
    positions = _positions(model, config)
    own = positions or tokenizer_limit
    if asked is None:
        wanted = sentence_limit(folder) or tokenizer_limit or own or _FALLBACK_LENGTH
        return min(wanted, own) if own else wanted
    least = tokenizer.num_special_tokens_to_add(False) + 1
    if asked < least or (own and asked > own):
        raise SpecError(
            f"a maximum length of {asked} tokens does not fit this model",
            hint=f"From {least} to {own or _LARGEST_LENGTH}, special tokens included.",
        )
    return asked


def _positions(model: torch.nn.Module, config: Any) -> int | None:
    """How many positions the model can tell apart; None when it has no table of them."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kin keep the rows up to the padding index for padding.
            used = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - used
    limit = getattr(config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None
