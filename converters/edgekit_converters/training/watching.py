"""What is done beside the training: metrics, marks on whole checkpoints, words about progress."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from edgekit.errors import CheckFailed
from edgekit_converters.training import checkpoints
from edgekit_converters.training.settings import Settings

METRICS = "metrics.jsonl"
_TELLINGS = 10

Tell = Callable[[str], None]


def watch(
    model: nn.Module, folder: Path, settings: Settings, tell: Tell, start: Path | None
) -> Any:
    """A callback that writes the metrics, marks checkpoints and tells how far training is."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.begin = time.monotonic()
            self.first = 0 if start is None else checkpoints.step(start)
            self.good = start
            self.told = -1

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.begin = time.monotonic()
            if self.first:
                tell(f"going on from step {self.first} of {settings.steps}")
            if state.is_world_process_zero:
                _shorten(folder / METRICS, self.first)

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any
        ) -> None:
            if not logs:
                return
            if "loss" in logs and not _number(logs["loss"]):
                raise _not_finite(state.global_step, self.good)
            if not state.is_world_process_zero:
                return
            entry = {"step": int(state.global_step), **logs}
            with (folder / METRICS).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry, default=str) + "\n")
            slot = state.global_step * _TELLINGS // settings.steps
            if "loss" in logs and slot != self.told:
                self.told = slot
                tell(_progress(int(state.global_step), settings.steps, logs["loss"], self))

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if not state.is_world_process_zero:
                return
            if not checkpoints.finite(model):
                raise _not_finite(state.global_step, self.good)
            self.good = folder / f"checkpoint-{state.global_step}"
            checkpoints.mark(self.good)

    return Watch()


def _number(value: Any) -> bool:
    return bool(abs(float(value)) < float("inf"))


def _progress(step: int, steps: int, loss: float, since: Any) -> str:
    done = step - since.first
    line = f"step {step} of {steps}, loss {float(loss):.4f}"
    if not done:
        return line
    left = (time.monotonic() - since.begin) / done * (steps - step)
    return f"{line}, about {left:.0f} s left" if step < steps else line


def _not_finite(step: int, good: Path | None) -> CheckFailed:
    kept = f"checkpoint of step {checkpoints.step(good)} is kept" if good else "nothing was kept"
    return CheckFailed(
        f"the loss is no number any more at step {step}; {kept}",
        hint="Use a smaller --learning-rate, or look at the data and the weights of the losses.",
        step=int(step),
        last_good=None if good is None else checkpoints.step(good),
    )


def _shorten(metrics: Path, step: int) -> None:
    """Drop what was logged after the checkpoint that the run goes on from."""
    if not metrics.is_file():
        return
    lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    metrics.write_text("".join(kept) if step else "", encoding="utf-8")
