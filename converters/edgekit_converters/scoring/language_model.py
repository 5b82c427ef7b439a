"""A decoder's artifact as a model of lm-eval: log-likelihoods token by token, greedy texts.

Texts become tokens as in lm-eval's own model of transformers, so that both are asked the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    has_bos_prefix,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from numpy.typing import NDArray

from edgekit.runtime.generation import Generator, Sampling
from edgekit.runtime.generation.loop import Steps
from edgekit_converters.scoring.timed import Timed

Tokenised = tuple[Any, list[int], list[int]]
Told = Callable[[int, int], None]


class ArtifactModel(TemplateLM):  # type: ignore[misc]  # lm-eval takes nothing but its subclasses
    """A loaded decoder behind lm-eval's interface."""

    def __init__(self, steps: Steps, tokenizer: Any, told: Told | None = None) -> None:
        """Wrap a decoder.

        Args:
            steps: the decoder; not closed here.
            tokenizer: transformers' tokenizer of the bundle.
            told: of requests that are done, and all of the batch.
        """
        super().__init__()
        self.tokenizer = tokenizer
        self._steps = Timed(steps)
        self._cached: list[int] = []
        self._told = told or (lambda done, total: None)
        self.seconds = 0.0

    @property
    def model_seconds(self) -> float:
        """Time inside the decoder, of the ``seconds`` of all answers."""
        return self._steps.seconds

    @property
    def not_finite(self) -> int:
        """How often its logits were not finite numbers."""
        return self._steps.not_finite

    @property
    def max_length(self) -> int:
        """The context."""
        return self._steps.context

    @property
    def max_gen_toks(self) -> int:
        """Tokens of an answer unless a task says otherwise."""
        return min(256, self.max_length // 2)

    @property
    def eot_token_id(self) -> int:
        """Ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """Stands before a text that begins with nothing."""
        first = self.tokenizer.bos_token_id
        return int(self.eot_token_id if first is None else first)

    @property
    def tokenizer_name(self) -> str:
        """For lm-eval's caches, which are not used."""
        return "edgekit"

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Token ids; a text that begins with the first token gets no other."""
        given = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        begin = self.tokenizer.decode(self.prefix_token_id)
        if add_special_tokens is None and has_bos_prefix(string, begin):
            given["add_special_tokens"] = False
        ids: list[int] = self.tokenizer.encode(string, **given)
        return ids

    def _loglikelihood_tokens(
        self, requests: Sequence[Tokenised], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of every continuation, and whether each of its tokens is the likeliest.

        In order of the tokens, so that what contexts have in common is read once.
        """
        began = time.perf_counter()
        order = sorted(range(len(requests)), key=lambda at: (*requests[at][1], *requests[at][2]))
        found: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
        for done, at in enumerate(order, 1):
            found[at] = self._scored(requests[at][1], requests[at][2])
            self._told(done, len(requests))
        self.seconds += time.perf_counter() - began
        return found

    def _scored(self, context: list[int], continuation: list[int]) -> tuple[float, bool]:
        read = (context + continuation)[-(self.max_length + 1) :][:-1]
        wanted = continuation[-len(read) :]
        first = len(read) - len(wanted)
        total, greedy = 0.0, True
        logits = self._read(read[: first + 1])
        for at, token in enumerate(wanted):
            if at:
                logits = self._read(read[: first + at + 1])
            wide = logits.astype(np.float64)
            top = wide.max()
            total += float(wide[token] - top - np.log(np.exp(wide - top).sum()))
            greedy = greedy and int(wide.argmax()) == token
        return total, greedy

    def _read(self, ids: list[int]) -> NDArray[np.float32]:
        """Logits after the last of ``ids``; only what the cache lacks is read."""
        common = 0
        for one, other in zip(ids[:-1], self._cached, strict=False):
            if one != other:
                break
            common += 1
        del self._cached[common:]
        logits = self._steps.feed(ids[common:], common)
        self._cached = list(ids)
        return logits

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood of whole texts, in windows of the context where they are longer."""
        began, found = time.perf_counter(), []
        for done, request in enumerate(requests, 1):
            (text,) = request.args
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            found.append(sum(self._scored(*make_disjoint_window(each))[0] for each in windows))
            self._told(done, len(requests))
        self.seconds += time.perf_counter() - began
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Continuations up to a stop text; greedy unless the task samples."""
        began, self._cached = time.perf_counter(), []
        generator = Generator(self._steps)
        end = self.tokenizer.decode(self.eot_token_id, skip_special_tokens=False)
        found = []
        for done, request in enumerate(requests, 1):
            text, asked = request.args
            given = normalize_gen_kwargs(asked, self.max_gen_toks)
            stop = handle_stop_sequences(given.get("until"), eos=end)
            found.append(self._continued(generator, text, stop, given))
            self._told(done, len(requests))
        self.seconds += time.perf_counter() - began
        return found

    def _continued(
        self, generator: Generator, text: str, stop: list[str], given: dict[str, Any]
    ) -> str:
        room = min(int(given["max_gen_toks"]), self.max_length - 1)
        ids = self.tok_encode(text)[-(self.max_length - room) :]
        temperature = float(given.get("temperature") or 0.0) if given.get("do_sample") else 0.0
        made: list[int] = []
        said = ""
        for token in generator.generate(ids, Sampling(max_tokens=room, temperature=temperature)):
            if token.id == self.eot_token_id:
                break
            made.append(token.id)
            said = self.tokenizer.decode(made, skip_special_tokens=True)
            if any(word and word in said for word in stop):
                break
        answer: str = postprocess_generated_text(said, stop, None)
        return answer
