"""Training that is killed, poisoned, crowded out or simply done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from edgekit.errors import CheckFailed, SpecError, StorageFull, TemporaryFailure
from edgekit_converters.training import checkpoints
from edgekit_converters.training.trainer import BOARD, METRICS, Settings
from tests.converters.training.training_run import Net, run

ROOT = Path(__file__).parents[3]


def weights(model: Net) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def logged(folder: Path) -> list[dict[str, float]]:
    lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_killed_and_resumed_is_bit_for_bit_the_same(tmp_path: Path) -> None:
    whole, straight = run(tmp_path / "whole")
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.converters.training.training_run", str(folder), "0.1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while not list(folder.glob("checkpoint-*/complete")) and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.05)
        with pytest.raises(TemporaryFailure, match="another run"):
            run(folder)
        time.sleep(0.3)  # some steps after it
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    start = checkpoints.newest(folder)
    assert start is not None
    (folder / "checkpoint-29").mkdir()  # as a kill in the middle of writing leaves it
    resumed, made = run(folder)
    assert made.resumed == checkpoints.step(start) > 0
    assert torch.equal(weights(resumed), weights(whole))
    assert (made.steps, made.best_step, made.best_loss) == (
        30,
        straight.best_step,
        straight.best_loss,
    )
    assert made.curve == straight.curve
    steps = [entry["step"] for entry in logged(folder) if "loss" in entry]
    assert steps == list(range(1, 31))


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first, made = run(tmp_path / "run")
    model = Net()
    again, found = run(tmp_path / "run", model)
    assert model.seen == 0
    assert found == made
    assert torch.equal(weights(again), weights(first))
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_the_best_weights_are_kept_and_early_stopping_stops(tmp_path: Path) -> None:
    # A rate this high gets worse after a while.
    _, made = run(tmp_path / "run", rate=0.5, steps=60, patience=2, evaluate_every=2)
    looks = {e["step"]: e["eval_loss"] for e in logged(tmp_path / "run") if "eval_loss" in e}
    assert made.best_loss == min(looks.values())
    assert looks[made.best_step] == made.best_loss
    assert made.best_step < made.steps < 60
    assert made.steps == max(looks) == made.best_step + 4


def test_accumulated_parts_are_the_whole_batch(tmp_path: Path) -> None:
    # Without noise: the parts of a batch draw other numbers than the whole.
    models = [Net(), Net()]
    for model in models:
        model.layers[2] = torch.nn.Identity()
    whole, one = run(tmp_path / "whole", models[0])
    parts, two = run(tmp_path / "parts", models[1], accumulate=4)
    assert torch.allclose(weights(parts), weights(whole), atol=1e-5)
    assert [loss for _, loss in one.curve] == pytest.approx([b for _, b in two.curve], abs=1e-5)
    with pytest.raises(SpecError, match="does not divide"):
        run(tmp_path / "odd", accumulate=3)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(CheckFailed, match="at step 13; checkpoint of step 10 is kept") as caught:
        run(folder, Net(poison=13))
    assert caught.value.exit_status == 1
    assert caught.value.details == {"step": 13, "last_good": 10}
    good = checkpoints.newest(folder)
    assert good is not None
    assert checkpoints.step(good) == 10
    _, made = run(folder)
    assert made.resumed == 10


def test_metrics_lie_beside_as_lines_and_for_tensorboard(tmp_path: Path) -> None:
    _, made = run(tmp_path / "run")
    losses = [(e["step"], e["loss"]) for e in logged(tmp_path / "run") if "loss" in e]
    assert losses == [(step, loss) for step, loss in made.curve]
    assert losses[-1][1] < losses[0][1]
    assert list((tmp_path / "run" / BOARD).rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("batch", 0), ("rate", 0.0), ("rate", float("nan")), ("warmup", 1.0)],
)
def test_settings_that_train_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(SpecError):
        Settings(**({"steps": 5} | {name: value}))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_fills_up_while_checkpointing(small_disk: Path) -> None:
    folder = small_disk / "run"
    filler = small_disk / "filler"

    class Filling(Net):
        def forward(
            self, x: torch.Tensor, y: torch.Tensor, return_loss: bool = True
        ) -> dict[str, torch.Tensor]:
            made = super().forward(x, y)
            if self.training and self.seen == 12:
                with filler.open("wb") as stream:
                    stream.write(b"x" * (os.statvfs(small_disk).f_bavail * 4096 - 8192))
            return made

    with pytest.raises(StorageFull) as caught:
        run(folder, Filling())
    assert caught.value.exit_status == 74
    filler.unlink()
    good = checkpoints.newest(folder)
    assert good is not None
    assert checkpoints.step(good) == 10
    assert [path.name for path in folder.glob("checkpoint-15")] == []  # the half one is gone
    resumed, made = run(folder)
    assert made.resumed == 10
    whole, _ = run(small_disk.parent / "whole")
    assert torch.equal(weights(resumed), weights(whole))
