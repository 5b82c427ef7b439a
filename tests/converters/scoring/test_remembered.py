"""Runs on models that write, stopped half-way: the same command goes on from what was answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.read import load_manifest
from edgekit.errors import CheckFailed
from edgekit.scoring import journal
from edgekit_converters.scoring import harness, passages, players
from edgekit_converters.scoring.harness import Options, Player
from edgekit_converters.scoring.language_model import ArtifactModel
from tests.support.refusals import refused

SUITES = ("arc_easy", "wikitext", "gsm8k")


class _Watched:
    """A decoder's steps that are counted, and stopped at one of them."""

    def __init__(self, steps: Any, stop_at: int | None) -> None:
        self._steps, self._stop_at = steps, stop_at
        self.context, self.vocabulary = steps.context, steps.vocabulary
        self.fed = 0

    def feed(self, ids: Sequence[int], position: int) -> Any:
        self.fed += 1
        if self.fed == self._stop_at:
            raise KeyboardInterrupt
        return self._steps.feed(ids, position)

    def close(self) -> None:
        self._steps.close()


def watched(bundle: Path, seen: list[_Watched], stop_at: int | None = None) -> Player:
    """The bundle's decoder; every opening adds its steps to ``seen``."""
    (player,) = players.of_bundle(bundle, load_manifest(bundle), ())

    def opened(told: Any) -> Any:
        lm, close = player.open(told)
        seen.append(_Watched(lm._steps._steps, stop_at))
        return ArtifactModel(seen[-1], lm.tokenizer, told), close

    return Player(player.facts, opened)


@pytest.mark.slow
def test_a_stopped_suite_goes_on(bundle: Path, data: Path, tmp_path: Path) -> None:
    seen: list[_Watched] = []

    def boards(folder: Path, stop_at: int | None = None) -> Any:
        player = watched(bundle, seen, stop_at)
        return harness.run([player], SUITES, data, Options(limit=2, shots=0), work=folder)

    whole = boards(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        boards(tmp_path / "stopped", seen[0].fed // 2)
    file = tmp_path / "stopped" / "0.requests.jsonl"
    kept = file.read_text(encoding="utf-8")
    assert kept.count("\n") > 1
    file.write_text(kept + '["half', encoding="utf-8")  # as a kill leaves it
    again = boards(tmp_path / "stopped")
    assert 0 < seen[2].fed < seen[0].fed
    for name in SUITES:
        one, other = whole[name].standings[0], again[name].standings[0]
        # What requests have in common is read once, from other neighbours after a stop.
        assert other.kept.marks == pytest.approx(one.kept.marks, rel=1e-5)
        assert one.model_seconds is not None
        assert other.model_seconds is None  # the whole was never timed
    boards(tmp_path / "stopped")
    assert seen[3].fed == 0


def test_another_model_is_not_given_the_answers_of_this_one(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    seen: list[_Watched] = []
    player = watched(bundle, seen)
    other = replace(player, facts={**player.facts, "identity": "another"})
    for one in (player, other):
        harness.run([one], ("copa",), data, Options(limit=2), work=tmp_path)
    assert seen[0].fed == seen[1].fed > 0


@pytest.mark.parametrize("columns", ["text", "replies"])
def test_a_stopped_file_goes_on(bundle: Path, tmp_path: Path, columns: str) -> None:
    texts = [f"The sun rises in the east {'again ' * (at % 5)}" for at in range(20)]
    rows: list[dict[str, str]] = [{"text": text} for text in texts]
    if columns == "replies":
        rows = [{"prompt": text, "completion": "the sun"} for text in texts]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    seen: list[_Watched] = []

    def board(folder: Path, stop_at: int | None = None) -> Any:
        return passages.run([watched(bundle, seen, stop_at)], path, Options(), work=folder)

    whole = board(tmp_path / "whole").standings[0]
    with pytest.raises(KeyboardInterrupt):
        board(tmp_path / "stopped", seen[0].fed * 3 // 4)
    done = len(list(journal.entries(tmp_path / "stopped" / "0.jsonl")))
    assert 8 <= done < 20
    again = board(tmp_path / "stopped").standings[0]
    assert 0 < seen[2].fed < seen[0].fed
    assert again.kept.marks == pytest.approx(whole.kept.marks, rel=1e-5)
    assert np.array_equal(again.kept.status, whole.kept.status)
    assert whole.model_seconds is not None
    assert again.model_seconds is None


def test_answers_that_are_no_numbers_are_not_kept(bundle: Path, tmp_path: Path) -> None:
    (player,) = players.of_bundle(bundle, load_manifest(bundle), ())

    def broken(told: Any) -> Any:
        lm, close = player.open(told)
        inner = lm._steps._steps

        class Steps:
            context, vocabulary = inner.context, inner.vocabulary

            def feed(self, ids: Sequence[int], position: int) -> Any:
                return inner.feed(ids, position) * np.nan

        return ArtifactModel(Steps(), lm.tokenizer, told), close  # type: ignore[arg-type]

    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "The sun rises."}\n', encoding="utf-8")
    wrong = Player(player.facts, broken)
    refused(
        CheckFailed,
        1,
        "not finite",
        lambda: passages.run([wrong], path, Options(), work=tmp_path / "work"),
    )
    assert list(journal.entries(tmp_path / "work" / "0.jsonl")) == []
