"""A decoder of a family that nothing here was written for: export, inspect, verify, run and talk,
as a user types them. One bundle serves every test of this file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from edgekit import Bundle
from edgekit.bundle import goldens, read, seal
from edgekit.cli.output import printable
from edgekit.errors import SpecError, TextRefused
from tests.conftest import Program, clean_environment
from tests.support.decoders import decoder
from tests.support.terminal import terminal

CONTEXT = 2048
QUICK = ("--runtime", "onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decoder(tmp_path_factory.mktemp("models") / "stranger", max_position_embeddings=4096)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samples") / "texts.txt"
    path.write_text("The sun rises.\nTurn on the lamp.\nwhat is the weather?\nhello you\n")
    return path


@pytest.fixture(scope="module")
def exported(
    model: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """``edgekit export`` as a process; the bundle is where its ``args`` say."""
    out = tmp_path_factory.mktemp("bundles") / "stranger"
    words = ["export", model, "-o", out, "--quantize", "none", "--samples", samples]
    words += ["--max-context", CONTEXT]
    return subprocess.run(
        [sys.executable, "-m", "edgekit", *map(str, words)],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def bundle(exported: subprocess.CompletedProcess[str]) -> Path:
    assert exported.returncode == 0, exported.stderr
    return Path(exported.args[exported.args.index("-o") + 1])


def test_export_tells_the_cache_and_how_to_talk(
    exported: subprocess.CompletedProcess[str], bundle: Path
) -> None:
    # Two layers, two heads of 16, keys and values in float32.
    cache = CONTEXT * 2 * 2 * 2 * 16 * 4
    assert f"context of {CONTEXT} tokens: a cache of {cache / 1e6:.1f} MB" in exported.stderr
    assert "planned memory" in exported.stdout
    assert f"edgekit run {bundle} --chat" in exported.stdout


def test_both_artifacts_say_what_the_eager_model_says(bundle: Path) -> None:
    manifest = read.load_manifest(bundle)
    assert manifest.certified
    assert [hop.hop for hop in manifest.quality] == ["captured", "rewritten", "executorch", "onnx"]
    for hop in manifest.quality:
        assert hop.tokens is not None
        assert hop.tokens.max_difference <= 1e-3
        assert hop.agreement == 1.0
    for hop in manifest.quality[2:]:
        assert hop.tokens is not None
        assert hop.tokens.greedy == 1.0
    assert manifest.generation is not None
    assert manifest.generation.context == manifest.limits.max_length == CONTEXT
    assert manifest.generation.eos_token_ids == (1,)
    onnx = manifest.artifacts[1]
    names = [spec.name for spec in manifest.signature_of(onnx).inputs]
    assert names[3:5] == ["past_key_values.0.key", "past_key_values.0.value"]
    assert manifest.signature_of(onnx).inputs[3].dims[2].minimum == 0
    assert [spec.name for spec in manifest.signature.inputs] == ["input_ids", "position"]
    assert (bundle / "generation_config.json").is_file()


def test_inspect_and_the_card_speak_of_tokens(edgekit: Program, bundle: Path) -> None:
    done = edgekit("inspect", bundle)
    assert done.returncode == 0
    for words in (
        f"{CONTEXT} tokens, prompt and answer",
        "by its template",
        "outputs of model.onn",
    ):
        assert words in done.stdout
    assert "ExecuTorch's own operator over the cache" in done.stdout
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert f"{CONTEXT} tokens at most" in card
    assert "| executorch |" in card
    assert "{{" not in card


def test_verify_replays_both(edgekit: Program, bundle: Path) -> None:
    done = edgekit("verify", bundle, "--json")
    assert done.returncode == 0, done.stderr
    hops = json.loads(done.stdout)["hops"]
    assert [hop["hop"] for hop in hops] == ["executorch", "onnx"]
    assert all(hop["tokens"]["max_difference"] < 1e-3 for hop in hops)
    assert all(hop["same_artifact"] > 0.99999 for hop in hops)


def resealed(bundle: Path, to: Path, change: str) -> Path:
    """A copy whose first golden is another, sealed again as an attacker would."""
    shutil.copytree(bundle, to)
    path = to / "goldens.safetensors"
    first, *others = goldens.read(path)
    if change == "ids":
        first.inputs["input_ids"][0, 0] = 10**9
    elif change == "columns":
        first.inputs["columns"][0, 0] = -1
    elif change == "long":
        first.inputs["input_ids"] = np.ones((1, CONTEXT + 1), dtype=np.int64)
    else:
        first.reference[:] = first.reference[:, ::-1].copy()
    goldens.write(path, [first, *others])
    seal.seal(to, read.load_manifest(to).model_copy(update={"files": ()}))
    return to


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ("ids", 65, "does not fit its model"),
        ("columns", 65, "does not fit its model"),
        ("long", 65, "does not fit its model"),
        ("reference", 1, "divergence"),
    ],
)
def test_verify_refuses_other_goldens(
    edgekit: Program, bundle: Path, tmp_path: Path, change: str, status: int, words: str
) -> None:
    done = edgekit("verify", resealed(bundle, tmp_path / change, change), *QUICK)
    assert done.returncode == status, done.stderr
    assert words in done.stderr


def test_run_answers_a_message_and_continues_a_text(edgekit: Program, bundle: Path) -> None:
    done = edgekit("run", bundle, "hello", "The sun", "--max-tokens", "5", "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    chatted = json.loads(done.stdout)["answers"]
    assert [one["text"] for one in chatted] == ["hello", "The sun"]
    assert all(one["answer_tokens"] == 5 and one["ended_by"] == "length" for one in chatted)
    words = ("run", bundle, "The sun", "--raw", "--max-tokens", "5")
    plain = json.loads(edgekit(*words, "--json", *QUICK).stdout)["answers"][0]
    assert plain["prompt_tokens"] < chatted[1]["prompt_tokens"]
    shown = edgekit(*words)
    assert shown.stdout == printable(plain["answer"]) + "\n"
    assert "tokens/s" in shown.stderr
    assert edgekit(*words, "-q", *QUICK).stderr == ""


def test_a_seed_gives_the_same_text_again(edgekit: Program, bundle: Path) -> None:
    words = ("run", bundle, "hello", "--temperature", "2", "--max-tokens", "12", "-q", *QUICK)
    first, again, other = (edgekit(*words, "--seed", seed).stdout for seed in ("0", "0", "2"))
    assert first == again != other


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("x " * CONTEXT,), 65, "no room for an answer"),
        (("hello", "--top-p", "0"), 64, "top_p is 0"),
        (("hello", "--temperature", "-1"), 64, "temperature is -1"),
        (("hello", "--raw", "--system", "be kind"), 64, "no system message"),
        (("hello", "--labels", "a,b"), 2, "--labels is not for a bundle that generates"),
        (("hello", "--chat"), 2, "--chat reads what you type"),
        (("--chat", "--json"), 2, "--chat does not go with --json"),
    ],
)
def test_run_refuses(
    edgekit: Program, bundle: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    done = edgekit("run", bundle, *words, *QUICK)
    assert done.returncode == status, done.stderr
    assert said in (done.stderr + done.stdout)
    assert "Traceback" not in done.stderr


def test_a_refused_prompt_of_a_file_is_named_by_its_line(
    edgekit: Program, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("hello\n" + "x " * CONTEXT + "\n")
    done = edgekit("run", bundle, "--file", "prompts.txt", "--max-tokens", "2", *QUICK)
    assert done.returncode == 65
    assert "line 2 of prompts.txt" in done.stderr
    assert done.stdout.count("\n") == 1


def test_options_of_generation_are_not_for_encoders(edgekit: Program, tmp_path: Path) -> None:
    from tests.bundle import small

    encoder = small.bundle(tmp_path / "encoder")
    for words in (("--chat",), ("hello", "--max-tokens", "3")):
        done = edgekit("run", encoder, *words)
        assert done.returncode == 2
        assert "is for bundles that generate text" in done.stderr
    with pytest.raises(SpecError, match="does not generate text"):
        Bundle.open(encoder).generate("hello")


def test_chat_stops_an_answer_and_goes_on(bundle: Path) -> None:
    words = ["run", str(bundle), "--chat", "--max-tokens", "1500", *QUICK]
    with terminal(*words, env=clean_environment()) as screen:
        screen.until("Ctrl-C stops an answer.\n")
        screen.until("> ")
        screen.type("hello\n")
        screen.until("hello\n")
        while not screen.shown.split("hello\n", 1)[1].strip():
            screen.more()
        screen.type("\x03")
        assert "stopped]" in screen.until("\n> ")
        screen.rest()
        screen.type("\x03")
        screen.until("Ctrl-C again, or Ctrl-D, leaves")
        screen.type("/reset\n")
        screen.until("forgotten\n")
        screen.type("/what\n")
        screen.until("unknown command /what")
        # At the prompt: an end of input that comes while the terminal changes its mode is lost.
        screen.rest()
        screen.type("\x04")
        assert screen.status() == 0


def test_chat_leaves_at_a_second_interrupt(bundle: Path) -> None:
    with terminal("run", str(bundle), "--chat", *QUICK, env=clean_environment()) as screen:
        screen.until("> ")
        screen.rest()
        screen.type("\x03")
        screen.until("leaves")
        screen.rest()
        screen.type("\x03")
        assert screen.status() == 0


def test_chat_reads_a_pipe_and_forgets_the_oldest(edgekit: Program, bundle: Path) -> None:
    long = "tell me more about the sun " * 40
    done = edgekit(
        "run", bundle, "--chat", "--max-tokens", "4", *QUICK, stdin=f"{long}\n" * 8 + "/exit\nno\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 8
    assert "the context is full: the 2 oldest messages are gone" in done.stderr
    too_long = edgekit("run", bundle, "--chat", *QUICK, stdin="x " * CONTEXT + "\nhello\n")
    assert too_long.returncode == 0
    assert "Shorten it" in too_long.stderr
    assert "tokens/s" in too_long.stderr


def test_without_a_template_chat_names_the_way_out(
    edgekit: Program, bundle: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(bundle, plain)
    manifest = read.load_manifest(plain)
    assert manifest.generation is not None
    silent = manifest.generation.model_copy(update={"chat_template": None})
    seal.seal(plain, manifest.model_copy(update={"generation": silent, "files": ()}))
    done = edgekit("run", plain, "--chat", *QUICK)
    assert done.returncode == 64
    assert "no chat template" in done.stderr
    assert "--raw" in done.stderr
    assert edgekit("run", plain, "The sun", "--max-tokens", "3", *QUICK).returncode == 0


def test_a_killed_answer_leaves_its_beginning(bundle: Path, tmp_path: Path) -> None:
    words = ["run", str(bundle), "hello", "--max-tokens", "2000", *QUICK]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgekit", *words], stdout=out, env=clean_environment()
        )
        end = time.monotonic() + 120
        while not os.stat(out.fileno()).st_size and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (130, 0)
    assert (tmp_path / "out").stat().st_size


def test_python_generates_and_keeps_a_conversation(bundle: Path) -> None:
    with Bundle.open(bundle) as opened:
        assert opened.generates
        reply = opened.generate("hello", max_tokens=6, runtime="onnx")
        assert "".join(reply) == reply.text
        assert reply.statistics.answer_tokens == len(reply.ids) == 6
        (answer,) = opened.run(["hello"], max_tokens=6, runtime="onnx")
        assert answer["answer"] == reply.text
        same = opened.generate("hello", max_tokens=6, runtime="executorch")
        assert same.whole() == reply.text
        cancel = Event()
        cancel.set()
        stopped = opened.generate("hello", runtime="onnx", cancel=cancel)
        stopped.whole()
        assert stopped.statistics.ended_by == "cancelled"
        with pytest.raises(SpecError, match="takes no colour"):
            opened.generate("hello", colour="red")
        with pytest.raises(TextRefused, match="empty"):
            opened.generate("  ")
        chat = opened.chat(runtime="onnx", max_tokens=4, system="be kind")
        first = "".join(chat.ask("hello"))
        assert [one["role"] for one in chat.messages] == ["user", "assistant"]
        assert chat.messages[1]["content"] == first
        "".join(chat.ask("and now?"))
        assert chat.last.statistics.reused_tokens > 5
        chat.reset()
        assert chat.messages == []
