"""Bundles that were damaged or made to harm: each is refused, in words, before anything runs."""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.manifest import SCHEMA_VERSION, Manifest
from edgekit.bundle.read import check_files, load_manifest
from edgekit.errors import (
    BundleCorrupt,
    BundleTooNew,
    InputMissing,
    InputRefused,
    PermissionRefused,
    UnsafeInput,
)
from tests.bundle import small


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small.bundle(tmp_path / "bundle")


def check(folder: Path) -> Manifest:
    manifest = load_manifest(folder)
    check_files(folder, manifest)
    return manifest


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object], *, sealed: bool) -> None:
    """Change the manifest as somebody who knows, or does not know, how it is sealed."""
    path = folder / "edgekit.json"
    data = json.loads(path.read_bytes())
    change(data)
    if sealed:
        data.pop("seal", None)
        data["seal"] = hashlib.sha256(dump_bytes(data)).hexdigest()
    path.write_bytes(dump_bytes(data))


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)


def test_an_untouched_bundle_passes(folder: Path) -> None:
    assert check(folder).name == "small"


def test_every_flipped_bit_is_found(folder: Path) -> None:
    rng = random.Random(0)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(paths) == 7
    for path in paths:
        size = path.stat().st_size * 8
        for bit in rng.sample(range(size), min(60, size)):
            flip(path, bit)
            with pytest.raises(InputRefused) as caught:
                check(folder)
            assert path.name in caught.value.message
            flip(path, bit)
    check(folder)


def test_every_bit_of_a_manifest_that_reads_the_same_is_found(folder: Path) -> None:
    # 1e-05 and 1E-05 are one number: only the canonical bytes tell them apart.
    path = folder / "edgekit.json"
    content = path.read_bytes()
    assert b"1e-05" in content
    for changed in (content.replace(b"1e-05", b"1E-05"), content + b"\n", content[:-1]):
        path.write_bytes(changed)
        with pytest.raises(BundleCorrupt, match="changed after it was sealed"):
            check(folder)


def test_an_extra_a_missing_and_a_renamed_file_are_told_at_once(folder: Path) -> None:
    (folder / "more.txt").write_text("x")
    (folder / "README.md").unlink()
    (folder / "model.onnx").rename(folder / "Model.onnx")
    with pytest.raises(BundleCorrupt) as caught:
        check(folder)
    assert caught.value.details["problems"] == [
        "'Model.onnx' is extra",
        "'more.txt' is extra",
        "'README.md' is missing",
        "'model.onnx' is missing",
    ]
    assert all(problem in caught.value.message for problem in caught.value.details["problems"])
    assert caught.value.exit_status == 65


def test_many_problems_are_counted(folder: Path) -> None:
    for index in range(25):
        (folder / f"more{index:02d}").write_text("x")
    with pytest.raises(BundleCorrupt, match=r"'more09' is extra; and 15 more$"):
        check(folder)


def test_same_size_and_other_size_are_told_apart(folder: Path) -> None:
    (folder / "model.pte").write_bytes(bytes(300))
    (folder / "model.onnx").write_bytes(bytes(299))
    with pytest.raises(
        BundleCorrupt, match=r"'model.onnx' has 299 bytes, not 300; 'model.pte' was"
    ):
        check(folder)


def test_a_link_is_refused_even_to_the_right_bytes(folder: Path, tmp_path: Path) -> None:
    (folder / "model.pte").rename(tmp_path / "model.pte")
    (folder / "model.pte").symlink_to(tmp_path / "model.pte")
    with pytest.raises(BundleCorrupt, match=r"'model\.pte' is a link$"):
        check(folder)


def test_a_linked_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "extra").rename(tmp_path / "extra")
    (folder / "extra").symlink_to(tmp_path / "extra")
    with pytest.raises(BundleCorrupt, match="'extra' is a link"):
        check(folder)


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    (folder / "model.pte").unlink()
    os.mkfifo(folder / "model.pte")
    with pytest.raises(BundleCorrupt, match=r"'model\.pte' is not a regular file$"):
        check(folder)
    (folder / "edgekit.json").unlink()
    os.mkfifo(folder / "edgekit.json")
    with pytest.raises(BundleCorrupt, match="not a regular file"):
        check(folder)


