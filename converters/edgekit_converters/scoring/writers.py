"""Encoder-decoders that answer texts: a bundle's artifacts, and the eager model beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.errors import TextRefused
from edgekit.runtime.generation.open import open_artifact
from edgekit.runtime.generation.prompt import read_prompts
from edgekit.runtime.generation.reply import sampling
from edgekit.runtime.generation.seq2seq import TextSteps, open_answering
from edgekit_converters.load import Loaded, load
from edgekit_converters.prepare import one_thread
from edgekit_converters.scoring.harness import Player
from edgekit_converters.scoring.language_model import Told
from edgekit_converters.scoring.players import Opened, chosen, facts_of, facts_of_eager
from edgekit_converters.scoring.timed import TimedText
from edgekit_converters.source import Source

# Tokens of an answer, for all contestants.
MOST_TOKENS = 128


class Writer:
    """Answers one text after another.

    Attributes:
        seconds: all that answering took.
        model_seconds: what the model itself took of it.
        not_finite: passes whose logits were not finite numbers.
    """

    def __init__(
        self, answer: Callable[[str], str], clock: Callable[[], tuple[float, int]]
    ) -> None:
        """Wrap what answers.

        Args:
            answer: gives the answer to a text; raises ``TextRefused`` for one that is too long.
            clock: seconds inside the model so far, and passes that gave no finite numbers.
        """
        self._answer, self._clock = answer, clock
        self.seconds = 0.0

    @property
    def model_seconds(self) -> float:
        """See the class."""
        return self._clock()[0]

    @property
    def not_finite(self) -> int:
        """See the class."""
        return self._clock()[1]

    def answer(self, text: str) -> str | None:
        """The answer; None where the model cannot read so long a text."""
        began = time.perf_counter()
        try:
            return self._answer(text)
        except TextRefused as refused:
            if "limit" not in refused.details:
                raise
            return None
        finally:
            self.seconds += time.perf_counter() - began


def of_bundle(folder: Path, manifest: Manifest, runtimes: Sequence[str]) -> list[Player]:
    """The artifacts of an encoder-decoder's bundle whose files have been checked.

    Args:
        folder: the bundle.
        manifest: its manifest.
        runtimes: which; all when empty.

    Raises:
        SpecError: it has no such artifact.
    """
    return [
        Player(facts_of(folder, manifest, artifact), partial(_artifact, folder, manifest, artifact))
        for artifact in chosen(folder, manifest, runtimes)
    ]


def of_model(source: Source, task: str) -> Player:
    """A model of transformers, eager and in fp32, answering as its own settings have it.

    Args:
        source: the model.
        task: what it is for.

    Raises:
        SpecError, InputMissing, InputRefused, Unsupported: as for an export.
    """
    loaded = load(source, "AutoModelForSeq2SeqLM", attention="sdpa")
    return Player(facts_of_eager(loaded, task), partial(_eager, loaded))


def _artifact(folder: Path, manifest: Manifest, artifact: ArtifactInfo, told: Told) -> Opened:
    prompts, generation = read_prompts(folder, manifest), manifest.generation
    assert generation is not None
    steps = open_artifact(folder, manifest, artifact)
    timed = TimedText(cast(TextSteps, steps))
    answering = open_answering(timed, generation, prompts.tokenizer)
    # Never drawn by lot: the same artifact has to get the same score again.
    how = sampling(generation.sampling, max_tokens=MOST_TOKENS, temperature=0.0)

    def answer(text: str) -> str:
        return "".join(token.text for token in answering.generate(prompts.plain(text), how))

    return Writer(answer, lambda: (timed.seconds, timed.not_finite)), answering.close


def _eager(loaded: Loaded, told: Told) -> Opened:
    spent = 0.0

    def answer(text: str) -> str:
        nonlocal spent
        ids = loaded.tokenizer.encode(text).ids
        if len(ids) > loaded.max_length:
            raise TextRefused("too long", tokens=len(ids), limit=loaded.max_length)
        began = time.perf_counter()
        found = _written(loaded.model, ids)
        spent += time.perf_counter() - began
        words: str = loaded.tokenizer.decode(found, skip_special_tokens=True)
        return words

    return Writer(answer, lambda: (spent, 0)), lambda: None


def _written(model: Any, ids: Sequence[int]) -> list[int]:
    asked = torch.tensor([ids])
    with torch.inference_mode(), one_thread():
        found = model.generate(
            input_ids=asked,
            attention_mask=torch.ones_like(asked),
            max_new_tokens=MOST_TOKENS,
            do_sample=False,
        )
    answer: list[int] = found[0].tolist()
    return answer
