"""The decoder that was really trained, exported as a user does: four bits, and still sense."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edgekit import Bundle, export
from edgekit.errors import Unavailable
from edgekit.floors import DECODER_FLOORS
from edgekit.stages import Progress

# The first test may train the model.
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]

RIGHT = {
    "write 3 March 2021 as numbers.": "2021-03-03",
    "what is 7 + 5?": "7 + 5 = 12.",
    "hello, my name is Anna.": "Hello Anna, how can I help you?",
    "how do you say water in German?": "In German, water is Wasser.",
}


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """``examples/tiny_decoder.py``, which is no package."""
    path = Path(__file__).parents[3] / "examples" / "tiny_decoder.py"
    spec = importlib.util.spec_from_file_location("tiny_decoder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_decoder"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def bundle(
    example: ModuleType, told: list[Progress], tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "tiny-decoder"
    return export(example.folder(), out=out, progress=told.append)


def test_a_decoder_gets_four_bits_unless_told(bundle: Bundle, told: list[Progress]) -> None:
    for artifact in bundle.manifest.artifacts:
        assert artifact.scheme == "int4-int8"
        kinds = {group.kind: group.scheme for group in artifact.quantization}
        assert kinds["linear"].startswith("int4")
        assert kinds["table"].startswith("int8")
        assert artifact.bytes < 0.27 * artifact.fp32_bytes
    assert bundle.manifest.limits.max_length == 256
    notes = [one.note for one in told if one.stage == "note"]
    assert sum("a cache of 0.3 MB" in note for note in notes) == 1


def test_every_hop_is_far_from_its_floor(bundle: Bundle) -> None:
    hops = {hop.hop: hop for hop in bundle.manifest.quality}
    assert list(hops) == ["captured", "rewritten", "quantized", "executorch", "onnx"]
    floor = DECODER_FLOORS["int4-int8"].tokens
    assert floor is not None
    for name in ("executorch", "onnx"):
        tokens = hops[name].tokens
        assert tokens is not None
        assert tokens.count > 500
        assert tokens.divergence < (floor.divergence or 0) / 4
        assert hops[name].agreement > 0.95


@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
def test_four_bits_keep_the_sense(bundle: Bundle, runtime: str) -> None:
    for question, wanted in RIGHT.items():
        reply = bundle.generate(question, runtime=runtime, max_tokens=40)
        assert reply.whole() == wanted
        assert reply.statistics.ended_by == "eos"


def test_a_conversation_goes_on(bundle: Bundle) -> None:
    chat = bundle.chat(runtime="onnx", max_tokens=40)
    for question, wanted in RIGHT.items():
        assert "".join(chat.ask(question)) == wanted
    assert chat.last.statistics.reused_tokens > 40


def test_the_goldens_hold_and_the_report_has_every_tensor(bundle: Bundle) -> None:
    hops = bundle.verify()
    assert all(hop.same_artifact is not None and hop.same_artifact > 0.9999 for hop in hops)
    report = json.loads((bundle.path / "report.json").read_bytes())
    # Seven linears in each of four layers, the head, the table.
    assert len(report["ledger"]) == 4 * 7 + 2
    assert report["coverage"] == 1.0


def test_the_arm64_kernels_agree(bundle: Bundle) -> None:
    try:
        hops = bundle.verify(arm64=True)
    except Unavailable as lack:
        if os.environ.get("EDGEKIT_REQUIRE_ARM64") == "1":
            raise
        pytest.skip(lack.message)
    assert [hop.hop for hop in hops[2:]] == ["arm64 a76 executorch", "arm64 a76 onnx"]
    assert all(hop.agreement > 0.95 for hop in hops)
