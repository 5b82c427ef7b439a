"""A random decoder, its fp32 bundle and the benchmarks' data, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import export
from tests.converters.scoring import benchmark_data
from tests.support.decoders import decoder

# Greedy answers of the eager model end where the artifact's context does.
CONTEXT = 192


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("models")
    return decoder(home / "tiny", "llama", max_position_embeddings=CONTEXT)


@pytest.fixture(scope="session")
def bundle(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("bundles")
    (home / "texts.txt").write_text("The sun rises.\nTurn on the lamp.\nwhat is the weather?\n")
    made = export(
        model,
        out=home / "tiny",
        quantize="none",
        runtimes=["onnx"],
        samples=home / "texts.txt",
        task="text-generation",
    )
    return made.path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return benchmark_data.write(tmp_path_factory.mktemp("data"), rows=4)
