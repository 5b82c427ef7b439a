"""Run a bundle's artifacts here. One runtime a file; each gives ``open_session(path, signature)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float32]


class Session(Protocol):
    """A loaded artifact."""

    def run(self, inputs: Tensors) -> dict[str, Floats]:
        """One forward pass: named inputs to named outputs, shapes as in the signature."""

    def close(self) -> None:
        """Release the native resources."""
