"""What a model's makers say of its answers: how to begin, what never to give, how to search."""

from __future__ import annotations

from typing import Any

from edgekit.errors import InputRefused
from edgekit.runtime.generation.beam import Beams
from edgekit.runtime.generation.constraints import Rules

_HINT = "Compare generation_config.json with the one that the model was published with."
# transformers' own default; a model that says nothing would stop after 20 tokens.
_MOST = 256


def rules_of(model: Any) -> Rules:
    """The rules of ``generation_config.json``, or of what ``config.json`` says in its place.

    Args:
        model: from ``AutoModelForSeq2SeqLM``.

    Raises:
        InputRefused: they do not say how an answer begins, or name ids that do not exist.
    """
    said, config = model.generation_config, model.config
    start = _first(said, config, "decoder_start_token_id")
    start = _first(said, config, "bos_token_id") if start is None else start
    if start is None:
        raise InputRefused("nothing says which token an answer begins with", hint=_HINT)
    eos = _first(said, config, "eos_token_id")
    rules = Rules(
        start=(start,),
        eos=_several(eos),
        first=_first(said, config, "forced_bos_token_id"),
        last=_one(_first(said, config, "forced_eos_token_id")),
        suppressed=_several(said.suppress_tokens),
        suppressed_first=_several(said.begin_suppress_tokens),
        banned=tuple(tuple(run) for run in said.bad_words_ids or () if run != [eos]),
        no_repeat=int(said.no_repeat_ngram_size or 0),
        least=int(said.min_length or 0),
    )
    rows = model.get_output_embeddings().weight.shape[0]
    ids = (*rules.start, *rules.eos, *rules.suppressed, *rules.suppressed_first)
    named = (*ids, *(run[-1] for run in rules.banned), rules.first or 0, rules.last or 0)
    if max(named) >= rows:
        raise InputRefused(
            f"generation_config.json names token {max(named)}; the model has {rows}", hint=_HINT
        )
    return rules


def beams_of(model: Any) -> Beams:
    """How the model's makers search; one beam is greedy.

    Raises:
        SpecError: a value that no search can have.
    """
    said = model.generation_config
    length = said.max_new_tokens or said.max_length
    penalty, stopping = said.length_penalty, said.early_stopping
    return Beams(
        count=int(said.num_beams or 1),
        max_tokens=int(length or _MOST),
        length_penalty=1.0 if penalty is None else float(penalty),
        early_stopping=False if stopping is None else stopping,
        repetition_penalty=float(said.repetition_penalty or 1.0),
    )


def _first(said: Any, config: Any, name: str) -> Any:
    """What generation_config.json says, or else config.json."""
    value = getattr(said, name, None)
    return getattr(config, name, None) if value is None else value


def _several(ids: Any) -> tuple[int, ...]:
    if ids is None:
        return ()
    return tuple(int(i) for i in ids) if isinstance(ids, list | tuple) else (int(ids),)


def _one(ids: Any) -> int | None:
    """A model may name several ids to end with; the first is as good as any."""
    found = _several(ids)
    return found[0] if found else None
