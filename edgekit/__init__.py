"""edgekit: a Hugging Face language model in, a verified Android bundle out.

Everything public is loaded on first use, so that ``import edgekit`` costs next to nothing and
works where torch, transformers or ONNX Runtime are not installed.

Example:
    >>> import edgekit
    >>> bundle = edgekit.export("minilm", out="minilm-android-arm64")  # doctest: +SKIP
    >>> bundle.run(["A quick brown fox."])  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit import errors as errors
    from edgekit.api import Bundle as Bundle
    from edgekit.api import evaluate as evaluate
    from edgekit.api import export as export
    from edgekit.api import quantize as quantize
    from edgekit.api.distill import distill as distill
    from edgekit.api.prune import prune as prune
    from edgekit.api.teach import teach as teach
    from edgekit.api.tune import tune as tune
    from edgekit.stages import Progress as Progress
    from edgekit.stages import ProgressCallback as ProgressCallback

    __version__: str

__all__ = [
    "Bundle",
    "Progress",
    "ProgressCallback",
    "__version__",
    "distill",
    "errors",
    "evaluate",
    "export",
    "prune",
    "quantize",
    "teach",
    "tune",
]

_HOME = {
    "Progress": "edgekit.stages",
    "ProgressCallback": "edgekit.stages",
    "Bundle": "edgekit.api",
    "distill": "edgekit.api.distill",
    "evaluate": "edgekit.api",
    "export": "edgekit.api",
    "prune": "edgekit.api.prune",
    "quantize": "edgekit.api",
    "teach": "edgekit.api.teach",
    "tune": "edgekit.api.tune",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("edgekit")
    elif name == "errors":
        value = importlib.import_module("edgekit.errors")
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
