"""One answer while it comes, and a conversation of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from threading import Event

from edgekit.bundle.manifest import SamplingDefaults
from edgekit.errors import InternalError, SpecError
from edgekit.runtime.generation.loop import Statistics, Token
from edgekit.runtime.generation.prompt import Prompts
from edgekit.runtime.generation.sampling import Sampling
from edgekit.runtime.generation.seq2seq import Answering
from edgekit.runtime.generation.template import Message

# A long answer may use at most this part of the context, so that history is not all dropped.
_LEAST_SHARE = 4


class Reply:
    """An answer: iterate over it for its pieces, as the model finds them.

    Attributes:
        text: what has come so far.
        ids: the tokens so far.
    """

    def __init__(self, generator: Answering, tokens: Iterator[Token]) -> None:
        """Wrap what ``Generator.generate`` returned."""
        self.text = ""
        self.ids: list[int] = []
        self._generator = generator
        self._tokens = tokens
        self._statistics: Statistics | None = None

    def __iter__(self) -> Iterator[str]:
        """Pieces of text; a loop that is left ends the answer."""
        for token in self._tokens:
            if token.id >= 0:
                self.ids.append(token.id)
            if token.text:
                self.text += token.text
                yield token.text
        self._statistics = self._generator.statistics

    def whole(self) -> str:
        """The text when the answer has ended."""
        for _ in self:
            pass
        return self.text

    @property
    def statistics(self) -> Statistics:
        """How the answer went, once it has ended.

        Raises:
            InternalError: it has not.
        """
        if self._statistics is None:
            raise InternalError("an answer's statistics were asked for before its end")
        return self._statistics


class Conversation:
    """Messages of one chat; what no longer fits the context is forgotten, the oldest first.

    Attributes:
        messages: what is remembered, without the system's.
        forgotten: messages that the last question pushed out.
        last: the last answer, from the first question on.
    """

    def __init__(
        self, generator: Answering, prompts: Prompts, sampling: Sampling, system: str | None = None
    ) -> None:
        """Begin an empty conversation."""
        self._generator, self._prompts = generator, prompts
        self._sampling, self._system = sampling, system
        self.messages: list[Message] = []
        self.forgotten = 0

    def ask(self, text: str, cancel: Event | None = None) -> Iterator[str]:
        """Pieces of the answer; afterwards both are remembered, ``last`` has the answer.

        Raises:
            TextRefused: the message is empty, too long, or refused by the template.
            SpecError: the model has no chat template.
        """
        context = self._prompts.context
        room = min(self._sampling.max_tokens, max(1, context // _LEAST_SHARE))
        asked = [*self.messages, {"role": "user", "content": text}]
        ids, self.forgotten = self._prompts.fitting(self._system, asked, room)
        self.last = Reply(self._generator, self._generator.generate(ids, self._sampling, cancel))
        self.messages = list(asked[self.forgotten :])
        return self._pieces(self.last)

    def reset(self) -> None:
        """Forget everything but the system's message."""
        self.messages, self.forgotten = [], 0

    def _pieces(self, reply: Reply) -> Iterator[str]:
        try:
            yield from reply
        finally:
            # Half an answer is remembered as well: the next question may be about it.
            self.messages.append({"role": "assistant", "content": reply.text})


def sampling(defaults: SamplingDefaults, **wanted: object) -> Sampling:
    """The makers' way of sampling, with what was asked for in its place.

    Args:
        defaults: of the manifest.
        wanted: fields of ``Sampling``; None where nothing was asked.

    Raises:
        SpecError: a value outside its range, or no such field.
    """
    names = [one.name for one in fields(Sampling)]
    for name in wanted:
        if name not in names:
            raise SpecError(
                f"text generation takes no {name.replace('_', ' ')}",
                hint=f"It takes {', '.join(names)}.",
            )
    known = Sampling(
        max_tokens=defaults.max_new_tokens,
        temperature=defaults.temperature,
        top_k=defaults.top_k,
        top_p=defaults.top_p,
        repetition_penalty=defaults.repetition_penalty,
    )
    given = {name: value for name, value in wanted.items() if value is not None}
    return replace(known, **given)  # type: ignore[arg-type]
