"""The page in a real browser: no complaint, every control by keyboard, dark, light and printed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.api import report
from tests.report import browser
from tests.report.documents import HOSTILE, bundle, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        browser.program() is None and os.environ.get(browser.REQUIRED) != "1",
        reason="no chromium here",
    ),
]
_COLUMN = "[...document.querySelectorAll('table.sortable')].at(-1)"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Tab]:
    home = tmp_path_factory.mktemp("page")
    runs = [write(home / "run.json"), write(home / "odd.json", HOSTILE), bundle(home / "bundle")]
    (page,) = report(runs, home / "report.html")
    with browser.opened(home / "profile") as tab:
        tab.open(page)
        yield tab


def test_the_console_is_silent_and_no_word_of_a_file_ran(tab: browser.Tab) -> None:
    assert tab.value("document.images.length") == 0
    assert tab.value("document.scripts.length") == 1
    assert tab.complaints == []


def test_every_control_is_reached_by_tab_and_shows_that_it_is(tab: browser.Tab) -> None:
    wanted = tab.value(
        "document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"]').length"
    )
    tab.value("document.activeElement.blur()")
    tab.value("window.reached = new Set()")
    outlines = set()
    for _ in range(wanted + 5):
        tab.press("Tab")
        tab.value("window.reached.add(document.activeElement)")
        outlines.add(tab.value("getComputedStyle(document.activeElement).outlineStyle"))
    assert tab.value("[...window.reached].filter((e) => e !== document.body).length") == wanted
    assert "solid" in outlines


def test_enter_sorts_a_column_up_and_down_with_blanks_last(tab: browser.Tab) -> None:
    after = tab.value(f"{_COLUMN}.tHead.rows[0].cells[5].textContent")
    assert after == "after"
    tab.value(f"{_COLUMN}.tHead.rows[0].cells[5].firstChild.focus()")
    cells = f"[...{_COLUMN}.tBodies[0].rows].map((row) => row.cells[5].textContent)"
    before = tab.value(cells)
    tab.press("Enter")
    assert tab.value(cells) == ["20 B", "900 B", "5.0 kB"]
    tab.press("Enter")
    assert tab.value(cells) == ["5.0 kB", "900 B", "20 B"]
    assert before == ["900 B", "5.0 kB", "20 B"]
    state = tab.value(f"{_COLUMN}.tHead.rows[0].cells[5].getAttribute('aria-sort')")
    assert state == "descending"
    tab.value(f"{_COLUMN}.tHead.rows[0].cells[6].firstChild.click()")
    decibels = f"[...{_COLUMN}.tBodies[0].rows].map((row) => row.cells[6].textContent.trim())"
    assert tab.value(decibels) == ["30.0", "50.5", ""]


@pytest.mark.parametrize(("media", "scheme"), [("", "light"), ("", "dark"), ("print", "light")])
def test_text_stands_out(tab: browser.Tab, media: str, scheme: str) -> None:
    tab.media(media, scheme)
    ink, paper = (
        tab.value(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    assert contrast(ink, paper) > 7
    worse = tab.value("getComputedStyle(document.querySelector('.worse')).color")
    assert contrast(worse, paper) > 4.5
    assert tab.value("getComputedStyle(document.querySelector('figure svg')).color") == ink
    # Nothing is wider than the window but what scrolls by itself.
    assert tab.value("document.documentElement.scrollWidth <= window.innerWidth")
    assert tab.complaints == []
    tab.media()


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours as browsers write them."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


def test_without_a_script_everything_is_there(tab: browser.Tab, tmp_path: Path) -> None:
    write(tmp_path / "run.json")
    (page,) = report([tmp_path / "run.json"], tmp_path / "page.html")
    tab.ask("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(page)
    document = tab.ask("DOM.getDocument")
    body = tab.ask("DOM.querySelector", nodeId=document["root"]["nodeId"], selector="body")
    html = tab.ask("DOM.getOuterHTML", nodeId=body["nodeId"])["outerHTML"]
    tab.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert "<button" not in html
    for words in ("0.8900", "<svg", "Changed answers"):
        assert words in html
