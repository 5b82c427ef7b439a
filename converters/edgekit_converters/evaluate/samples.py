"""Real text to measure and to calibrate with: the built-in sets, or the user's own file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from edgekit.errors import InputMissing, InputRefused, PermissionRefused

# Enough to see a distribution, few enough to replay under emulation.
MOST = 256
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
    if not path.is_file():
        raise InputMissing(f"no samples file {path}", hint="Give a text file with one text a line.")
    if path.stat().st_size > _LARGEST_FILE:
        raise InputRefused(f"{path} is over {_LARGEST_FILE} bytes", hint=f"Keep {MOST} lines.")
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
    return texts[:: max(1, -(-len(texts) // MOST))]


def calibration() -> list[str]:
    """Texts to calibrate with; none of them is among the built-in evaluation texts."""
    return _built_in("calibration.txt")


def _built_in(name: str) -> list[str]:
    text = (files("edgekit_converters") / "data" / name).read_text(encoding="utf-8")
    return text.splitlines()
