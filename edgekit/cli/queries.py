"""What a query has besides its text, from the command line's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgekit.errors import InputRefused, PermissionRefused

# A passage is read as a whole; windows over more than this would take minutes.
LARGEST_PASSAGE = 1 << 20


def wanted(**given: Any) -> dict[str, Any]:
    """The fields of a query that the command line names."""
    return {name: value for name, value in given.items() if value}


def passage(given: str | None) -> str | None:
    """The content of the file of this name; where there is none, the words themselves.

    Raises:
        InputRefused: the file is not UTF-8, or too large.
        PermissionRefused: it cannot be read.
    """
    if given is None:
        return None
    path = Path(given)
    try:
        if not path.is_file():
            return given
        if (size := path.stat().st_size) > LARGEST_PASSAGE:
            raise InputRefused(
                f"{path} has {size} bytes, {LARGEST_PASSAGE} are the most",
                hint="Give the part of it that holds the answer.",
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputRefused(
            f"{path} is not UTF-8 text (byte {error.start + 1})",
            hint="Convert the file: iconv -f ENCODING -t UTF-8",
        ) from None
    except PermissionError:
        raise PermissionRefused(
            f"{path} cannot be read", hint=f"Allow it: chmod u+r {path}"
        ) from None
    except OSError:  # too long for a name: it is the text itself
        return given


def listed(option: str, given: str | None) -> tuple[str, ...]:
    """Words between commas, or the strings of a JSON list.

    Raises:
        click.UsageError: a JSON list that is malformed or holds something else, or nothing named.
    """
    if given is None:
        return ()
    if given.lstrip().startswith("["):
        try:
            words = json.loads(given)
        except (ValueError, RecursionError):
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise click.UsageError(f"--{option}: not a JSON list of strings")
    else:
        words = given.split(",")
    named = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    if not named:
        raise click.UsageError(f"--{option} names nothing")
    return named