def test_an_empty_folder_is_extra(folder: Path) -> None:
    (folder / "hollow" / "deep").mkdir(parents=True)
    with pytest.raises(BundleCorrupt, match="'hollow/deep' is an empty folder"):
        check(folder)


def test_names_that_are_not_text_are_shown_escaped(folder: Path) -> None:
    (folder / os.fsdecode(b"bad\xff\x1b[2J")).write_text("x")
    with pytest.raises(BundleCorrupt) as caught:
        check(folder)
    assert caught.value.message.isprintable()
    caught.value.message.encode("utf-8")


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputMissing) as caught:
        load_manifest(tmp_path / "none")
    assert caught.value.exit_status == 66


def test_a_file_is_not_a_bundle(folder: Path) -> None:
    with pytest.raises(BundleCorrupt, match="is a file, not a bundle"):
        load_manifest(folder / "model.pte")


def test_a_folder_without_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match=r"it has no edgekit\.json"):
        load_manifest(tmp_path)


def test_a_linked_manifest_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "edgekit.json").rename(tmp_path / "elsewhere")
    (folder / "edgekit.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleCorrupt, match="it is a link"):
        load_manifest(folder)


def test_a_manifest_that_is_a_folder(folder: Path) -> None:
    (folder / "edgekit.json").unlink()
    (folder / "edgekit.json").mkdir()
    with pytest.raises(BundleCorrupt):
        load_manifest(folder)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"schema_version": 1, "schema_version": 1}', "'schema_version' occurs twice"),
        (b'{"schema_version": 1, "a": {"b": 1, "b": 2}}', "'b' occurs twice"),
        (b'{"schema_version": 1, "a": NaN}', "NaN is not a JSON number"),
        (b'{"schema_version": 1, "a": 1e999}', "too large"),
        (b'{"schema_version": 1, "a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b'{"a": "' + b"x" * 5 * 2**20 + b'"}', "longer than"),
        (b"{}", "schema_version is missing"),
        (b'{"schema_version": true}', "schema_version is missing"),
        (b'{"schema_version": "1"}', "schema_version is missing"),
        (b'{"schema_version": 0}', "schema_version is missing"),
    ],
)
def test_a_manifest_that_cannot_be_read(folder: Path, raw: bytes, reason: str) -> None:
    (folder / "edgekit.json").write_bytes(raw)
    with pytest.raises(BundleCorrupt, match=reason):
        load_manifest(folder)


def test_a_newer_schema_is_told_before_the_rest_is_looked_at(folder: Path) -> None:
    newer = {"schema_version": SCHEMA_VERSION + 1, "something": "else"}
    (folder / "edgekit.json").write_bytes(dump_bytes(newer))
    with pytest.raises(BundleTooNew, match="reads up to") as caught:
        load_manifest(folder)
    assert caught.value.exit_status == 65
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda data: data.pop("task"), "at task: Field required"),
        (lambda data: data.update(more=1), "at more: Extra inputs"),
        (lambda data: data["artifacts"][1].update(bytes="300"), r"at artifacts\[1\]\.bytes: "),
        (lambda data: data["files"][0].update(sha256="0"), r"at files\[0\]\.sha256: "),
        (lambda data: data["files"][0].update(bytes=-1), r"at files\[0\]\.bytes: "),
        (lambda data: data["limits"].update(max_length=1.5), "at limits.max_length: "),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_an_invalid_manifest_says_where(
    folder: Path, change: Callable[[dict[str, Any]], object], where: str, sealed: bool
) -> None:
    rewrite(folder, change, sealed=sealed)
    with pytest.raises(BundleCorrupt, match=where) as caught:
        load_manifest(folder)
    assert "pydantic" not in caught.value.message
    assert "\n" not in caught.value.message


