"""What an encoder-decoder's folder says besides weights, as the manifest has it."""

from __future__ import annotations

from edgekit.bundle.manifest import Answers, Cache, Generation, Search
from edgekit_converters.folder import read_object
from edgekit_converters.generation.facts import sampling, special_tokens
from edgekit_converters.generation.seq2seq.capture import EncoderDecoder
from edgekit_converters.generation.seq2seq.rules import beams_of, rules_of
from edgekit_converters.load import Loaded

# Longer than the summary or the translation of anything that such models read.
DEFAULT_TARGET = 256


def target_length(loaded: Loaded, asked: int | None) -> int:
    """The most tokens of an answer: as asked for, or what model and its users can be content with.

    Args:
        loaded: the model.
        asked: with ``--max-context``.
    """
    if asked is not None:
        return asked
    limit = getattr(loaded.config, "max_position_embeddings", None)
    return min(limit, DEFAULT_TARGET) if isinstance(limit, int) and limit > 0 else DEFAULT_TARGET


def generation(loaded: Loaded, looked: EncoderDecoder) -> Generation:
    """The manifest's part on generation.

    Raises:
        InputRefused: ids beyond the vocabulary, or settings that cannot be used.
    """
    folder = loaded.source.folder
    rules, beams = rules_of(loaded.model), beams_of(loaded.model)
    own = sum(shape.bytes_per_token for shape in looked.plan.shapes.values())
    return Generation(
        context=looked.target,
        eos_token_ids=rules.eos,
        sampling=sampling(read_object(folder / "generation_config.json"), looked.target),
        special_tokens=special_tokens(folder),
        cache=Cache(layers=len(looked.plan.shapes), bytes_per_token=own, bytes=looked.cache_bytes),
        answers=Answers(
            source=looked.source,
            start=rules.start,
            first=rules.first,
            last=rules.last,
            suppressed=rules.suppressed,
            suppressed_first=rules.suppressed_first,
            banned=rules.banned,
            no_repeat=rules.no_repeat,
            least=rules.least,
            search=Search(
                beams=beams.count,
                length_penalty=beams.length_penalty,
                early_stopping=beams.early_stopping,
            ),
        ),
    )
