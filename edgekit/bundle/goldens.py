"""Goldens: real inputs with the outputs that they must give, to be replayed anywhere.

One safetensors file. The texts are in a single metadata key: with two keys or more the order in the
file changes from run to run, and with it the bundle's hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from edgekit.errors import BundleCorrupt

_KEY = "texts"


@dataclass(frozen=True, eq=False)
class Golden:
    """One text, what goes into the graph, and what must come out.

    Attributes:
        text: what a user would type.
        inputs: the graph's inputs by name, int64.
        reference: the eager model's compared rows, ``(rows, dim)``.
        expected: what each artifact gave on the machine that made it, by runtime name.
    """

    text: str
    inputs: dict[str, NDArray[np.int64]]
    reference: NDArray[np.float32]
    expected: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def write(path: Path, goldens: list[Golden]) -> None:
    """Write goldens; the same goldens give the same bytes.

    Raises:
        TypeError: a tensor has another dtype than its kind.
        OSError: the file cannot be written.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for index, golden in enumerate(goldens):
        tensors[f"{index:04d}.reference"] = _typed(golden.reference, np.float32)
        for name, ids in golden.inputs.items():
            tensors[f"{index:04d}.input.{name}"] = _typed(ids, np.int64)
        for runtime, output in golden.expected.items():
            tensors[f"{index:04d}.expected.{runtime}"] = _typed(output, np.float32)
    texts = json.dumps([golden.text for golden in goldens], ensure_ascii=False)
    path.write_bytes(save(dict(sorted(tensors.items())), {_KEY: texts}))


def read(path: Path) -> list[Golden]:
    """Read goldens, in the order in which they were written.

    Raises:
        BundleCorrupt: the file is missing, damaged, or does not hold goldens.
    """
    try:
        with safe_open(path, framework="np") as stored:
            texts = _texts(stored.metadata(), path)
            names = list(stored.keys())
            for name in names:  # before numpy meets a dtype that it does not know
                dtype = stored.get_slice(name).get_dtype()
                if dtype not in ("F32", "I64"):
                    raise _corrupt(path, f"{name!r} is {dtype}")
            tensors = {name: stored.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, str(error)) from None
    inputs: list[dict[str, NDArray[np.int64]]] = [{} for _ in texts]
    expected: list[dict[str, NDArray[np.float32]]] = [{} for _ in texts]
    references: dict[int, NDArray[np.float32]] = {}
    places = {f"{index:04d}": index for index in range(len(texts))}
    for name, value in tensors.items():
        number, kind, key = (*name.split(".", 2), "", "")[:3]
        match places.get(number), kind, str(value.dtype), bool(key):
            case int(index), "reference", "float32", False if value.ndim == 2:
                references[index] = value
            case int(index), "input", "int64", True:
                inputs[index][key] = value
            case int(index), "expected", "float32", True:
                expected[index][key] = value
            case _:
                raise _corrupt(path, f"{name!r}, {value.dtype} {value.shape}, fits no golden")
    for index in range(len(texts)):
        if index not in references or not inputs[index]:
            raise _corrupt(path, f"golden {index} lacks its inputs or its reference")
    return [
        Golden(text, inputs[index], references[index], expected[index])
        for index, text in enumerate(texts)
    ]


def _typed(value: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    if value.dtype != dtype:
        raise TypeError(f"a golden's tensor is {value.dtype}, not {np.dtype(dtype)}")
    return np.ascontiguousarray(value)


def _texts(metadata: dict[str, str] | None, path: Path) -> list[str]:
    try:
        texts = json.loads((metadata or {})[_KEY])
    except (KeyError, ValueError, RecursionError):
        texts = None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _corrupt(path, "it has no list of texts")
    return texts


def _corrupt(path: Path, reason: str) -> BundleCorrupt:
    return BundleCorrupt(f"{path} does not hold goldens: {reason}", path=str(path))
