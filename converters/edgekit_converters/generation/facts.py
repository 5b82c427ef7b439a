"""What a decoder's folder says besides weights: its context, ends, sampling and chat template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgekit.bundle.manifest import Cache, Generation, SamplingDefaults
from edgekit.errors import InputRefused, SpecError, Unsupported
from edgekit.runtime.generation.template import LONGEST_TEMPLATE, render
from edgekit_converters.folder import read_object
from edgekit_converters.generation.capture import SMALLEST_CONTEXT, Decoder
from edgekit_converters.load import Loaded

# A conversation of some ten turns; keys and values in float32 stay below 70 MB for models of up to
# a billion parameters with grouped heads (Llama 3.2 1B: 65 kB a token).
DEFAULT_CONTEXT = 1024

# transformers' own defaults where a model samples and says no more.
_TOP_K = 50
# Where the makers name no number.
_MOST_TOKENS = 256
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
_SETTINGS_HINT = "Compare generation_config.json with the one that the model was published with."
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
_TEMPLATE_HINT = (
    "Mend it, or take it out of a copy of the folder: "
    f"it is in one of {', '.join(_TEMPLATE_FILES)}."
)


def with_context(loaded: Loaded, asked: int | None) -> Loaded:
    """The model with the context that its bundle will have as its most tokens.

    Args:
        loaded: with the model's own limit.
        asked: what the user wants; None for the model's limit, at most ``DEFAULT_CONTEXT``.

    Raises:
        SpecError: more than the model can, or too few to trace a graph with.
        Unsupported: the model itself has too short a context.
    """
    limit = getattr(loaded.config, "max_position_embeddings", None)
    most = limit if isinstance(limit, int) and limit > 0 else None
    if most is not None and most < SMALLEST_CONTEXT:
        raise Unsupported(f"a model for {most} tokens is too short to be a decoder here")
    if asked is None:
        return replace(loaded, max_length=min(loaded.max_length, DEFAULT_CONTEXT))
    if asked < SMALLEST_CONTEXT or (most is not None and asked > most):
        raise SpecError(
            f"a context of {asked} tokens does not fit this model",
            hint=f"--max-context takes {SMALLEST_CONTEXT} to {most or 'any length'} here.",
            context=asked,
            limit=most,
        )
    return replace(loaded, max_length=asked)


def generation(loaded: Loaded, decoder: Decoder) -> Generation:
    """The manifest's part on generation.

    Raises:
        InputRefused: ids beyond the vocabulary, settings or a template that cannot be used.
    """
    folder, config = loaded.source.folder, loaded.config
    settings = read_object(folder / "generation_config.json")
    ends = settings.get("eos_token_id", getattr(config, "eos_token_id", None))
    begin = settings.get("bos_token_id", getattr(config, "bos_token_id", None))
    special = special_tokens(folder)
    return Generation(
        context=decoder.context,
        bos_token_id=_ids("bos_token_id", begin, decoder.vocabulary)[0] if _some(begin) else None,
        eos_token_ids=_ids("eos_token_id", ends, decoder.vocabulary) if _some(ends) else (),
        sampling=sampling(settings, decoder.context),
        chat_template=template(folder, special),
        special_tokens=special,
        cache=Cache(
            layers=len(decoder.plan.shapes),
            bytes_per_token=decoder.cache_bytes // decoder.context,
            bytes=decoder.cache_bytes,
        ),
    )


def sampling(settings: Mapping[str, Any], context: int) -> SamplingDefaults:
    """Sampling as generation_config.json asks for it; greedy where it does not ask to sample.

    Raises:
        InputRefused: a value that no sampler can use.
    """
    longest = settings.get("max_new_tokens") or _MOST_TOKENS
    given: dict[str, Any] = {
        "repetition_penalty": settings.get("repetition_penalty") or 1.0,
        "max_new_tokens": min(longest, context) if isinstance(longest, int) else longest,
    }
    if settings.get("do_sample"):
        top_k, top_p = settings.get("top_k"), settings.get("top_p")
        heat = settings.get("temperature")
        given["temperature"] = 1.0 if heat is None else heat
        given["top_k"] = _TOP_K if top_k is None else top_k
        given["top_p"] = 1.0 if top_p is None else top_p
    try:
        return SamplingDefaults.model_validate(given, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputRefused(
            f"generation_config.json: {place} is {given.get(place)!r}: {first['msg']}",
            hint=_SETTINGS_HINT,
        ) from None


def special_tokens(folder: Path) -> dict[str, str]:
    """Texts of the special tokens by the names that templates know them by."""
    found: dict[str, str] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        settings = read_object(folder / name)
        for key in _SPECIAL:
            token = settings.get(key)
            text = token.get("content") if isinstance(token, dict) else token
            if isinstance(text, str):
                found[key] = text
    return found


def template(folder: Path, special: Mapping[str, str]) -> str | None:
    """The chat template, tried on a question; None where the folder has none.

    Raises:
        InputRefused: it is malformed, too large, or cannot be rendered.
    """
    found = _stored(folder)
    if found is None or not found.strip():
        return None
    try:
        render(found, [{"role": "user", "content": "Hello."}], special)
    except InputRefused as error:
        raise InputRefused(
            error.message,
            hint=_TEMPLATE_HINT,
        ) from error
    return found


def _stored(folder: Path) -> str | None:
    own, legacy, settings = (folder / name for name in _TEMPLATE_FILES)
    if own.is_file():
        if own.stat().st_size > 4 * LONGEST_TEMPLATE:
            raise InputRefused(f"{own.name} is too large for a chat template", hint=_TEMPLATE_HINT)
        try:
            return own.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputRefused(
                f"{own.name} cannot be read: {error}", hint=_TEMPLATE_HINT
            ) from error
    held = read_object(legacy).get("chat_template") if legacy.is_file() else None
    held = read_object(settings).get("chat_template") if held is None else held
    if isinstance(held, list):
        named = {one.get("name"): one.get("template") for one in held if isinstance(one, dict)}
        held = named.get("default")
    if held is not None and not isinstance(held, str):
        raise InputRefused("chat_template is not a text", hint=_TEMPLATE_HINT)
    return held


def _some(ids: object) -> bool:
    return ids is not None and ids != []


def _ids(name: str, given: object, vocabulary: int) -> tuple[int, ...]:
    ids = given if isinstance(given, list) else [given]
    for one in ids:
        if type(one) is not int or not 0 <= one < vocabulary:
            raise InputRefused(
                f"{name} is {one!r}; the model's ids are 0 to {vocabulary - 1}",
                hint=_SETTINGS_HINT,
            )
    return tuple(dict.fromkeys(ids))
