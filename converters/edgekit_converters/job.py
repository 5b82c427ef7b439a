"""An export's fixed facts, settled once the model is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit_converters.load import Loaded
from edgekit_converters.quantize.decisions import Decisions
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
        scheme: what is done to the weights, as artifacts and floors call it.
        plan: the folder's own decisions; None to calibrate now, or for fp32.
    """

    request: Request
    name: str
    task: str
    loaded: Loaded
    texts: list[str]
    samples_given: bool
    scheme: str
    plan: Decisions | None = None
