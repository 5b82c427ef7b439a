"""The sweep over budgets, and its picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from edgekit.errors import CannotWrite, CheckFailed, Unavailable
from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.plan import Setting, Unit
from edgekit_converters.quantize.rounding import nearest
from edgekit_converters.quantize.search.allocate import Limits, Rules
from edgekit_converters.quantize.search.frontier import Point, draw, sweep
from edgekit_converters.quantize.search.sensitivity import groups, losses, merged, options, scan
from edgekit_converters.quantize.simulate import Simulation, Treatment, Variant
from edgekit_converters.quantize.units import units
from tests.converters.conftest import Case, calibration

SETTINGS = (Setting(8), Setting(4, 32))


class Search:
    """A tiny model, scanned with weights rounded to nearest."""

    def __init__(self, this: Case) -> None:
        graph = this.rewritten().module()
        tensors = dict(graph.named_parameters(remove_duplicate=False))
        found = units(graph)
        self.inputs = calibration(this, 8)
        self.simulation = Simulation(graph, found)

        def treat(members: tuple[Unit, ...], setting: Setting) -> Variant:
            return {
                unit.name: Treatment(
                    nearest.fit(tensors[unit.name], setting.bits, setting.group).dequantized(),
                    per_token if unit.kind == "linear" else None,
                )
                for unit in members
            }

        self.offered = options(groups(found), lambda unit: SETTINGS, treat)
        self.scanned = scan(self.simulation, self.offered, self.inputs)

    def sweep(self, limits: Limits, rules: Rules | None = None, count: int = 5) -> list[Point]:
        return sweep(
            self.simulation,
            self.offered,
            self.scanned,
            self.inputs,
            limits,
            count=count,
            rules=rules,
        )


@pytest.fixture(scope="module")
def search(case: Callable[[str], Case]) -> Search:
    torch.set_num_threads(1)
    return Search(case("sentence"))


def test_more_bytes_lose_less(search: Search) -> None:
    points = search.sweep(Limits("mean", fixed_bytes=1000))
    sizes = [point.bytes for point in points]
    assert sizes == sorted(set(sizes))
    assert 3 <= len(points) <= 5
    smallest = sum(min(o.bytes for o in many) for many in search.offered.values())
    largest = sum(max(o.bytes for o in many) for many in search.offered.values())
    assert sizes[0] == smallest + 1000
    assert sizes[-1] == largest + 1000
    predicted = [point.predicted_mean for point in points]
    assert predicted == sorted(predicted)
    assert points[-1].mean > points[0].mean
    assert json.loads(json.dumps([point.as_dict() for point in points]))[0]["bytes"] == sizes[0]


def test_points_are_simulated_as_what_they_are(search: Search) -> None:
    point = search.sweep(Limits("worst"), count=4)[1]
    (loss,) = losses(search.simulation, [merged(search.offered, point.amounts)], search.inputs)
    assert point.worst == 1 - loss.max()
    assert point.mean == pytest.approx(1 - loss.mean())
    assert point.worst == pytest.approx(point.predicted_worst, abs=0.02)


def test_other_limits_are_kept(search: Search) -> None:
    group = next(iter(search.offered))
    points = search.sweep(Limits("mean"), Rules(given={group: "int8 per row"}))
    assert {point.amounts[group] for point in points} == {"int8 per row"}
    every = search.sweep(Limits("worst"))
    floor = (every[0].predicted_worst + every[-1].predicted_worst) / 2
    better = search.sweep(Limits("worst", worst_cosine=floor))
    assert better
    assert all(point.predicted_worst >= floor for point in better)
    with pytest.raises(CheckFailed):
        search.sweep(Limits("worst", worst_cosine=0.999999))


POINTS = [
    Point(size * 1_000_000, worst + 0.001, 0.995, worst, 0.996, {"a": "int8 per row"})
    for size, worst in ((14, 0.95), (16, 0.975), (19, 0.991), (23, 0.996))
]
PEERS = {"peer default": (23_300_000, 0.845), "peer per channel": (22_800_000, 0.973)}


def test_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "frontier.svg"
    draw(POINTS, PEERS, path, "A title of its own")
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    # Letters are drawn as shapes; the words stand beside them.
    for words in ("A title of its own", *PEERS, "predicted", "size on disk, MB", "0.98"):
        assert f"<!-- {words} -->" in text
    assert "date" not in text.lower().replace("<!-- ", "").split("<g id")[0]


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    draw(POINTS, PEERS, one)
    draw(POINTS, PEERS, other)
    assert one.read_bytes() == other.read_bytes()
    draw(POINTS, {**PEERS, "a third": (15_000_000, 0.98)}, other)
    assert one.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(
    ("points", "peers"),
    [
        (POINTS[:1], {}),
        ([], PEERS),
        ([replace(POINTS[0], worst=1.0)], {"exact": (90_000_000, 1.0)}),
        ([replace(POINTS[0], worst=-0.5, predicted_worst=-3.0)], PEERS),
        (POINTS, {f"peer {n}": (20_000_000 + n, 0.97) for n in range(12)}),
    ],
)
def test_unusual_pictures(
    points: list[Point], peers: dict[str, tuple[int, float]], tmp_path: Path
) -> None:
    path = tmp_path / "frontier.svg"
    draw(points, peers, path)
    text = path.read_text(encoding="utf-8")
    assert "nan" not in text.lower()
    assert all(f"<!-- {name} -->" in text for name in peers)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        draw(POINTS, PEERS, tmp_path / "file" / "frontier.svg")


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Unavailable) as caught:
        draw(POINTS, PEERS, tmp_path / "frontier.svg")
    assert "pip install" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_numbers_are_plain(search: Search) -> None:
    point = search.sweep(Limits("mean"), count=2)[0]
    for value in (point.worst, point.mean, point.predicted_worst, point.predicted_mean):
        assert type(value) is float
    assert not isinstance(point.bytes, np.integer)