def test_an_edited_manifest_is_refused(folder: Path) -> None:
    rewrite(folder, lambda data: data.update(name="other"), sealed=False)
    with pytest.raises(BundleCorrupt, match="changed after it was sealed"):
        load_manifest(folder)


def test_a_manifest_without_seal_is_refused(folder: Path) -> None:
    rewrite(folder, lambda data: data.pop("seal"), sealed=False)
    with pytest.raises(BundleCorrupt, match="it has no seal"):
        load_manifest(folder)


def test_a_manifest_with_half_a_character_is_refused(folder: Path) -> None:
    path = folder / "edgekit.json"
    path.write_bytes(path.read_bytes().replace(b'"note": "gr', b'"note": "\\ud800gr'))
    with pytest.raises(BundleCorrupt):
        load_manifest(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a\\b", "C:x", "a/../../b", "a\nb"])
@pytest.mark.parametrize("place", ["files", "artifacts", "goldens", "tokenizer"])
def test_names_that_leave_the_folder_are_refused_on_load(
    folder: Path, name: str, place: str
) -> None:
    def change(data: dict[str, Any]) -> None:
        key = "path" if place == "files" else "file"
        part = data[place]
        (part if isinstance(part, dict) else part[0])[key] = name

    (folder.parent / "outside").write_text("x")
    rewrite(folder, change, sealed=True)
    with pytest.raises(UnsafeInput, match="unsafe file name") as caught:
        load_manifest(folder)
    assert caught.value.message.isprintable()
    assert caught.value.exit_status == 65
    # Even a manifest that was not loaded from a file is held to the same.
    manifest = Manifest.model_validate_json((folder / "edgekit.json").read_bytes())
    with pytest.raises(UnsafeInput, match="unsafe file name"):
        check_files(folder, manifest)


def entry(data: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in data["files"] if item["path"] == path)
    return found


def twice(data: dict[str, Any]) -> None:
    data["files"].append(entry(data, "model.pte") | {"sha256": "0" * 64})


def cased(data: dict[str, Any]) -> None:
    data["files"].append(entry(data, "model.pte") | {"path": "MODEL.pte"})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (twice, "'model.pte' is listed 2 times"),
        (cased, "'MODEL.pte' and 'model.pte' differ only in case"),
        (
            lambda data: data["files"].remove(entry(data, "model.onnx")),
            "'model.onnx', the file of the onnx artifact, is not listed",
        ),
        (
            lambda data: data["tokenizer"].update(file="vocab.txt"),
            "'vocab.txt', the file of the tokenizer, is not listed",
        ),
        (
            lambda data: data["goldens"].update(file="none"),
            "'none', the file of the goldens, is not listed",
        ),
        (
            lambda data: data["files"].append(entry(data, "model.pte") | {"path": "edgekit.json"}),
            "'edgekit.json' lists itself",
        ),
        (lambda data: data.update(files=[]), "'README.md' is extra"),
    ],
)
def test_a_list_that_contradicts_itself(
    folder: Path, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    rewrite(folder, change, sealed=True)
    with pytest.raises(BundleCorrupt) as caught:
        check(folder)
    assert problem in caught.value.details["problems"]
    assert problem in caught.value.message


def test_two_names_that_differ_in_case_are_refused_even_when_both_exist(folder: Path) -> None:
    shutil.copy(folder / "model.pte", folder / "MODEL.pte")
    rewrite(folder, cased, sealed=True)
    with pytest.raises(BundleCorrupt, match=r"differ only in case$"):
        check(folder)


def test_a_bundle_that_may_not_be_read(folder: Path) -> None:
    (folder / "edgekit.json").chmod(0)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.chdir(folder)
            if os.geteuid() == 0:  # root may read everything
                os.setgid(65534)
                os.setuid(65534)
            load_manifest(Path())
        except PermissionRefused:
            status = 77
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
