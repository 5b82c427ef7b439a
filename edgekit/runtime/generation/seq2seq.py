"""Answer a text with an encoder-decoder: read it once, then one token of the answer a pass."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import Event
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgekit.bundle.manifest import Generation
from edgekit.errors import InternalError, SpecError, TextRefused
from edgekit.runtime.generation.beam import Beams, Hypothesis, search
from edgekit.runtime.generation.constraints import Rules, constrained
from edgekit.runtime.generation.loop import Generator, Statistics, Steps, Token
from edgekit.runtime.generation.sampling import Sampling
from edgekit.runtime.generation.stream import TextStream


class TextSteps(Steps, Protocol):
    """A loaded encoder-decoder; ``feed`` reads tokens of the answer.

    Attributes:
        source: the most tokens of a text.
        context: the most tokens of an answer, those it begins with included.
        vocabulary: number of token ids.
    """

    source: int

    def read(self, ids: Sequence[int]) -> None:
        """Read a text; what was answered before is forgotten."""


class Answering(Protocol):
    """What answers prompts: a ``loop.Generator``, or a ``Seq2Seq``.

    Attributes:
        statistics: of the last answer.
    """

    statistics: Statistics | None

    def generate(
        self,
        ids: Sequence[int],
        sampling: Sampling | None = None,
        cancel: Event | None = None,
    ) -> Iterator[Token]:
        """Answer, token by token."""

    def close(self) -> None:
        """Release the model."""


class Seq2Seq:
    """Answers texts with one encoder-decoder."""

    def __init__(
        self,
        steps: TextSteps,
        rules: Rules,
        tokenizer: Tokenizer | None = None,
        usual: Beams | None = None,
    ) -> None:
        """Wrap a model.

        Args:
            steps: the model; closed by ``close``.
            rules: how its answers begin and end.
            tokenizer: for text and stop texts; ids alone without it.
            usual: how ``generate`` finds the likeliest answer; with None, or one beam, by the
                likeliest token every time.

        Raises:
            SpecError: rules with ids that the model does not have.
        """
        known = (*rules.start, *rules.eos, *rules.suppressed, *rules.suppressed_first)
        named = (*known, *(run[-1] for run in rules.banned), rules.first or 0, rules.last or 0)
        if max(named) >= steps.vocabulary:
            raise SpecError(
                f"the rules name token {max(named)}; the model knows 0 to {steps.vocabulary - 1}"
            )
        self._steps = steps
        self._rules = rules
        self._tokenizer = tokenizer
        self._usual = usual
        self._answers = 0
        self.statistics: Statistics | None = None

    def generate(
        self,
        ids: Sequence[int],
        sampling: Sampling | None = None,
        cancel: Event | None = None,
    ) -> Iterator[Token]:
        """Answer a text, token by token; see ``loop.Generator.generate``.

        The text is checked and read at once. A repetition penalty counts what the answer has, not
        the text. An answer by several beams comes when the search is over, all at once.

        Args:
            ids: the text.
            sampling: how; greedy when None.
            cancel: set from elsewhere to stop.

        Raises:
            TextRefused: an empty text, one longer than the model reads, or ids that it does not
                know.
            InternalError: the runtime failed.
        """
        chosen = sampling or Sampling()
        begin = time.perf_counter()
        self._read(ids)
        search = self._usual or Beams(count=1)
        search = replace(search, count=chosen.beams or search.count)
        if search.count > 1 and chosen.temperature == 0:
            return self._searched(search, chosen, len(ids), begin)
        longest = min(len(self._rules.start) + chosen.max_tokens, self._steps.context)
        inner = Generator(
            _Constrained(self._steps, self._rules, longest), self._tokenizer, self._rules.eos
        )
        tokens = inner.generate(self._rules.start, chosen, cancel)
        return self._answer(tokens, inner, len(ids), time.perf_counter() - begin)

    def beams(self, ids: Sequence[int], beams: Beams | None = None) -> list[Hypothesis]:
        """The likeliest answers that a beam search finds, best first; see ``beam.search``.

        Raises:
            TextRefused: see ``generate``.
            InternalError: the runtime failed.
        """
        self._read(ids)
        return search(self._steps, self._rules, beams or Beams())

    def text(self, answer: Sequence[int]) -> str:
        """An answer's ids as text, special tokens left out.

        Raises:
            SpecError: there is no tokenizer.
        """
        if self._tokenizer is None:
            raise SpecError("there is no tokenizer to make text of token ids")
        found: str = self._tokenizer.decode(list(answer), skip_special_tokens=True)
        return found

    def close(self) -> None:
        """Release the model."""
        self._steps.close()

    def _read(self, ids: Sequence[int]) -> None:
        source, vocabulary = self._steps.source, self._steps.vocabulary
        if not ids:
            raise TextRefused("the text has no tokens", hint="Give at least one word.")
        if len(ids) > source:
            raise TextRefused(
                f"the text has {len(ids)} tokens, the model reads {source} at most",
                hint="Shorten it, or export again with a larger --max-length.",
                tokens=len(ids),
                limit=source,
            )
        if min(ids) < 0 or max(ids) >= vocabulary:
            raise TextRefused(
                f"token ids from {min(ids)} to {max(ids)}; the model knows 0 to {vocabulary - 1}",
                hint="The tokenizer is of another model.",
            )
        self._answers += 1
        self._steps.read(ids)

    def _searched(
        self, usual: Beams, sampling: Sampling, read: int, begin: float
    ) -> Iterator[Token]:
        penalty = sampling.repetition_penalty
        asked = replace(usual, max_tokens=sampling.max_tokens, repetition_penalty=penalty)
        number = self._answers
        best = search(self._steps, self._rules, asked)[0].ids
        stream = TextStream(self._tokenizer, sampling.stop) if self._tokenizer else None
        if number == self._answers:
            self.statistics = Statistics(
                prompt_tokens=read,
                reused_tokens=0,
                answer_tokens=len(best),
                first_token_seconds=time.perf_counter() - begin,
                tokens_per_second=0.0,
                ended_by="eos" if best[-1] in self._rules.eos else "length",
            )
        for token in best:
            yield Token(token, stream.add(token) if stream and token not in self._rules.eos else "")
            if stream and stream.stopped:
                return
        if stream and (rest := stream.rest()):
            yield Token(-1, rest)

    def _answer(
        self, tokens: Iterator[Token], inner: Generator, read: int, spent: float
    ) -> Iterator[Token]:
        number = self._answers
        try:
            for token in tokens:
                yield token
                if number != self._answers:
                    # Another text has been read: this answer cannot go on.
                    break
        finally:
            close = getattr(tokens, "close", None)
            if close is not None:
                close()
            done = inner.statistics
            if done is not None and number == self._answers:
                first = done.first_token_seconds + spent
                self.statistics = replace(done, prompt_tokens=read, first_token_seconds=first)


def open_answering(
    steps: TextSteps, generation: Generation, tokenizer: Tokenizer | None
) -> Seq2Seq:
    """An encoder-decoder with what a bundle's manifest says of its answers.

    Raises:
        InternalError: the manifest is of another model.
        SpecError: its rules cannot be followed.
    """
    said = generation.answers
    if said is None or said.source != steps.source:
        raise InternalError("the manifest says nothing of this model's answers, or another length")
    rules = Rules(
        start=said.start,
        eos=generation.eos_token_ids,
        first=said.first,
        last=said.last,
        suppressed=said.suppressed,
        suppressed_first=said.suppressed_first,
        banned=said.banned,
        no_repeat=said.no_repeat,
        least=said.least,
    )
    search = said.search
    usual = Beams(
        search.beams, length_penalty=search.length_penalty, early_stopping=search.early_stopping
    )
    return Seq2Seq(steps, rules, tokenizer, usual)


class _Constrained:
    """A decoder whose logits follow the rules."""

    def __init__(self, steps: Steps, rules: Rules, longest: int) -> None:
        self.context, self.vocabulary = steps.context, steps.vocabulary
        self._steps, self._rules, self._longest = steps, rules, longest
        self._ids: list[int] = []

    def feed(self, ids: Sequence[int], position: int) -> NDArray[np.float32]:
        """See ``loop.Steps``."""
        logits = self._steps.feed(ids, position)
        self._ids = [*self._ids[:position], *ids]
        return constrained(logits, self._ids, self._rules, self._longest)

    def close(self) -> None:
        """The model outlives its answers."""
