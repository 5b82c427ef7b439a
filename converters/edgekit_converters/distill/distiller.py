"""The student in training: one module whose loss is the sum of a recipe's terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgekit_converters.distill.losses import Term
from edgekit_converters.distill.outputs import Asks, Batch, Outputs, Shape, shape_of


class Teacher(Protocol):
    """Something that knows a teacher's outputs."""

    def __call__(  # noqa: D102
        self, inputs: dict[str, Tensor], rows: Tensor, names: frozenset[str]
    ) -> Outputs: ...


class Distiller(nn.Module):
    """A student, what is learned along with it, and a teacher that is no part of the module."""

    accepts_loss_kwargs = False  # the mean over a batch is taken here
    _keys_to_ignore_on_save = None  # transformers asks, where a tied weight is stored once

    def __init__(
        self,
        student: Asks,
        teacher: Teacher | None,
        teacher_shape: Shape,
        terms: Sequence[Term],
        *,
        dropout: bool = False,
        seed: int = 0,
    ) -> None:
        """Put a student and losses together.

        Args:
            student: trained in place.
            teacher: asked in each step; None where no term has one.
            teacher_shape: sizes of the teacher.
            terms: losses with their weights.
            dropout: leave the student's dropout on; a student that copies is better without.
            seed: of what is learned along.
        """
        super().__init__()
        self.student = student.model
        self._probe = student
        self._ask = teacher
        self._terms = tuple(terms)
        self._dropout = dropout
        own = shape_of(student.model)
        both = [term.module.needs(term.config, own, teacher_shape) for term in terms]
        self._needed = [names for names, _ in both]
        self._asked = [names for _, names in both]
        self.parts = nn.ModuleList()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for term in terms:
                make = getattr(term.module, "parts", None)
                part = None if make is None else make(term.config, own, teacher_shape)
                self.parts.append(nn.Identity() if part is None else part)
        hook: Any = self.register_state_dict_post_hook
        hook(_without_copies)

    def train(self, mode: bool = True) -> Distiller:
        """Training mode for what is learned; dropout stays off unless it was asked for."""
        super().train(mode)
        if not self._dropout:
            self.student.eval()
        return self

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        counted: Tensor,
        weights: Tensor,
        row: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_loss: bool = True,  # this is how transformers knows that there is one
    ) -> dict[str, Tensor]:
        """The weighted sum of all terms over one batch, as ``loss``."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if (share := self._sampling()) is not None and self.training and _happens(share.share):
            inputs, counted = self._written(inputs, share)
            labels, row = None, torch.full_like(row, -1)
        batch = Batch(inputs["input_ids"], counted, labels, weights)
        student = self._probe(inputs, frozenset().union(*self._needed))
        asked = frozenset[str]().union(*self._asked)
        other = student
        if self._ask is not None and asked:
            with torch.no_grad():
                other = self._ask(inputs, row, asked)
        total = student.mask.new_zeros((), dtype=weights.dtype)
        for term, part, own, theirs in zip(
            self._terms, self.parts, self._needed, self._asked, strict=True
        ):
            value = term.module.loss(
                _only(student, own), _only(other, theirs), batch, term.config, part
            )
            total = total + term.weight * value
        return {"loss": total}

    def _sampling(self) -> Any:
        for term in self._terms:
            if getattr(term.module, "SAMPLES", False):
                return term.config
        return None

    @torch.no_grad()
    def _written(self, inputs: dict[str, Tensor], config: Any) -> tuple[dict[str, Tensor], Tensor]:
        """What the student writes after the beginning of each text; only that counts."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        given = max(1, min(config.prompt, int(mask.sum(1).min())))
        model: Any = self.student
        made = model.generate(
            input_ids=ids[:, :given],
            attention_mask=mask[:, :given],
            max_new_tokens=config.tokens,
            min_new_tokens=1,
            do_sample=True,
            temperature=config.temperature,
            top_k=0,
            pad_token_id=int(getattr(model.config, "pad_token_id", None) or 0),
        )
        real = torch.cat([mask[:, :given], _until_end(made[:, given:], model)], 1)
        counted = torch.zeros_like(real)
        counted[:, given - 1 : -1] = real[:, given:]
        return {"input_ids": made, "attention_mask": real}, counted


def _until_end(made: Tensor, model: Any) -> Tensor:
    """1 for what was written up to the end token, that included."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    ends = model.config.eos_token_id if ends is None else ends
    if ends is None:
        return torch.ones_like(made)
    ended = torch.isin(made, torch.tensor(ends, device=made.device)).long()
    return ((ended.cumsum(1) - ended) == 0).long()


def _happens(share: float) -> bool:
    """A draw from torch's own generator, whose state a checkpoint keeps."""
    return bool(torch.rand(()) < share)


def _only(outputs: Outputs, names: frozenset[str]) -> Outputs:
    return Outputs(outputs.mask, {name: outputs.named[name] for name in names})


def _without_copies(module: nn.Module, state: Any, prefix: str, metadata: Any) -> None:
    """Tied weights once: safetensors stores no tensor under two names."""
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for name in list(state):
        tensor = state[name]
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if tensor.numel() and key in seen:
            del state[name]
        seen.add(key)
