"""The Python interface: make a bundle, open one, verify it, run it. The command line sits on this.

Example:
    >>> import edgekit
    >>> with edgekit.export("minilm", out="minilm-android-arm64") as bundle:  # doctest: +SKIP
    ...     bundle.verify()
    ...     bundle.run(["The sun rises in the east.", "Morning light comes from the east."])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.api.eval import evaluate as evaluate
from edgekit.api.jobs import export as export
from edgekit.api.jobs import open_quantized as open_quantized
from edgekit.api.jobs import quantize as quantize
from edgekit.api.jobs import schemes as schemes
from edgekit.api.opened import Answer as Answer
from edgekit.api.opened import Bundle as Bundle
from edgekit.api.report import report as report

if TYPE_CHECKING:
    from edgekit_converters.quantize.record import QuantizedFolder as QuantizedFolder
