"""Where a run keeps its checkpoints: beside the output, so that the same command goes on from them.

Another command with the same output (other data, options or model) starts from the beginning.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.disk import as_write_errors
from edgekit.bundle.leftovers import lock
from edgekit.errors import TemporaryFailure

_KEY = "run.sha256"


@contextmanager
def checkpoint_folder(final: Path, request: dict[str, Any]) -> Iterator[Path]:
    """A folder for the checkpoints of this very request; removed when the block ends well.

    Args:
        final: the output.
        request: all that the result depends on, JSON-able.

    Raises:
        TemporaryFailure: another process is at it.
        CannotWrite, StorageFull: no folder can be made there.
    """
    folder = Path(os.path.abspath(final)).with_name(f".{final.name}.training")
    key = hashlib.sha256(dump_bytes(request)).hexdigest()
    with as_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder)
    if held is None:
        raise TemporaryFailure(
            f"another run is training {final}", hint="Wait for it, or choose another -o."
        )
    try:
        with as_write_errors(folder):
            if _stored(folder / _KEY) != key:
                for path in folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                (folder / _KEY).write_text(key, encoding="ascii")
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)


def _stored(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
