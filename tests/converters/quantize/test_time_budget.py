"""A limit on time: programs are timed here, a plan is built and held against the limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import CheckFailed, InternalError, SpecError
from edgekit_converters import budgeted, planning
from edgekit_converters.planning import Options
from edgekit_converters.quantize import mixed
from edgekit_converters.quantize.record import QuantizedFolder
from edgekit_converters.quantize.search import timing
from edgekit_converters.quantize.search.clock import Program, milliseconds
from edgekit_converters.quantize.search.timing import Kind
from tests.bundle.trees import names, tree
from tests.support.models import tiny_sentence_bert
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES

SMALL, LARGE = Kind(32, 32, 32), Kind(512, 512, 32)


def program(folder: Path, one: Kind) -> Program:
    path = folder / f"{one.rows}.pte"
    path.write_bytes(timing._program(one, 1, 32))
    inputs = {"activation": np.zeros((1, 16, one.columns), np.float32)}
    return Program(path, timing._signature(one, 32), inputs)


def test_programs_are_timed_in_turn_in_another_process(tmp_path: Path) -> None:
    small, large = milliseconds([program(tmp_path, SMALL), program(tmp_path, LARGE)], 0.2)
    # 256 times the work, by the processor's clock.
    assert 0 < small < large < 1000


def test_a_program_that_the_runtime_refuses(tmp_path: Path) -> None:
    good = program(tmp_path, SMALL)
    good.path.write_bytes(b"no program")
    refused(InternalError, 70, "32.pte", lambda: milliseconds([good], 0.1))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mixed, "_SECONDS", 0.5)
    monkeypatch.setattr(budgeted, "_SECONDS", 0.5)
    (tmp_path / "texts.txt").write_text("\n".join([*SENTENCES, *SENTENCES[:10]]), encoding="utf-8")
    tiny_sentence_bert(tmp_path / "model", hidden_size=128, intermediate_size=512)
    return tmp_path


def quantize(home: Path, limit: str) -> QuantizedFolder:
    return planning.quantize(
        home / "model",
        Options(max_latency=limit, data=home / "texts.txt"),
        out=home / "home" / "out",
        samples_file=home / "texts.txt",
    )


def test_a_limit_for_longer_texts_than_the_model_takes(home: Path) -> None:
    error = refused(SpecError, 64, "time of 65 tokens", lambda: quantize(home, "4ms@65"))
    assert "4ms@64" in error.hint
    assert tree(home / "home") in (None, {})


@pytest.mark.slow
def test_a_plan_holds_its_limit_and_says_what_was_predicted(home: Path) -> None:
    facts = quantize(home, "100ms@32").plan.facts
    assert facts.search is not None
    time = facts.search.time
    assert time is not None
    assert (time.tokens, time.threads, time.limit) == (32, 1, 100.0)
    assert 0 < time.measured <= time.limit
    assert 0 < time.predicted <= time.limit
    assert time.fp32 > 0
    assert [hop.hop for hop in facts.quality[-2:]] == ["simulated", "executorch"]
    # Nothing is gained by an fp32 table, and it is most of the file.
    plan = {row.bits for row in quantized_rows(home) if row.kind == "table" and row.rows > 50}
    assert 32 not in plan
    error = refused(CheckFailed, 1, "at most", lambda: quantize_again(home))
    assert "--max-latency" in error.hint
    assert names(home / "home") == ["out"]


def quantized_rows(home: Path) -> tuple[object, ...]:
    from edgekit_converters.quantize.record import opened

    found = opened(home / "home" / "out")
    assert found is not None
    return found.plan.ledger


def quantize_again(home: Path) -> QuantizedFolder:
    """A limit that nothing can hold, in the same place as a plan that is whole."""
    return planning.quantize(
        home / "model",
        Options(max_latency="0.0001ms@32", data=home / "texts.txt"),
        out=home / "home" / "other",
        samples_file=home / "texts.txt",
    )
