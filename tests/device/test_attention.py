"""The runner's own attention and cache operators against ExecuTorch's, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.device import stream
from edgekit.device.job import Job
from edgekit.device.places.emulated import open_emulated
from edgekit.device.places.host import LocalPlace, open_host
from edgekit.errors import InternalError
from tests.device import attention_programs
from tests.device.attention_programs import CASES

REFUSED = [
    "beyond the cache",
    "negative start",
    "heads that cannot share",
    "another width",
    "short mask",
    "mask of other tokens",
    "written beyond",
]


@dataclass(frozen=True)
class Programs:
    """Two programs, samples for each, and what ExecuTorch's own operators answer."""

    folder: Path
    samples: dict[str, list[list[NDArray[Any]]]]
    wanted: dict[str, Any]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    folder = tmp_path_factory.mktemp("attention")
    attention = attention_programs.attention(folder / "attention.pte")
    cache = attention_programs.cache(folder / "cache.pte")
    return Programs(
        folder,
        {"attention": attention[0], "cache": cache[0]},
        {"attention": attention[1], "cache": cache[1]},
    )


def answers(
    place: LocalPlace, model: Path, samples: list[list[NDArray[Any]]], folder: Path, threads: int
) -> list[list[NDArray[np.float32]]]:
    stream.write(folder / "in", samples)
    with place:
        place.put({"m.pte": model, "in": folder / "in"})
        place.run(
            Job(mode="goldens", model="m.pte", inputs="in", outputs="out", threads=threads),
            timeout=300,
        )
        place.fetch("out", folder / "out")
    return stream.read(folder / "out")


def compare(programs: Programs, place: LocalPlace, folder: Path, threads: int) -> None:
    """Every case at both places in its cache."""
    samples, model = programs.samples["attention"], programs.folder / "attention.pte"
    found = answers(place, model, samples, folder, threads)
    for turn, wanted in zip(found, programs.wanted["attention"], strict=True):
        for case, one, other in zip(CASES, turn, wanted, strict=True):
            assert one.shape == other.shape
            assert float(np.abs(one - other).max()) <= 1e-5, case


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_attention_here(
    host_runner: Path, programs: Programs, tmp_path: Path, threads: int
) -> None:
    compare(programs, open_host(), tmp_path, threads)


@pytest.mark.arm64
@pytest.mark.parametrize("threads", [1, 2])
def test_attention_on_arm64(
    arm64_runner: Path, programs: Programs, tmp_path: Path, threads: int
) -> None:
    compare(programs, open_emulated(), tmp_path, threads)


def test_a_cache_is_zero_at_first_and_keeps_what_is_written(
    host_runner: Path, programs: Programs, tmp_path: Path
) -> None:
    samples = programs.samples["cache"]
    found = answers(open_host(), programs.folder / "cache.pte", samples, tmp_path, 1)
    assert not found[0][0][:, 3:].any()
    assert found[0][0][:, :3].all()
    for [one], other in zip(found, programs.wanted["cache"], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", REFUSED)
def test_shapes_that_do_not_fit_are_refused(host_runner: Path, tmp_path: Path, kind: str) -> None:
    sample = attention_programs.refused(tmp_path / "m.pte", kind)
    with pytest.raises(InternalError, match="InvalidArgument") as caught:
        answers(open_host(), tmp_path / "m.pte", [sample], tmp_path, 1)
    assert caught.value.details["executorch_status"] == 0x12


def test_a_number_that_is_none_shows_in_the_answer(
    host_runner: Path, programs: Programs, tmp_path: Path
) -> None:
    sample = [tensor.copy() for tensor in programs.samples["attention"][0]]
    sample[2][0, 0] = np.nan  # a value that every query of the first call sees
    model = programs.folder / "attention.pte"
    [found] = answers(open_host(), model, [sample], tmp_path, 1)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
