"""How long and how fast to train, and what a run came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgekit.errors import SpecError


@dataclass(frozen=True)
class Settings:
    """How long and how fast.

    Attributes:
        steps: updates of the weights.
        batch: rows of one update, over all processes and accumulated parts.
        accumulate: parts that a batch is computed in; more of them need less memory.
        rate: largest learning rate; warmed up, then linear to nothing.
        warmup: share of the steps.
        decay: weight decay of AdamW.
        clip: largest norm of the gradient.
        evaluate_every: steps between two looks at the held-out rows, each with a checkpoint; 0 for
            a tenth of the run.
        patience: looks without a better loss after which training stops; 0 for never.
        seed: of the order of the rows and of whatever is random in a step.
    """

    steps: int
    batch: int = 32
    accumulate: int = 1
    rate: float = 1e-4
    warmup: float = 0.1
    decay: float = 0.01
    clip: float = 1.0
    evaluate_every: int = 0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "accumulate": 1, "evaluate_every": 0, "patience": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise SpecError(f"{name} is {getattr(self, name)}", hint=f"{bound} or more.")
        if not 0.0 < self.rate < float("inf"):
            raise SpecError(f"a learning rate of {self.rate} trains nothing", hint="Try 1e-4.")
        if not 0.0 <= self.warmup < 1.0:
            raise SpecError(f"a warm-up of {self.warmup}", hint="A share of the steps: 0.1.")

    @property
    def interval(self) -> int:
        """Steps between two looks."""
        return self.evaluate_every or max(1, self.steps // 10)


@dataclass(frozen=True)
class Trained:
    """What a run came to. The model holds the best weights that were looked at.

    Attributes:
        steps: that were made; fewer than asked for when it stopped early.
        best_step: whose weights were kept.
        best_loss: on the held-out rows.
        seconds: of this process; a resumed run counts its last part only.
        curve: loss by step on the training rows.
        resumed: the step that it went on from; 0 for the beginning.
    """

    steps: int
    best_step: int
    best_loss: float | None
    seconds: float
    curve: tuple[tuple[int, float], ...] = field(repr=False, default=())
    resumed: int = 0
