"""An encoder-decoder's bundle: made by the real export, run, verified, refused when incomplete."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from edgekit import api
from edgekit.bundle.goldens import read
from edgekit.errors import BundleCorrupt, InputRefused, SpecError, TextRefused, Unsupported
from edgekit.verify.decoders import refuse_malformed
from tests.conftest import Program
from tests.converters.generation.seq2seq.models import END, TEXTS, VOCABULARY, save, tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny("t5")
    model.generation_config.num_beams = 2
    return save(tmp_path_factory.mktemp("model") / "t5", model)


@pytest.fixture(scope="module")
def bundle(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("bundle")
    samples = home / "samples.txt"
    samples.write_text("\n".join(TEXTS), encoding="utf-8")
    made = api.export(
        folder,
        out=home / "made",
        runtimes=["onnx"],
        quantize="none",
        max_context=20,
        samples=samples,
    )
    return Path(made.path)


@pytest.mark.slow
@pytest.mark.long
def test_a_bundle_says_how_to_answer(bundle: Path) -> None:
    opened = api.Bundle.open(bundle)
    manifest, said = opened.manifest, opened.manifest.generation
    assert manifest.task == "text2text-generation"
    assert said is not None
    assert said.answers is not None
    assert (said.context, said.answers.source, said.answers.search.beams) == (20, 24, 2)
    assert (said.answers.start, said.eos_token_ids) == ((2,), (END,))
    (artifact,) = manifest.artifacts
    names = {entry.path: entry.bytes for entry in manifest.files}
    assert artifact.bytes == names["encoder_model.onnx"] + names["decoder_with_past_model.onnx"]
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert "`encoder_model.onnx`: `input_ids`" in card
    assert "looked for with 2 beams" in card


@pytest.mark.slow
@pytest.mark.long
def test_a_bundle_answers_as_the_model_does(bundle: Path) -> None:
    import torch

    model = tiny("t5")
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    with api.Bundle.open(bundle) as opened:
        for text in TEXTS:
            row = torch.tensor([tokenizer.encode(text).ids])
            wanted = model.generate(
                row, attention_mask=torch.ones_like(row), max_new_tokens=12, num_beams=2
            )
            reply = opened.generate(text, max_tokens=12)
            assert reply.whole() == tokenizer.decode(wanted[0].tolist())
            assert reply.statistics.prompt_tokens == row.shape[1]
        with pytest.raises(TextRefused, match="reads 24 at most"):
            opened.generate("one " * 30).whole()
        with pytest.raises(SpecError, match="no chat template"):
            opened.chat()


@pytest.mark.slow
@pytest.mark.long
def test_verify_replays_texts_and_finds_what_is_not_theirs(
    bundle: Path, tmp_path: Path, edgekit: Program
) -> None:
    (hop,) = api.Bundle.open(bundle).verify()
    assert hop.passed
    assert hop.tokens is not None
    assert hop.tokens.max_difference <= 1e-4
    with pytest.raises(Unsupported, match="reads no text"):
        api.Bundle.open(bundle).verify(arm64=["a76"])
    manifest, goldens = api.Bundle.open(bundle).manifest, read(bundle / "goldens.safetensors")
    refuse_malformed(manifest, goldens)
    for change in (np.full((1, 3), VOCABULARY), np.zeros((1, 25)), np.zeros((2, 3))):
        goldens[0].inputs["text_ids"] = change.astype(np.int64)  # type: ignore[index]
        with pytest.raises(BundleCorrupt, match="golden 0"):
            refuse_malformed(manifest, goldens)
    lame = tmp_path / "lame"
    shutil.copytree(bundle, lame)
    (lame / "encoder_model.onnx").unlink()
    done = edgekit("verify", lame)
    assert done.returncode == 65
    assert "encoder_model.onnx" in done.stderr


def test_lengths_and_rules_are_checked_before_anything_is_made(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match="4 tokens of answer"):
        api.export(folder, out=tmp_path / "made", quantize="none", max_context=4)
    lame = tmp_path / "model"
    shutil.copytree(folder, lame)
    path = lame / "generation_config.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**said, "suppress_tokens": [999]}), encoding="utf-8")
    with pytest.raises(InputRefused, match="token 999"):
        api.export(lame, out=tmp_path / "made", runtimes=["onnx"], quantize="none", max_context=8)
    assert not (tmp_path / "made").exists()
