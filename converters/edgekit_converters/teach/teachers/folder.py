"""A teacher from a Hugging Face folder: transformers' ``generate`` on this machine."""

from __future__ import annotations

from typing import Any

import torch

from edgekit.errors import Unsupported
from edgekit_converters.folder import check
from edgekit_converters.load import load
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve
from edgekit_converters.teach.options import Options
from edgekit_converters.teach.teachers import Answered
from edgekit_converters.training.data_tokens import transformers_tokenizer


class FolderTeacher:
    """See ``Teacher``."""

    exact = True

    def __init__(self, options: Options) -> None:
        """Load it.

        Raises:
            EdgekitError: as ``load.load``.
            Unsupported: the model writes no text.
        """
        source = resolve(options.teacher or "")
        auto_class = _auto_class(check(source.folder).config, source.id)
        self._pairs = auto_class == "AutoModelForSeq2SeqLM"
        self._loaded = load(source, auto_class, attention="eager" if self._pairs else "sdpa")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = self._loaded.model.to(device)
        self._tokenizer = transformers_tokenizer(source.folder)
        self._options = options
        self.identity = f"weights {self._loaded.weights_sha256}"

    def ask(self, messages: list[dict[str, str]], seed: int) -> Answered:
        """Generate an answer; the same seed gives the same one."""
        ids = torch.tensor([self._ids(messages)], device=self._model.device)
        told = self._options
        sampling: dict[str, Any] = {"do_sample": False}
        if told.temperature > 0:
            sampling = {"do_sample": True, "temperature": told.temperature, "top_k": 0}
        with quiet(), torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            made = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=told.max_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
                **sampling,
            )[0, 0 if self._pairs else ids.shape[1] :].tolist()
        text = self._tokenizer.decode(made, skip_special_tokens=True)
        return Answered(text, ids.shape[1], len(made), made[-1:] != [] and self._ended(made[-1]))

    def count(self, messages: list[dict[str, str]]) -> int:
        """Tokens of a question."""
        return len(self._ids(messages))

    def _ids(self, messages: list[dict[str, str]]) -> list[int]:
        if self._tokenizer.chat_template:
            text = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        text = "\n\n".join(message["content"] for message in messages)
        return list(self._tokenizer(f"{text}\n\n")["input_ids"])

    def _ended(self, token: int) -> bool:
        ends = self._model.generation_config.eos_token_id
        return token in (ends if isinstance(ends, list) else [ends])


def _auto_class(config: dict[str, Any], name: str) -> str:
    """The class that writes text, by what the folder was saved as.

    Raises:
        Unsupported: it was saved as something else.
    """
    from transformers.models.auto import modeling_auto

    saved = (config.get("architectures") or [""])[0]
    if saved in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        return "AutoModelForCausalLM"
    if saved in modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values():
        return "AutoModelForSeq2SeqLM"
    raise Unsupported(
        f"{name} ({saved or 'no architectures'}) is no model that writes text",
        hint="Give the folder of a chat model, or of a model such as Flan-T5.",
    )
