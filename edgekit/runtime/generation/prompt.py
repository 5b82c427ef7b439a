"""From words to token ids: a plain prompt, one question, or a conversation that must fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from edgekit.bundle.manifest import Generation, Manifest
from edgekit.errors import BundleCorrupt, SpecError, TextRefused
from edgekit.runtime.generation.template import Message, render


class Prompts:
    """The tokenizer and the chat template of a bundle.

    Attributes:
        tokenizer: without truncation and padding.
        generation: what the manifest says.
    """

    def __init__(self, tokenizer: Tokenizer, generation: Generation) -> None:
        """Bind a tokenizer to what the manifest says."""
        self.tokenizer = tokenizer
        self.generation = generation

    @property
    def context(self) -> int:
        """The most tokens in all."""
        return self.generation.context

    @property
    def has_template(self) -> bool:
        """Whether the model knows conversations."""
        return self.generation.chat_template is not None

    def plain(self, text: str) -> list[int]:
        """A text to continue, with the special tokens that the tokenizer itself adds.

        Raises:
            TextRefused: it is empty or not Unicode.
        """
        ids: list[int] = self.tokenizer.encode(_sound(text)).ids
        return ids

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """A conversation up to where the answer begins.

        Raises:
            SpecError: the model has no chat template.
            TextRefused: a message is not Unicode, or the template refuses the conversation.
            InputRefused: the template is not valid.
        """
        template = self.generation.chat_template
        if template is None:
            raise SpecError(
                "the model has no chat template: it continues texts and knows no conversation",
                hint='Give a plain prompt instead: edgekit run BUNDLE --raw "a text to continue"',
            )
        for message in messages:
            _sound(message["content"])
        text = render(template, messages, self.generation.special_tokens)
        # The template writes the special tokens itself.
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def one(self, text: str, *, system: str | None = None, raw: bool = False) -> list[int]:
        """One prompt: as a user's message where the model knows conversations, else as it is.

        Args:
            text: the prompt.
            system: a message of the system before it.
            raw: the text as it is, whatever the model knows.

        Raises:
            SpecError: a system message for a plain prompt.
        """
        if raw or (system is None and not self.has_template):
            if system is not None:
                raise SpecError(
                    "a plain prompt has no system message", hint="Leave out --system or --raw."
                )
            return self.plain(text)
        return self.chat([*_system(system), {"role": "user", "content": text}])

    def fitting(
        self, system: str | None, turns: Sequence[Message], room: int
    ) -> tuple[list[int], int]:
        """A conversation's ids, without its oldest turns where it is too long.

        Args:
            system: a message of the system, always kept.
            turns: messages, a user's first and last.
            room: tokens to leave for the answer.

        Returns:
            The ids, and how many of the first messages were left out.

        Raises:
            TextRefused: the last message alone is too long.
        """
        dropped = 0
        while True:
            ids = self.chat([*_system(system), *turns[dropped:]])
            if len(ids) + room <= self.context:
                return ids, dropped
            if dropped + 2 >= len(turns):
                raise TextRefused(
                    f"the message makes a prompt of {len(ids)} tokens; the context has "
                    f"{self.context}, of which {room} are kept for the answer",
                    hint="Shorten it, or export again with a larger --max-context.",
                    tokens=len(ids),
                    limit=self.context,
                )
            dropped += 2


def read_prompts(folder: Path, manifest: Manifest) -> Prompts:
    """The prompts of a bundle.

    Raises:
        SpecError: its model does not continue texts.
        BundleCorrupt: the tokenizer cannot be read.
    """
    if manifest.generation is None:
        raise SpecError(
            f"a bundle for {manifest.task} does not generate text",
            hint="edgekit run BUNDLE TEXT gives its answers.",
        )
    try:
        tokenizer = Tokenizer.from_file(str(folder / manifest.tokenizer.file))
    except Exception as error:  # the library has no class of its own for a malformed file
        raise BundleCorrupt(f"{manifest.tokenizer.file}: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Prompts(tokenizer, manifest.generation)


def _system(text: str | None) -> list[Message]:
    return [] if text is None else [{"role": "system", "content": text}]


def _sound(text: str) -> str:
    if not text.strip():
        raise TextRefused("the text is empty", hint="Give at least one word.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextRefused(
            f"the text is not valid Unicode: a lone surrogate at character {error.start}",
            hint="It was most likely decoded from bytes that are not UTF-8.",
        ) from None
    return text
