"""The loop: read the prompt in one pass, then one token a pass, until something ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgekit.errors import InternalError, SpecError, TextRefused
from edgekit.runtime.generation.sampling import Sampler, Sampling
from edgekit.runtime.generation.stream import TextStream

_SECOND = 1e-9


class Steps(Protocol):
    """A loaded decoder with its cache.

    Attributes:
        context: the most tokens in all, prompt and answer.
        vocabulary: number of token ids.
    """

    context: int
    vocabulary: int

    def feed(self, ids: Sequence[int], position: int) -> NDArray[np.float32]:
        """Read tokens from ``position`` on; logits ``(vocabulary,)`` of what follows the last.

        What the cache holds from ``position`` on is replaced.
        """

    def close(self) -> None:
        """Release the native resources."""


@dataclass(frozen=True)
class Token:
    """One token of an answer.

    Attributes:
        id: its id; -1 for the last piece of text, when it was held back until no token followed.
        text: what is certain of the text now; often empty within a character.
    """

    id: int
    text: str


@dataclass(frozen=True)
class Statistics:
    """How an answer went.

    Attributes:
        prompt_tokens: tokens of the prompt.
        reused_tokens: how many of them were in the cache already.
        answer_tokens: tokens of the answer, the one that ended it included.
        first_token_seconds: from the call to the first token.
        tokens_per_second: of the tokens after the first; 0 when there are none.
        ended_by: ``eos``, ``stop``, ``length`` (of the answer), ``context`` (it is full) or
            ``cancelled``.
    """

    prompt_tokens: int
    reused_tokens: int
    answer_tokens: int
    first_token_seconds: float
    tokens_per_second: float
    ended_by: str


class Generator:
    """Answers with one decoder; what prompts have in common is read once."""

    def __init__(
        self, steps: Steps, tokenizer: Tokenizer | None = None, eos: Sequence[int] = ()
    ) -> None:
        """Wrap a decoder.

        Args:
            steps: the decoder; closed by ``close``.
            tokenizer: for text and stop texts; ids alone without it.
            eos: ids that end an answer.
        """
        self._steps = steps
        self._tokenizer = tokenizer
        self._eos = frozenset(eos)
        self._cached: list[int] = []
        self._answers = 0
        self.statistics: Statistics | None = None

    def generate(
        self,
        ids: Sequence[int],
        sampling: Sampling | None = None,
        cancel: Event | None = None,
    ) -> Iterator[Token]:
        """Answer a prompt, token by token.

        The prompt is checked at once; the model runs as tokens are asked for. An iterator that is
        closed, a ``cancel`` that is set, or another answer that begins, ends the answer after the
        token at hand. Afterwards ``statistics`` tells how it went.

        Args:
            ids: the prompt.
            sampling: greedy, 256 tokens when None.
            cancel: set it from anywhere to end the answer.

        Raises:
            TextRefused: an empty prompt, one that fills the context, or ids beyond the vocabulary.
            SpecError: a search by beams, which is for encoder-decoders.
        """
        self._check(ids)
        if sampling is not None and (sampling.beams or 1) > 1:
            raise SpecError(
                "a search by beams is for models that read a text and answer it",
                hint="This one continues texts: leave the beams out.",
            )
        return self._answer(list(ids), sampling or Sampling(), cancel)

    def close(self) -> None:
        """Release the decoder."""
        self._steps.close()

    def _check(self, ids: Sequence[int]) -> None:
        if not len(ids):
            raise TextRefused("the prompt has no tokens", hint="Give at least one word.")
        context, vocabulary = self._steps.context, self._steps.vocabulary
        if len(ids) >= context:
            raise TextRefused(
                f"the prompt has {len(ids)} tokens, the context {context}: no room for an answer",
                hint="Shorten the prompt, or export again with a larger --max-context.",
                tokens=len(ids),
                limit=context,
            )
        if min(ids) < 0 or max(ids) >= vocabulary:
            raise TextRefused(
                f"token ids from {min(ids)} to {max(ids)}; the model knows 0 to {vocabulary - 1}",
                hint="The tokenizer is of another model.",
            )

    def _answer(self, ids: list[int], sampling: Sampling, cancel: Event | None) -> Iterator[Token]:
        self._answers += 1
        number = self._answers
        clock = _Clock(len(ids), self._common(ids))
        sampler = Sampler(sampling)
        stream = TextStream(self._tokenizer, sampling.stop) if self._tokenizer else None
        everything = list(ids)
        try:
            logits = self._feed(ids[clock.reused :], clock.reused)
            while True:
                token = sampler.choose(logits, everything)
                clock.token()
                everything.append(token)
                text = stream.add(token) if stream and token not in self._eos else ""
                clock.ended_by = self._end(token, everything, clock, sampling, stream, cancel)
                yield Token(token, text)
                # Another answer has the cache now: this one cannot go on.
                if clock.ended_by or number != self._answers:
                    break
                logits = self._feed([token], len(everything) - 1)
            if stream and (rest := stream.rest()):
                yield Token(-1, rest)
        finally:
            if number == self._answers:
                self.statistics = clock.statistics()

    def _end(
        self,
        token: int,
        everything: Sequence[int],
        clock: _Clock,
        sampling: Sampling,
        stream: TextStream | None,
        cancel: Event | None,
    ) -> str:
        """What ends the answer here; empty when it goes on."""
        if token in self._eos:
            return "eos"
        if stream is not None and stream.stopped:
            return "stop"
        if cancel is not None and cancel.is_set():
            return "cancelled"
        if clock.answered >= sampling.max_tokens:
            return "length"
        return "context" if len(everything) >= self._steps.context else ""

    def _common(self, ids: Sequence[int]) -> int:
        """How many tokens of a prompt the cache holds already; the last is always read again."""
        count = 0
        for one, other in zip(ids[:-1], self._cached, strict=False):
            if one != other:
                break
            count += 1
        return count

    def _feed(self, ids: list[int], position: int) -> NDArray[np.float32]:
        # Until it succeeds, nothing from here on is in the cache.
        del self._cached[position:]
        logits = self._steps.feed(ids, position)
        if logits.shape != (self._steps.vocabulary,):
            raise InternalError(f"the decoder gave logits of shape {logits.shape}")
        if not np.isfinite(logits).all():
            raise InternalError("the decoder gave logits that are not finite numbers")
        self._cached += ids
        return logits


class _Clock:
    """Times one answer."""

    def __init__(self, prompt: int, reused: int) -> None:
        self.prompt, self.reused = prompt, reused
        self.answered = 0
        self.ended_by = ""
        self._begin = time.perf_counter_ns()
        self._first = self._last = self._begin

    def token(self) -> None:
        self._last = time.perf_counter_ns()
        self._first = self._first if self.answered else self._last
        self.answered += 1

    def statistics(self) -> Statistics:
        seconds = (self._last - self._first) * _SECOND
        return Statistics(
            prompt_tokens=self.prompt,
            reused_tokens=self.reused,
            answer_tokens=self.answered,
            first_token_seconds=(self._first - self._begin) * _SECOND,
            tokens_per_second=(self.answered - 1) / seconds if seconds else 0.0,
            ended_by=self.ended_by or "cancelled",
        )
