"""Real text to measure and to calibrate with: the built-in sets, or the user's own file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from edgekit.errors import InputMissing, InputRefused, PermissionRefused

# Enough to see a distribution, few enough to replay under emulation.
MOST = 256
# Calibration runs each text once; more change the figures in the last digits only.
MOST_CALIBRATION = 1024
FEWEST_CALIBRATION = 8
_LARGEST_FILE = 16 * 1024 * 1024


def evaluation(path: Path | None = None) -> list[str]:
    """Texts to measure with: ``path``, one a line, or the built-in 64.

    Raises:
        InputMissing: no such file.
        InputRefused: no text in it, not UTF-8, or too large.
        PermissionRefused: it may not be read.
    """
    if path is None:
        return _built_in("samples.txt")
    return _thinned(_own(path, "samples", MOST), MOST)


def calibration(path: Path | None = None) -> list[str]:
    """Texts to calibrate with: ``path``, one a line, or the built-in ones.

    None of the built-in ones is among the built-in evaluation texts.

    Raises:
        InputMissing: no such file.
        InputRefused: too few texts in it, not UTF-8, or too large.
        PermissionRefused: it may not be read.
    """
    if path is None:
        return _built_in("calibration.txt")
    texts = _own(path, "calibration", MOST_CALIBRATION)
    if len(texts) < FEWEST_CALIBRATION:
        raise InputRefused(
            f"{path} has {len(texts)} texts, calibration needs {FEWEST_CALIBRATION} at least",
            hint="Give some hundred lines of the text that the app will see, or leave --data out.",
            texts=len(texts),
        )
    return _thinned(texts, MOST_CALIBRATION)


def _own(path: Path, what: str, most: int) -> list[str]:
    """The lines of a user's file that hold text."""
    if not path.is_file():
        raise InputMissing(f"no {what} file {path}", hint="Give a text file with one text a line.")
    if path.stat().st_size > _LARGEST_FILE:
        raise InputRefused(f"{path} is over {_LARGEST_FILE} bytes", hint=f"Keep {most} lines.")
    try:
        # Some editors put a byte-order mark first, which is no part of the first text.
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputRefused(
            f"{path} is not UTF-8 text: {error.reason}", hint="Save it as UTF-8, one text a line."
        ) from error
    except PermissionError as error:
        raise PermissionRefused(
            f"{path} cannot be read: {error.strerror}", hint="Check its permissions."
        ) from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise InputRefused(f"{path} has no text", hint="One text a line; blank lines are skipped.")
    return texts


def _thinned(texts: list[str], most: int) -> list[str]:
    """At most so many, spread evenly."""
    return texts[:: max(1, -(-len(texts) // most))]


def _built_in(name: str) -> list[str]:
    text = (files("edgekit_converters") / "data" / name).read_text(encoding="utf-8")
    return text.splitlines()
