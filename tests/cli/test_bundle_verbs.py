"""verify, run, inspect and export on real bundles, as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bundle import goldens, read, seal
from tests.conftest import Program, clean_environment
from tests.support import bundles

TEXTS = ("The sun rises in the east.", "Ein Hund bellt laut.", "Morning light comes from the east.")

# ONNX Runtime starts in a tenth of the time of torch and ExecuTorch.
QUICK = ("--runtime", "onnx")


@pytest.fixture
def damaged(tiny_bundle: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "damaged"
    shutil.copytree(tiny_bundle, copy)
    model = copy / "model.pte"
    raw = bytearray(model.read_bytes())
    raw[len(raw) // 2] ^= 1
    model.write_bytes(raw)
    return copy


def test_run_shows_embeddings_and_the_closest_pair(edgekit: Program, tiny_bundle: Path) -> None:
    done = edgekit("run", tiny_bundle, *TEXTS, *QUICK)
    assert done.returncode == 0
    for number, text in enumerate(TEXTS, 1):
        assert f"[{number}] {text}" in done.stdout
    assert "norm 1.0000" in done.stdout
    assert "cosine" in done.stdout
    assert "closest: [" in done.stdout
    assert done.stderr == ""


def test_run_one_text_compares_nothing(edgekit: Program, tiny_bundle: Path) -> None:
    assert "closest" not in edgekit("run", tiny_bundle, TEXTS[0], *QUICK).stdout


@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
def test_run_json_is_one_document(edgekit: Program, tiny_bundle: Path, runtime: str) -> None:
    done = edgekit("run", tiny_bundle, *TEXTS, "--runtime", runtime, "--json")
    document = json.loads(done.stdout)
    assert document["runtime"] == runtime
    assert document["task"] == "sentence-similarity"
    assert [answer["text"] for answer in document["answers"]] == list(TEXTS)
    assert -1 <= document["closest"]["cosine"] <= 1
    assert len(set(document["closest"]["pair"])) == 2
    assert done.stderr == ""


def test_run_reads_a_file_a_pipe_and_a_dash_alike(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    lines = "\ufeff" + "\n\n".join(TEXTS) + "\r\n   \n"
    (tmp_path / "texts.txt").write_text(lines, encoding="utf-8", newline="")
    words = [json.loads(edgekit("run", tiny_bundle, *TEXTS, *QUICK, "--json").stdout)]
    for options, stdin in ((["--file", "texts.txt"], ""), (["-"], lines), ([], lines)):
        done = edgekit("run", tiny_bundle, *options, *QUICK, "--json", stdin=stdin)
        words.append(json.loads(done.stdout))
        assert "blank lines skipped: 3" in done.stderr
    assert all(document == words[0] for document in words)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["words", "json"])
def test_run_answers_each_line_before_the_next_arrives(
    tiny_bundle: Path, options: list[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "edgekit", "run", str(tiny_bundle), "-", *QUICK, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for text in TEXTS:
            child.stdin.write(text + "\n")
            child.stdin.flush()
            # An answer that waits for more input would hang here until the test times out.
            while text not in child.stdout.readline():
                pass
        child.stdin.close()
        assert child.stdout.read()
    assert child.returncode == 0


def test_run_names_the_line_that_is_refused(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "texts.txt"
    for raw, telling, answers in (
        (b"fine\n" + b"word " * 500, "line 2 of texts.txt: the text has", 1),
        (b"fine\nfine\n\xff\xfe", "line 3 of texts.txt is not UTF-8", 2),
        (b"fine\n" + b"x" * (1 << 21), "line 2 of texts.txt is longer than", 1),
    ):
        file.write_bytes(raw)
        done = edgekit("run", tiny_bundle, "--file", "texts.txt", *QUICK, "--json")
        document = json.loads(done.stdout)
        assert done.returncode == 65
        assert telling in document["error"]["message"]
        assert len(document["answers"]) == answers


def test_run_refuses_an_empty_text(edgekit: Program, tiny_bundle: Path) -> None:
    done = edgekit("run", tiny_bundle, "", *QUICK)
    assert done.returncode == 65
    assert "empty" in done.stderr


def test_run_names_the_runtimes_that_there_are(edgekit: Program, tiny_bundle: Path) -> None:
    done = edgekit("run", tiny_bundle, "text", "--runtime", "tflite")
    assert done.returncode == 64
    assert "executorch" in done.stderr


def test_run_shows_labels_as_bars(edgekit: Program, tiny_bundles: dict[str, Path]) -> None:
    done = edgekit("run", tiny_bundles["text-classification"], TEXTS[0], "--top-k", "2")
    shown = [line for line in done.stdout.splitlines() if line.endswith("%")]
    assert len(shown) == 2
    assert "█" in shown[0]
    ascii_only = edgekit(
        "run",
        tiny_bundles["text-classification"],
        TEXTS[0],
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert "#" in ascii_only.stdout


def test_run_completes_sentences(edgekit: Program, tiny_bundles: dict[str, Path]) -> None:
    bundle = tiny_bundles["fill-mask"]
    done = edgekit("run", bundle, "The sun [MASK] in the east.", "--top-k", "3")
    shown = [line for line in done.stdout.splitlines() if line.endswith("%")]
    assert len(shown) == 3
    assert all("in the east." in line and "[MASK]" not in line for line in shown)
    refused = edgekit("run", bundle, "No gap here.")
    assert refused.returncode == 65
    assert "[MASK]" in refused.stderr


def test_inspect_shows_what_is_in_it(edgekit: Program, tiny_bundle: Path) -> None:
    done = edgekit("inspect", tiny_bundle)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("sentence-similarity", "model.pte", "model.onnx", "tokenizer.json", "input_ids"):
        assert word in done.stdout
    document = json.loads(edgekit("inspect", tiny_bundle, "--json").stdout)
    assert document["manifest"] == json.loads((tiny_bundle / "edgekit.json").read_text())


def test_inspect_loads_nothing_native(tiny_bundle: Path) -> None:
    code = (
        "import sys; from edgekit.cli import main\n"
        f"assert main(['inspect', {str(tiny_bundle)!r}]) == 0\n"
        "assert not {'torch', 'onnxruntime', 'executorch', 'tokenizers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("verb", ["inspect", "verify", "run"])
def test_a_flipped_bit_is_65(edgekit: Program, damaged: Path, verb: str) -> None:
    words = [verb, damaged, *(["text"] if verb == "run" else [])]
    done = edgekit(*words)
    assert (done.returncode, done.stdout) == (65, "")
    assert "model.pte" in done.stderr


def test_verify_prints_a_row_a_hop(edgekit: Program, tiny_bundle: Path) -> None:
    done = edgekit("verify", tiny_bundle)
    assert done.returncode == 0
    rows = [line for line in done.stdout.splitlines() if " ok" in line]
    assert len(rows) == 2
    assert "executorch" in done.stderr
    assert edgekit("-q", "verify", tiny_bundle, *QUICK).stderr == ""


def test_verify_json_is_one_document(edgekit: Program, tiny_bundle: Path) -> None:
    done = edgekit("verify", tiny_bundle, "--runtime", "onnx", "--json")
    document = json.loads(done.stdout)
    assert document["verified"] is True
    assert [hop["artifact"] for hop in document["hops"]] == ["model.onnx"]


def test_verify_refuses_an_unknown_processor(edgekit: Program, tiny_bundle: Path) -> None:
    done = edgekit("verify", tiny_bundle, "--isa", "a76,pentium")
    assert done.returncode == 64
    assert "pentium" in done.stderr
    assert "neoverse-n1" in done.stderr


def test_verify_shows_the_failed_hop_and_exits_1(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    """A bundle whose seal is right and whose answers are wrong."""
    copy = tmp_path / "wrong"
    shutil.copytree(tiny_bundle, copy)
    manifest = read.load_manifest(copy)
    path = copy / manifest.goldens.file
    wrong = [replace(golden, reference=-golden.reference) for golden in goldens.read(path)]
    path.unlink()
    goldens.write(path, wrong)
    (copy / "edgekit.json").unlink()
    seal.seal(copy, manifest.model_copy(update={"files": (), "seal": None}))
    done = edgekit("verify", copy, *QUICK)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "onnx" in done.stderr
    document = json.loads(edgekit("verify", copy, *QUICK, "--json").stdout)
    assert document["error"]["code"] == "parity-failed"
    assert document["error"]["details"]["hops"][0]["passed"] is False


def test_export_prints_the_table_and_what_to_type_next(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    model = bundles.model("sentence-similarity", tmp_path)
    done = edgekit(
        "export", model, "-o", "my bundle", "--quantize", "none", "--runtime", "onnx", timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "model.onnx" in done.stdout
    assert "worst cosine" in done.stdout
    assert "edgekit verify 'my bundle'" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("done in")
    assert all(line.startswith(("[", "done", "  ")) for line in done.stderr.splitlines())
    taken = edgekit("export", model, "-o", "my bundle", "--json")
    assert (taken.returncode, json.loads(taken.stdout)["error"]["code"]) == (73, "output-exists")


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_export_stopped_by_a_signal_leaves_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str, status: int
) -> None:
    model = bundles.model("sentence-similarity", tmp_path_factory.mktemp("model"))
    with subprocess.Popen(
        [sys.executable, "-m", "edgekit", "export", str(model), "-o", "out", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    ) as child:
        assert child.stderr is not None
        child.stderr.readline()
        child.send_signal(getattr(signal, name))
        stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == status
    assert json.loads(stdout)["error"]["code"] == "stopped"
    assert "Traceback" not in stderr
    assert os.listdir(tmp_path) == []
