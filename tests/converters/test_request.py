"""Requests: defaults, contradictions, and names that do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.errors import SpecError, Unsupported
from edgekit_converters.request import Request, check
from tests.support.refusals import refused


def ask(**changes: Any) -> Request:
    words: dict[str, Any] = {
        "target_name": "android-arm64",
        "task": "auto",
        "runtimes": None,
        "quantize": None,
        "delegate": None,
    }
    return check(**words | changes)


def test_defaults() -> None:
    found = ask()
    assert found.delegates == {"executorch": "xnnpack", "onnx": "none"}
    assert (found.scheme, found.static, found.task) == (None, False, "auto")


@pytest.mark.parametrize(
    ("changes", "delegates", "scheme", "static"),
    [
        ({"runtimes": ["onnx"]}, {"onnx": "none"}, None, False),
        ({"runtimes": ["onnx", "onnx"]}, {"onnx": "none"}, None, False),
        ({"delegate": "xnnpack"}, {"executorch": "xnnpack", "onnx": "none"}, None, False),
        ({"delegate": "nnapi"}, {"onnx": "nnapi"}, "fp32", True),
        ({"delegate": "nnapi", "runtimes": ["onnx"]}, {"onnx": "nnapi"}, "fp32", True),
        ({"delegate": "nnapi", "quantize": "none"}, {"onnx": "nnapi"}, "fp32", True),
        ({"quantize": "none"}, {"executorch": "xnnpack", "onnx": "none"}, "fp32", False),
        (
            {"quantize": "none", "delegate": "none"},
            {"executorch": "none", "onnx": "none"},
            "fp32",
            False,
        ),
        ({"delegate": "none", "runtimes": ["onnx"]}, {"onnx": "none"}, None, False),
    ],
)
def test_what_goes_together(
    changes: dict[str, Any], delegates: dict[str, str], scheme: str | None, static: bool
) -> None:
    found = ask(**changes)
    label = None if found.scheme is None else found.scheme.label
    assert (found.delegates, label, found.static) == (delegates, scheme, static)


def test_the_order_of_runtimes_is_kept() -> None:
    assert list(ask(runtimes=["onnx", "executorch"]).delegates) == ["onnx", "executorch"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"target_name": "ios"}, "'ios'"),
        ({"task": "fil-mask"}, "'fil-mask'"),
        ({"runtimes": ["tflite"]}, "'tflite'"),
        ({"runtimes": ["onnx", ""]}, "''"),
        ({"quantize": "int2"}, "'int2'"),
        ({"delegate": "coreml"}, "'coreml'"),
    ],
)
def test_names_that_do_not_exist(changes: dict[str, Any], word: str) -> None:
    refused(SpecError, 64, word, lambda: ask(**changes))


@pytest.mark.parametrize(
    ("changes", "word", "hint"),
    [
        ({"delegate": "nnapi", "runtimes": ["executorch"]}, "ExecuTorch has no NNAPI", "xnnpack"),
        (
            {"delegate": "nnapi", "runtimes": ["executorch", "onnx"]},
            "ExecuTorch has no NNAPI",
            "--runtime onnx",
        ),
        (
            {"delegate": "nnapi", "quantize": "int8"},
            "delegate nnapi has no kernels",
            "--quantize none",
        ),
        (
            {"delegate": "none", "quantize": "int8"},
            "delegate none has no kernels",
            "--delegate xnnpack",
        ),
        ({"delegate": "none"}, "delegate none has no kernels", "--quantize none"),
    ],
)
def test_contradictions(changes: dict[str, Any], word: str, hint: str) -> None:
    assert hint in refused(Unsupported, 78, word, lambda: ask(**changes)).hint
