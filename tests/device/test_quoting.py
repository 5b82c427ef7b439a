"""A word reaches a real shell unchanged, whatever it holds."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from edgekit.device.quoting import join, quote
from edgekit.errors import SpecError
from tests.device.hostile_words import hostile_words

WORDS = hostile_words(3000)


def test_words_come_back_from_a_real_shell(tmp_path: Path) -> None:
    """One shell for each hundred words; each prints what it got, ended by a NUL."""
    for start in range(0, len(WORDS), 100):
        words = WORDS[start : start + 100]
        done = subprocess.run(
            ["sh", "-c", join(["printf", r"%s\0", *words])],
            capture_output=True,
            check=True,
            cwd=tmp_path,
        )
        arrived = done.stdout.split(b"\0")[:-1]
        assert arrived == [word.encode("utf-8", "surrogateescape") for word in words]
        assert done.stderr == b""
    # Nothing of what the words try to do was done.
    assert list(tmp_path.iterdir()) == []


def test_one_by_one_as_the_last_word(tmp_path: Path) -> None:
    for word in random.Random(1).sample(WORDS, 200):
        done = subprocess.run(
            ["sh", "-c", "printf %s " + quote(word)], capture_output=True, check=True, cwd=tmp_path
        )
        assert done.stdout == word.encode("utf-8", "surrogateescape")
    assert list(tmp_path.iterdir()) == []


def test_a_plain_word_stays_readable() -> None:
    assert join(["df", "-k", "/data/local/tmp"]) == "df -k /data/local/tmp"
    assert join(["echo", ""]) == "echo ''"


@pytest.mark.parametrize("word", ["a\0b", "\0", "\ud800"])
def test_what_no_command_line_carries_is_refused(word: str) -> None:
    with pytest.raises(SpecError) as caught:
        quote(word)
    assert caught.value.message.isprintable()
