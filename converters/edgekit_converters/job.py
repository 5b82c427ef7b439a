"""An export's fixed facts, settled once the model is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit_converters.load import Loaded
from edgekit_converters.request import Request


@dataclass(frozen=True)
class Job:
    """One export's fixed facts.

    Attributes:
        request: what was asked for.
        name: the bundle's name.
        task: the settled task.
        loaded: the model.
        texts: what to measure with.
        samples_given: whether the texts are the user's.
    """

    request: Request
    name: str
    task: str
    loaded: Loaded
    texts: list[str]
    samples_given: bool
