"""safetensors files: validated by the library that reads them, before a tensor is touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import UnsafeInput, WeightsCorrupt

_BLOCK = 1 << 20

# How files that can run code begin: pickles and the archives that torch and numpy put them in.
_UNSAFE_MAGIC = {
    b"PK\x03\x04": "a zip archive, as torch.save writes",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a numpy file",
}

CONVERT_HINT = (
    "Load it once where you trust it and save it as safetensors:\n"
    'python -c "from transformers import AutoConfig, AutoTokenizer; import sys, transformers as t; '
    "old, new = sys.argv[1:]; name = AutoConfig.from_pretrained(old).architectures[0]; "
    "getattr(t, name).from_pretrained(old).save_pretrained(new); "
    'AutoTokenizer.from_pretrained(old).save_pretrained(new)" OLD_FOLDER NEW_FOLDER'
)


@dataclass(frozen=True)
class TensorInfo:
    """One stored tensor.

    Attributes:
        file: file name that holds it.
        dtype: safetensors' name, such as ``F32``.
        shape: its dimensions.
    """

    file: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of values."""
        count = 1
        for size in self.shape:
            count *= size
        return count


def check_weights(files: Sequence[Path]) -> dict[str, TensorInfo]:
    """Validate every header and list what the files hold; no tensor data is read.

    Raises:
        UnsafeInput: a file is a pickle or another format under a safetensors name.
        WeightsCorrupt: a header is damaged or lies, a file is cut, or a name occurs twice.
    """
    found: dict[str, TensorInfo] = {}
    for file in files:
        refuse_disguise(file)
        for name, info in _tensors(file).items():
            if name in found:
                raise WeightsCorrupt(
                    f"tensor {name!r} is in {found[name].file} and again in {file.name}",
                    hint="Fetch a clean copy of the model.",
                )
            found[name] = info
    return found


def weights_sha256(files: Iterable[Path]) -> str:
    """One SHA-256 over the contents of all files in order of their names.

    For a single file it is that file's own digest.

    Raises:
        WeightsCorrupt: a file cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda path: path.name):
        try:
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise _damaged(file, str(error.strerror or error)) from error
    return digest.hexdigest()


def refuse_disguise(file: Path) -> None:
    """Refuse another format under a safetensors name, by its first bytes.

    Raises:
        UnsafeInput: the file is a pickle, a zip, HDF5 or numpy file.
        WeightsCorrupt: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(9)
    except OSError as error:
        raise _damaged(file, str(error.strerror or error)) from error
    # A real file has the header's length in 8 bytes, which can look like anything, and then "{".
    if head[8:9] == b"{":
        return
    for magic, kind in _UNSAFE_MAGIC.items():
        if head.startswith(magic):
            raise UnsafeInput(
                f"{file.name} is {kind}, not safetensors; opening it could run code",
                hint=CONVERT_HINT,
                file=file.name,
            )


def _tensors(file: Path) -> dict[str, TensorInfo]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="numpy") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            found = {
                name: TensorInfo(file.name, part.get_dtype(), tuple(part.get_shape()))
                for name, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise _damaged(file, _reason(str(error))) from error
    _refuse_duplicates(file)
    return found


def _refuse_duplicates(file: Path) -> None:
    """The library keeps the last of two equal names; a file that has them lies about something."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = stream.read(length)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise _damaged(file, f"the header has the name {twice!r} twice")
        return dict(pairs)

    json.loads(header, object_pairs_hook=unique)


def _reason(text: str) -> str:
    """The library's message without its common opening, shortened."""
    text = text.removeprefix("Error while deserializing header: ")
    if text.startswith("incomplete metadata"):
        text += " (the file is cut short or has bytes at its end)"
    return text if len(text) <= 200 else text[:200] + "..."


def _damaged(file: Path, reason: str) -> WeightsCorrupt:
    return WeightsCorrupt(
        f"{file.name} is not a valid safetensors file: {reason}",
        hint="Fetch a clean copy of the model; compare its size and hash with the original.",
        file=file.name,
    )
