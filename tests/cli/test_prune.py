"""``edgekit prune`` as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from edgekit import export
from edgekit.api import prune as api
from edgekit.errors import EdgekitError, OutputExists, SpecError
from tests.conftest import Program, clean_environment
from tests.support.models import edit_json, tiny_bert, tiny_sentence_bert
from tests.support.vocabulary import SENTENCES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "texts.txt").write_text("\n".join(SENTENCES[:12]), encoding="utf-8")
    (folder / "samples.txt").write_text("\n".join(SENTENCES[12:22]), encoding="utf-8")
    tiny_sentence_bert(folder / "model", intermediate_size=256)
    edit_json(folder / "model" / "tokenizer_config.json", model_max_length=64)
    return folder


def words(home: Path, *more: str | Path) -> list[str | Path]:
    data = ["--data", home / "texts.txt", "--samples", home / "samples.txt"]
    return ["prune", home / "model", *data, *more]


def made(home: Path, out: Path, **options: Any) -> dict[str, Any]:
    data = {"data": home / "texts.txt", "samples": home / "samples.txt"}
    return api.prune(home / "model", out=out, **{**data, **options}).record


def test_neurons_go_and_the_result_says_what_that_saved(
    edgekit: Program, home: Path, tmp_path: Path
) -> None:
    done = edgekit(*words(home, "--amount", "0.5", "--retrain", "6"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "] control " in done.stderr
    folder = tmp_path / "model-ffn-50"
    assert f"folder: {folder}" in done.stdout
    assert f"next:   edgekit export {folder}" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    (header,) = (row for row in rows if row[:1] == ["quality"])
    assert header[1:] == ["original", "pruned", "trained", "random", "random,", "trained"]
    assert ["intermediate_size", "128"] in rows
    record = json.loads((folder / "pruning.json").read_bytes())
    before, after = record["sizes"]["before"], record["sizes"]["after"]
    weights = load_file(folder / "model.safetensors")
    assert sum(tensor.numel() for tensor in weights.values()) == after["parameters"]
    assert (folder / "model.safetensors").stat().st_size == after["file"]
    # Two layers, 128 neurons each: a row, a bias and a column of 64.
    assert before["parameters"] - after["parameters"] == 2 * 128 * (64 + 1 + 64)
    assert weights["encoder.layer.1.intermediate.dense.weight"].shape == (128, 64)
    stages = json.loads((folder / "provenance.json").read_bytes())
    assert [stage["stage"] for stage in stages] == ["prune"]
    assert stages[0]["config"]["method"] == "obd"
    assert "pruned" in (folder / "README.md").read_text(encoding="utf-8")


def test_json_is_the_record_and_the_same_request_gives_the_same_weights(
    edgekit: Program, home: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('method = "taylor"\namount = 0.25\nseed = 3\ncontrol = false\n')
    done = edgekit(*words(home, "--recipe", recipe, "--amount", "0.5", "-o", "one", "--json"))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["record"] == json.loads((tmp_path / "one" / "pruning.json").read_bytes())
    assert document["record"]["config"]["method"] == "taylor"
    assert document["record"]["config"]["amount"] == 0.5  # the command line wins
    assert document["record"]["quality"]["control"] is None
    made(home, tmp_path / "two", method="taylor", amount=0.5, seed=3, control=False)
    first, second = (tmp_path / name / "model.safetensors" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_zeros_save_no_time_and_the_result_says_so(home: Path, tmp_path: Path) -> None:
    for granularity, share in (("element", 0.9), ("2:4", 0.5), ("block", 0.5)):
        amount = {} if ":" in granularity else {"amount": share}
        record = made(
            home,
            tmp_path / granularity.replace(":", "-"),
            granularity=granularity,
            method="magnitude",
            **amount,
        )
        before, after = record["sizes"]["before"], record["sizes"]["after"]
        assert after["parameters"] == before["parameters"]
        assert after["file"] == before["file"]
        assert after["download"] < before["download"]
        linear = 2 * (4 * 64 * 64 + 2 * 64 * 256) + 64 * 64  # two layers and the pooler
        assert after["zeros"] - before["zeros"] == pytest.approx(share * linear, rel=0.02)
        assert "0 ms are saved" in record["verdict"]
        assert "--granularity ffn" in record["verdict"]


def test_a_pruned_model_is_exported_with_its_smaller_shapes(home: Path, tmp_path: Path) -> None:
    made(home, tmp_path / "pruned", method="magnitude", amount=0.5, control=False)
    options: dict[str, Any] = {"quantize": "none", "runtimes": ["onnx"]}
    sizes = {}
    for name, folder in (("before", home / "model"), ("after", tmp_path / "pruned")):
        with export(folder, out=tmp_path / name, samples=home / "samples.txt", **options) as bundle:
            (artifact,) = bundle.manifest.artifacts
            sizes[name] = artifact.bytes
            stages = [stage["stage"] for stage in bundle.manifest.provenance]
    assert stages == ["prune", "export"]
    assert sizes["before"] - sizes["after"] == pytest.approx(4 * 2 * 128 * 129, rel=0.02)


def test_stages_follow_each_other(home: Path, tmp_path: Path) -> None:
    """The vocabulary of a model whose neurons are gone, and both are on record."""
    made(home, tmp_path / "first", method="magnitude", amount=0.5, control=False)
    second = api.prune(
        tmp_path / "first",
        out=tmp_path / "second",
        granularity="vocab",
        amount=0.5,
        data=home / "texts.txt",
        samples=home / "texts.txt",
    ).record
    stages = json.loads((tmp_path / "second" / "provenance.json").read_bytes())
    assert [stage["config"]["granularity"] for stage in stages] == ["ffn", "vocab"]
    assert second["vocabulary"]["after"] == second["shape"]["vocab_size"]
    assert (
        second["quality"]["result"]["spearman"]
        > second["quality"]["control"]["before training"]["spearman"]
    )


def test_width_goes_with_its_pooling(home: Path, tmp_path: Path) -> None:
    made(home, tmp_path / "narrow", granularity="hidden", amount=0.5, control=False)
    pooling = json.loads((tmp_path / "narrow" / "1_Pooling" / "config.json").read_bytes())
    assert pooling["embedding_dimension"] == 32
    config = json.loads((tmp_path / "narrow" / "config.json").read_bytes())
    assert (config["hidden_size"], config["num_attention_heads"]) == (32, 1)


def test_a_scan_is_a_table_a_document_and_a_picture(
    edgekit: Program, home: Path, tmp_path: Path
) -> None:
    scan = words(home, "--scan", "--amounts", "0.25,0.75", "--method", "activation")
    done = edgekit(*scan, "--plot", "map.svg", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["sensitivity"]
    assert [(row["group"], row["amount"]) for row in rows] == [
        (f"encoder.layer.{layer}.ffn", amount) for layer in (0, 1) for amount in ("0.25", "0.75")
    ]
    assert set(rows[0]) == {"group", "amount", "bytes", "mean_loss", "worst_loss", "losses"}
    assert all(len(row["losses"]) == 10 for row in rows)
    assert rows[0]["mean_loss"] < rows[1]["mean_loss"]
    assert rows[0]["bytes"] == 4 * 192 * 129
    picture = (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert picture.startswith("<?xml")
    assert [path.name for path in tmp_path.iterdir()] == ["map.svg"]
    # Every layer as one row, by being skipped.
    data = {"data": home / "texts.txt", "samples": home / "samples.txt"}
    layers = api.prune_scan(home / "model", granularity="layer", **data)
    assert [(row.group, row.amount) for row in layers.rows] == [
        ("encoder.layer.0", "removed"),
        ("encoder.layer.1", "removed"),
    ]
    assert all(row.mean > 0 for row in layers.rows)


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"amount": 1.5}, 64, "no share to remove"),
    ({"amount": 0.0}, 64, "no share to remove"),
    ({"amount": float("nan")}, 64, "no share to remove"),
    ({}, 64, "how much to remove was not said"),
    ({"amount": 0.5, "method": "magic"}, 64, "unknown method 'magic'"),
    ({"amount": 0.5, "granularity": "rows"}, 64, "unknown granularity 'rows'"),
    ({"amount": 0.5, "granularity": "head"}, 78, "cannot hold fewer heads"),
    ({"amount": 0.5, "granularity": "layer", "method": "frequency"}, 64, "counts tokens"),
    ({"amount": 0.5, "method": "block-influence"}, 64, "ranks whole layers"),
    ({"amount": 0.9, "granularity": "layer"}, 64, "leave none of 2 layers"),
    ({"amount": 0.999, "method": "magnitude"}, 64, "leave none of 256"),
    ({"amount": 0.4, "granularity": "2:4"}, 64, "removes 0.5, not 0.4"),
    ({"amount": 0.5, "allocation": "global"}, 64, "goes from every layer alike"),
    ({"amount": 0.5, "schedule": "linear"}, 64, "unknown schedule"),
    ({"amount": 0.5, "schedule": "cubic", "granularity": "vocab"}, 64, "goes in one step"),
    ({"amount": 0.5, "retrain": -1}, 64, "train nothing"),
    ({"amount": 0.5, "seed": -1}, 64, "out of range"),
    ({"amount": 0.5, "lift": "max"}, 64, "unknown lift"),
    ({"amount": 0.95, "granularity": "vocab"}, 64, "must stay"),
    ({"amount": 0.5, "recipe": "none.toml"}, 66, "no recipe"),
]


@pytest.mark.parametrize(("options", "status", "said"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_request_is_refused_in_words(
    options: dict[str, Any], status: int, said: str, home: Path, tmp_path: Path
) -> None:
    data = {"data": home / "texts.txt", "samples": home / "samples.txt"}
    refused(status, said, home / "model", tmp_path, **{**data, **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--amount", "0.5", "--plot", "x.svg"], 64, "belongs to a scan"),
        (["--scan", "--amounts", "a,b"], 2, "no list of numbers"),
        (["--scan", "-o", "x"], 64, "writes no folder"),
    ],
)
def test_options_that_do_not_go_together(
    more: list[str], status: int, said: str, edgekit: Program, home: Path
) -> None:
    done = edgekit(*words(home, *more))
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scan_of_what_has_no_layers(home: Path) -> None:
    with pytest.raises(SpecError, match="has none"):
        api.prune_scan(home / "model", granularity="vocab", data=home / "texts.txt")


def refused(status: int, said: str, model: Path, tmp_path: Path, **options: Any) -> None:
    with pytest.raises(EdgekitError, match=said) as found:
        api.prune(model, out=tmp_path / "out", **options)
    assert found.value.exit_status == status
    assert found.value.hint
    assert not (tmp_path / "out").exists()


def test_bad_input_is_refused_and_nothing_is_written(home: Path, tmp_path: Path) -> None:
    model, data = home / "model", home / "texts.txt"
    refused(64, "looks at texts, and none were given", model, tmp_path, amount=0.5)
    refused(64, "looks at texts", model, tmp_path, amount=0.5, method="magnitude", retrain=5)
    few = tmp_path / "few.txt"
    few.write_text("One text.\nTwo texts.\n")
    refused(65, "pruning needs 8 at least", model, tmp_path, amount=0.5, data=few)
    refused(66, "none.txt", model, tmp_path, amount=0.5, data=tmp_path / "none.txt")
    refused(64, "unknown option 'amont'", model, tmp_path, amont=0.5)
    refused(64, "which is no int", model, tmp_path, amount=0.5, retrain="many", data=data)
    recipe = tmp_path / "bad.toml"
    recipe.write_text("method = obd")
    refused(65, "is not TOML", model, tmp_path, recipe=recipe)


def test_what_was_pruned_or_planned_already(home: Path, tmp_path: Path) -> None:
    options = {"granularity": "element", "method": "magnitude", "samples": home / "samples.txt"}
    api.prune(home / "model", out=tmp_path / "zeros", amount=0.6, control=False, **options)
    refused(64, "pruned already: 6", tmp_path / "zeros", tmp_path, amount=0.5, **options)
    planned = tmp_path / "planned"
    shutil.copytree(home / "model", planned)
    (planned / "quantization.json").write_text("{}")
    refused(65, "has a quantization plan", planned, tmp_path, amount=0.5, **options)


def test_weights_that_are_no_numbers(home: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = tiny_bert(tmp_path / "nan")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(65, "NaN", folder, tmp_path, amount=0.5, method="magnitude")


def test_an_existing_folder_is_replaced_only_on_request(home: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"method": "magnitude", "control": False}
    made(home, tmp_path / "out", amount=0.5, **options)
    with pytest.raises(OutputExists):
        made(home, tmp_path / "out", amount=0.25, **options)
    assert made(home, tmp_path / "out", amount=0.25, force=True, **options)["shape"] == {
        "intermediate_size": 192
    }


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_run_leaves_nothing_under_the_name(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgekit", *map(str, words(home, "--amount", "0.5"))]
    started = subprocess.Popen(
        [*command, "--retrain", "100000", "-o", "out"],
        cwd=tmp_path,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert started.stderr is not None
    for line in started.stderr:
        if "] prune " in line:
            break
    time.sleep(0.5)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "out").exists()
    made(home, tmp_path / "out", method="magnitude", amount=0.5, control=False)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # the next run swept
