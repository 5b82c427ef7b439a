"""Texts to measure with: the built-in ones and the user's."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from edgekit.errors import InputMissing, InputRefused, PermissionRefused
from edgekit_converters.evaluate import samples
from tests.support.refusals import refused, unreadable


def test_built_in_texts() -> None:
    texts, held_out = samples.evaluation(), samples.calibration()
    assert len(texts) == len(set(texts)) == 64
    assert len(held_out) == len(set(held_out)) == 400
    assert not set(texts) & set(held_out)
    assert all(text.strip() == text and text for text in texts + held_out)
    lengths = sorted(len(text) for text in texts)
    assert lengths[0] < 12
    assert lengths[-1] > 250
    scripts = {unicodedata.name(c).split()[0] for text in texts for c in text if c.isalpha()}
    assert {"LATIN", "CYRILLIC", "CJK", "HIRAGANA"} <= scripts


def test_own_texts(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_bytes("\ufeff".encode() + "  one \r\n\r\n\t\nzwei 🙂\n".encode())
    found = samples.evaluation(path)
    assert found == ["one", "zwei 🙂"]


@pytest.mark.parametrize("lines", [255, 256, 257, 511, 513, 10_000])
def test_long_files_are_thinned_evenly(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "own.txt"
    path.write_text("\n".join(f"line {i}" for i in range(lines)))
    found = samples.evaluation(path)
    assert len(found) <= samples.MOST
    assert len(found) >= min(lines, samples.MOST // 2)
    assert found[0] == "line 0"
    assert int(found[-1].split()[1]) > 0.98 * lines - 2


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    refused(InputMissing, 66, "own.txt", lambda: samples.evaluation(path))
    refused(InputMissing, 66, tmp_path.name, lambda: samples.evaluation(tmp_path))
    for content in (b"", b"\n\n", b"  \n\t\r\n"):
        path.write_bytes(content)
        refused(InputRefused, 65, "no text", lambda: samples.evaluation(path))
    for binary in (b"\x89PNG\r\n\x1a\n\0\xff", b"caf\xe9\n"):
        path.write_bytes(binary)
        refused(InputRefused, 65, "UTF-8", lambda: samples.evaluation(path))
    with path.open("wb") as file:
        file.truncate(16 * 2**20 + 1)
    refused(InputRefused, 65, "over", lambda: samples.evaluation(path))


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text("a text\n")
    with unreadable(path):
        refused(PermissionRefused, 77, "own.txt", lambda: samples.evaluation(path))
