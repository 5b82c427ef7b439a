"""Recipes: what one may say, and how a slip is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import InputMissing, InputRefused, PermissionRefused, SpecError
from edgekit_converters.quantize.recipe import Recipe, read
from edgekit_converters.quantize.settings import Override
from tests.support.refusals import refused, unreadable

WHOLE = """
scheme = "int8"
scaling = "awq"
rounding = "nearest"
group = 64
data = "texts/mine.txt"

[[tensor]]
match = "*.output.dense.weight"
bits = 4
group = 32

[[tensor]]
match = "*embeddings*"
bits = 2
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_everything_that_a_recipe_can_say(path: Path) -> None:
    path.write_text(WHOLE)
    assert read(path) == Recipe(
        scheme="int8",
        scaling="awq",
        rounding="nearest",
        group=64,
        data=path.parent / "texts/mine.txt",
        overrides=(Override("*.output.dense.weight", 4, 32), Override("*embeddings*", 2)),
    )


def test_an_absolute_path_stays(path: Path) -> None:
    path.write_text(f'data = "{path.parent / "texts.txt"}"')
    assert read(path).data == path.parent / "texts.txt"


def test_a_recipe_may_say_nothing(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf# later\n")
    assert read(path) == Recipe()


@pytest.mark.parametrize(
    ("text", "telling", "hint"),
    [
        ('shceme = "int8"', "unknown key 'shceme'", "'scheme'"),
        ("x = 1", "unknown key 'x'", "Keys: scheme"),
        ("scheme = 8", "scheme is 8, not a text", ""),
        ('scheme = ""', "scheme is '': it is empty", ""),
        ('group = "64"', "group is '64', not a whole number", ""),
        ("group = true", "group is True, not a whole number", ""),
        ("group = 64.0", "group is 64.0, not a whole number", ""),
        ("group = 48", "group is 48: a group has 32, 64, 128", ""),
        ("data = ['a.txt']", "data is ['a.txt'], not a text", ""),
        ("tensor = 1", "tensor is not a list of tables", "[[tensor]]"),
        ("tensor = [1]", "tensor is not a list of tables", "[[tensor]]"),
        ("[tensor]\nbits = 4", "tensor is not a list of tables", "[[tensor]]"),
        ("[[tensor]]\nbits = 4", "[[tensor]] 1: match is missing", "match and bits"),
        ('[[tensor]]\nmatch = "*"', "[[tensor]] 1: bits is missing", "match and bits"),
        ('[[tensor]]\nmatch = "*"\nbit = 4', "unknown key 'bit'", "'bits'"),
        ('[[tensor]]\nmatch = "*"\nbits = "4"', "bits is '4', not a whole number", ""),
        ('[[tensor]]\nmatch = "*"\nbits = 3', "bits is 3: bits are 2, 4, 8, 32", ""),
        ('[[tensor]]\nmatch = "*"\nbits = 4\ngroup = 5', "group is 5: a group has", ""),
        ('[[tensor]]\nmatch = "*"\nbits = 8\ngroup = 32', "no meaning with 8 bits", "one scale"),
        (WHOLE + "[[tensor]]\nmatch = 7\nbits = 4", "[[tensor]] 3: match is 7", ""),
    ],
)
def test_slips(path: Path, text: str, telling: str, hint: str) -> None:
    path.write_text(text)
    error = refused(SpecError, 64, telling, lambda: read(path))
    assert error.message.startswith("mine.toml: ")
    assert hint in error.hint


@pytest.mark.parametrize(
    ("raw", "telling"),
    [
        (b"scheme = int8", "not TOML"),
        (b"scheme = 'a'\nscheme = 'b'", "not TOML"),
        (b"x = " + b"[" * 50_000, "not TOML"),
        (b"scheme = '\xff'", "not UTF-8"),
        (b"#" * (1 << 20) + b"##", "over 1048576 bytes"),
    ],
)
def test_files_that_are_no_recipe(path: Path, raw: bytes, telling: str) -> None:
    path.write_bytes(raw)
    refused(InputRefused, 65, telling, lambda: read(path))


def test_no_file(path: Path) -> None:
    refused(InputMissing, 66, "mine.toml", lambda: read(path))
    refused(InputMissing, 66, path.parent.name, lambda: read(path.parent))


def test_a_recipe_that_may_not_be_read(path: Path) -> None:
    path.write_text(WHOLE)
    with unreadable(path):
        refused(PermissionRefused, 77, "mine.toml", lambda: read(path))
