"""Every family through the whole export, and architectures that nobody had in mind."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.manifest import Manifest
from edgekit.errors import Unsupported
from edgekit_converters.evaluate.samples import evaluation
from tests.support.families import FAMILIES, STRANGERS, write_family

RUNTIMES = {"executorch": "model.pte", "onnx": "model.onnx"}
# In fp32 as well, where an architecture needs a file.
HARD = ("DeBERTa v1", "XLNet")
# Where torch.export itself gives up, and what it names.
REFUSED = {"Longformer": "longformer", "Nystromformer": "nystromformer"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samples") / "texts.txt"
    path.write_text("\n".join(evaluation()[::8]), encoding="utf-8")
    return path


def exported(model: Path, out: Path, scheme: str, samples: Path, runtimes: list[str]) -> Manifest:
    with edgekit.export(
        model,
        out=out,
        task="feature-extraction",
        quantize=scheme,
        runtimes=runtimes,
        samples=samples,
    ) as bundle:
        (answer,) = bundle.run(["The train leaves at seven."], runtime=runtimes[-1])
        assert len(answer["features"]) == len(answer["tokens"])
        return bundle.manifest


def check(manifest: Manifest, runtimes: list[str], least: float) -> None:
    assert manifest.certified
    assert [artifact.file for artifact in manifest.artifacts] == [RUNTIMES[r] for r in runtimes]
    for hop in manifest.quality:
        assert hop.worst_cosine >= least, hop.hop


def test_a_family_in_one_runtime(tmp_path: Path, samples: Path) -> None:
    """The one that runs always; the others are slow only because they are many."""
    model = write_family(tmp_path / "model", FAMILIES["T5 encoder"])
    check(exported(model, tmp_path / "out", "int8", samples, ["onnx"]), ["onnx"], 0.99)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_int8(name: str, tmp_path: Path, samples: Path) -> None:
    model = write_family(tmp_path / "model", FAMILIES[name])
    both = list(RUNTIMES)
    check(exported(model, tmp_path / "out", "int8", samples, both), both, 0.99)


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_a_rewritten_family_fp32(name: str, tmp_path: Path, samples: Path) -> None:
    model = write_family(tmp_path / "model", FAMILIES[name])
    both = list(RUNTIMES)
    check(exported(model, tmp_path / "out", "none", samples, both), both, 0.99999)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_work_or_are_refused_by_name(name: str, tmp_path: Path, samples: Path) -> None:
    model = write_family(tmp_path / "model", STRANGERS[name])
    if name in REFUSED:
        with pytest.raises(Unsupported, match=REFUSED[name]):
            exported(model, tmp_path / "out", "int8", samples, ["onnx"])
        assert not (tmp_path / "out").exists()
        return
    check(exported(model, tmp_path / "out", "int8", samples, ["onnx"]), ["onnx"], 0.99)
