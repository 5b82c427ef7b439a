"""A ``.pte`` through edgekit's own library: the same numbers as by ExecuTorch's extension."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.manifest import Dim, Signature, TensorSpec
from edgekit.device import library
from edgekit.errors import InternalError
from edgekit.runtime import Session, executorch, executorch_native
from edgekit.runtime.generation.executorch import load_operators
from tests.conftest import clean_environment
from tests.converters.generation.decoders import CONTEXT, captured, lowered, texts, tiny

pytestmark = pytest.mark.skipif(not library.can_build(), reason="no compiler for this machine")

Program = tuple[Path, Signature]


def write(model: Any, folder: Path, context: int = CONTEXT) -> Program:
    edge = captured(model, "executorch", context)
    path = folder / "model.pte"
    path.write_bytes(lowered(edge, "executorch").data)
    return path, edge.signature


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return write(tiny("llama"), tmp_path_factory.mktemp("native"))


@pytest.fixture
def session(program: Program) -> Iterator[Session]:
    made = executorch_native.open_session(*program)
    yield made
    made.close()


def feed(session: Session, ids: list[int], position: int) -> Any:
    given = {"input_ids": np.array([ids]), "position": np.array([position])}
    return session.run(given)["logits"]


def rows(session: Session, ids: list[int], prompt: int) -> Any:
    """Logits after the prompt and after each further token."""
    found = [feed(session, ids[:prompt], 0)]
    found += [feed(session, [ids[at]], at) for at in range(prompt, len(ids))]
    return np.concatenate(found)


def by_both(program: Program, ids: list[int], prompt: int) -> tuple[Any, Any]:
    load_operators()
    sessions = executorch_native.open_session(*program), executorch.open_by_extension(*program)
    ours, theirs = (rows(session, ids, prompt) for session in sessions)
    for session in sessions:
        session.close()
    return ours, theirs


def test_both_give_the_same_numbers_in_one_process(program: Program) -> None:
    ours, theirs = by_both(program, texts(1, 60)[0], 40)
    assert ours.shape == (21, 128)
    assert np.abs(ours - theirs).max() <= 1e-5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_trained_decoder_says_the_same(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from examples.tiny_decoder import folder

    model = AutoModelForCausalLM.from_pretrained(folder(), attn_implementation="eager").eval()
    ids = np.random.default_rng(0).integers(3, model.config.vocab_size, 100).tolist()
    ours, theirs = by_both(write(model, tmp_path, 128), ids, 60)
    # A sum of several hundred products in another order.
    assert np.abs(ours - theirs).max() <= 1e-5 * max(1.0, np.abs(theirs).max())
    assert (ours.argmax(1) == theirs.argmax(1)).all()


def test_it_is_what_a_bundle_runs_on(program: Program) -> None:
    opened = executorch.open_session(*program)
    assert type(opened).__module__ == executorch_native.__name__
    opened.close()


def test_the_start_of_a_text_forgets_the_last_one(session: Session) -> None:
    ids = texts(1, 30)[0]
    first = rows(session, ids, 20)
    rows(session, texts(1, 50, seed=5)[0], 9)
    np.testing.assert_array_equal(rows(session, ids, 20), first)


@pytest.mark.parametrize(
    ("ids", "position", "said"),
    [
        ([[5] * (CONTEXT + 1)], [0], f"takes {CONTEXT} at most"),
        ([5, 6], [0], "dimensions"),
        ([[5]], [0, 1], "takes 1 at most"),
        ([[5]], [CONTEXT + 1], "running forward"),
        ([[5]], [-1], "running forward"),
        ([[]], [0], "running forward"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_next_call_answers(
    session: Session, ids: Any, position: Any, said: str
) -> None:
    given = {"input_ids": np.array(ids), "position": np.array(position)}
    with pytest.raises(RuntimeError, match=said):
        session.run(given)
    assert np.isfinite(feed(session, [5, 6, 7], 0)).all()


def test_a_closed_model_says_so(program: Program) -> None:
    session = executorch_native.open_session(*program)
    session.close()
    session.close()
    with pytest.raises(RuntimeError, match="closed"):
        feed(session, [5], 0)


def test_another_method_or_signature_is_refused(program: Program) -> None:
    path, signature = program
    with pytest.raises(InternalError, match=r"model\.pte.*loading encode"):
        executorch_native.open_session(path, signature, "encode")
    one = Dim(name="one", minimum=1, maximum=1)
    floats = TensorSpec(name="input_ids", dtype="float32", dims=(one, one))
    for inputs, said in (
        (signature.inputs[:1], "2 inputs, 1 were expected"),
        ((floats, signature.inputs[1]), "input_ids is of another dtype"),
    ):
        other = Signature(inputs=inputs, outputs=signature.outputs)
        with pytest.raises(InternalError, match=said):
            executorch_native.open_session(path, other)


def test_a_cut_file_is_refused(program: Program, tmp_path: Path) -> None:
    data = program[0].read_bytes()
    for size in (0, 7, 100, 4096, len(data) // 2):
        path = tmp_path / f"{size}.pte"
        path.write_bytes(data[:size])
        with pytest.raises(InternalError, match=f"cannot load {size}.pte"):
            executorch_native.open_session(path, program[1])
    with pytest.raises(InternalError, match=r"cannot load none\.pte"):
        executorch_native.open_session(tmp_path / "none.pte", program[1])


ASKED = """
import json, re, sys
from pathlib import Path
from edgekit.bundle.manifest import Signature
from edgekit.runtime.generation import Generator, Sampling
from edgekit.runtime.generation.executorch import open_steps
steps = open_steps(Path(sys.argv[1]), Signature.model_validate_json(sys.argv[2]))
ids = [token.id for token in Generator(steps).generate([5, 6, 7], Sampling(max_tokens=8))]
# Not getrusage's: that one begins with what the parent had.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"ids": ids, "torch": "torch" in sys.modules, "mb": peak}))
"""


def asked(program: Program, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", ASKED, str(program[0]), program[1].model_dump_json()],
        capture_output=True,
        text=True,
        env=clean_environment(**environment),
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_process_needs_no_torch(program: Program) -> None:
    library.build()
    found = asked(program)
    assert found["torch"] is False
    assert found["mb"] < 150
    assert len(found["ids"]) == 8


@pytest.mark.slow
def test_without_a_compiler_torch_does_it(program: Program, tmp_path: Path) -> None:
    found = asked(program, PATH=str(tmp_path), EDGEKIT_HOME=str(tmp_path / "home"))
    assert found["torch"] is True
    assert found["ids"] == asked(program)["ids"]
    assert not (tmp_path / "home").exists()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library in a cache of its own."""
    made = library.build().parent
    target = tmp_path / "home" / "library" / made.name
    shutil.copytree(made, target)
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return target


def test_a_sound_copy_is_found_and_a_damaged_one_is_not(copied: Path) -> None:
    assert library.find() == copied / "libedgekit.so"
    said: list[str] = []
    assert library.build(say=said.append) == copied / "libedgekit.so"
    assert "nothing changed" in said[-1]
    file = copied / "libedgekit_et.so"
    data = file.read_bytes()
    file.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    assert library.find() is None


def test_it_carries_names_of_its_own(copied: Path) -> None:
    """Whoever loads ExecuTorch's libraries gets its own ones, whatever was loaded before."""
    for path in copied.glob("*.so"):
        assert b"libexecutorch" not in path.read_bytes(), path.name
    assert os.path.getsize(copied / "libedgekit.so") < 1_000_000
