"""The page as text: whole, self-contained, and nothing in it that a file's words could start."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

from edgekit.api import report
from edgekit.errors import BundleCorrupt, CannotWrite, InputMissing, InputRefused, SpecError
from edgekit.report.plots import letter_places, pareto, points
from tests.report.documents import HOSTILE, bundle, contestant, document, write
from tests.support.refusals import refused


class Tags(HTMLParser):
    """Every element with its attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def made(tmp_path: Path, words: str = "plain") -> str:
    runs = [write(tmp_path / "run.json", words), bundle(tmp_path / "bundle", words)]
    (page,) = report(runs, tmp_path / "report.html")
    return page.read_text(encoding="utf-8")


def test_everything_is_on_the_page_without_a_script(tmp_path: Path) -> None:
    text = Tags(made(tmp_path)).text
    for words in (
        "0.9000",
        "0.8800 to 0.9200",
        "worse",
        "90.0 MB",
        "Parts of the data",
        "Harmed texts",
        "Changed answers of plain",
        "Where it was measured",
        "Not a phone",
        "Parity, hop by hop",
        "0.999100",
        "Ledger of layers",
        "98.0% of the bytes",
        "75.0%",
        "4.1 kB",
        "1 operators",
        "What made it",
    ):
        assert words in text, words


def test_hostile_words_are_words(tmp_path: Path) -> None:
    page = made(tmp_path, HOSTILE)
    tags = Tags(page)
    assert [tag for tag, _ in tags.found].count("script") == 1
    assert not any(tag in ("img", "iframe", "object", "embed", "base") for tag, _ in tags.found)
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)
    assert tags.text.count("<script>alert('x')</script>") >= 6


def test_nothing_is_fetched(tmp_path: Path) -> None:
    for _, attributes in Tags(made(tmp_path)).found:
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (name, value)


def test_headings_tables_and_regions_are_for_everybody(tmp_path: Path) -> None:
    tags = Tags(made(tmp_path)).found
    assert ("html", {"lang": "en"}) in tags
    levels = [int(tag[1]) for tag, _ in tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")
    for tag, attributes in tags:
        if tag == "div" and attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
    assert any(attributes.get("role") == "img" for _, attributes in tags)
    ids = [attributes["id"] for tag, attributes in tags if tag in ("section", "h2")]
    assert len(ids) == len(set(ids))


def test_the_plot_marks_what_none_beats() -> None:
    found = {one["name"]: one["best"] for one in points(document())}
    assert found == {"tiny eager": True, "plain": True, "tiny executorch": False}
    drawn = pareto(document(HOSTILE))
    assert drawn is not None
    assert "<script>" not in drawn
    assert "currentColor" in drawn
    assert "&lt;script&gt;" in drawn
    assert pareto(document()) == pareto(document())  # the same bytes again
    alone = {**document(), "contestants": [contestant("one", 5, 0.5)]}
    assert pareto(alone) is None


def test_plots_are_files_as_well(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    written = report([write(tmp_path / "run.json", HOSTILE)], tmp_path / "r.html", svg=tmp_path)
    assert [path.name for path in written] == ["r.html", "run-pareto.svg"]
    assert ElementTree.parse(written[1]).getroot().tag.endswith("svg")


def test_what_is_no_run_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    (tmp_path / "bad.json").write_text('{"format": "other"}')
    damaged = bundle(tmp_path / "damaged")
    (damaged / "model.pte").write_bytes(b"x" * 300)
    for runs, error, status, word in (
        ([], SpecError, 64, "nothing to report on"),
        ([tmp_path / "none.json"], InputMissing, 66, "no such file"),
        ([tmp_path], InputMissing, 66, "is no bundle"),
        ([tmp_path / "bad.json"], InputRefused, 65, "no document"),
        ([damaged], BundleCorrupt, 65, "model.pte"),
    ):
        refused(error, status, word, lambda runs=runs: report(runs, out))
    refused(
        CannotWrite,
        73,
        "no such folder",
        lambda: report([write(tmp_path / "run.json")], tmp_path / "none" / "page.html"),
    )
    assert not out.exists()


def test_a_letter_is_nearer_to_its_own_point_than_to_a_neighbours() -> None:
    sizes = [4.76, 5.3, 4.86, 1.46, 1.44, 1.45, 1.455, 9.0]
    places = letter_places(sizes)
    (left, _), (right, _) = places[4], places[3]
    assert left < 0 < right  # the smallest and the largest of four
    above, below = places[5], places[6]
    assert below[1] < 0 < above[1]
    assert places[0][0] < 0 < places[1][0]
    assert places[7][0] > 0
    assert letter_places([1.0]) == [places[7]]
