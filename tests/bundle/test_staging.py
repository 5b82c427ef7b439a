"""Staging when nothing goes wrong, and names that are taken."""

import os
from pathlib import Path

import pytest

from edgekit.bundle.staging import Staging, require_space
from edgekit.errors import CannotWrite, OutputExists, StorageFull
from tests.bundle.trees import NEW, OLD, names, plant, tree


def test_a_commit_gives_the_name(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "er" / "out"
    with Staging(final) as staging:
        assert staging.folder.parent == final.parent
        assert staging.folder.name.startswith(f".out.tmp-{os.getpid()}-")
        plant(staging.folder, NEW)
        assert not final.exists()
        staging.commit()
        assert tree(final) == NEW
    assert names(final.parent) == ["out"]


def test_all_is_on_the_disk_before_the_name_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "new" / "out"
    flushed: list[tuple[int, bool]] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        fsync(descriptor)
        flushed.append((os.fstat(descriptor).st_ino, final.exists()))

    monkeypatch.setattr(os, "fsync", recorded)
    with Staging(final) as staging:
        plant(staging.folder, NEW)
        staging.commit()
    parts = [final, *final.rglob("*")]
    assert len(parts) == 4
    assert {path.stat().st_ino for path in parts} == {ino for ino, named in flushed if not named}
    parents = [path.stat().st_ino for path in (final.parent, tmp_path)]
    assert [ino for ino, named in flushed if named] == parents


def test_the_folder_is_made_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with Staging(tmp_path / "out") as staging:
        staging.commit()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_no_commit_leaves_nothing_and_no_parents(tmp_path: Path) -> None:
    with Staging(tmp_path / "deep" / "er" / "out") as staging:
        plant(staging.folder, NEW)
    assert names(tmp_path) == []


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with Staging(tmp_path / "a" / "out") as staging:
            plant(staging.folder, NEW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert names(tmp_path) == []


def test_parents_that_others_use_stay(tmp_path: Path) -> None:
    with Staging(tmp_path / "a" / "out"):
        (tmp_path / "a" / "other").write_text("x")
    assert names(tmp_path / "a") == ["other"]


@pytest.mark.parametrize("native", [True, False])
def test_force_replaces_a_bundle(
    tmp_path: Path, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:  # as on a system without renameat2
        monkeypatch.setattr("edgekit.bundle.rename._renameat2", lambda *_: False)
    final = plant(tmp_path / "out", OLD)
    with Staging(final, force=True) as staging:
        plant(staging.folder, NEW)
        assert tree(final) == OLD
        staging.commit()
        assert names(tmp_path) == ["out"]
    assert tree(final) == NEW


def test_force_without_a_previous_one(tmp_path: Path) -> None:
    with Staging(tmp_path / "out", force=True) as staging:
        plant(staging.folder, NEW)
        staging.commit()
    assert tree(tmp_path / "out") == NEW


@pytest.mark.parametrize("kind", ["bundle", "empty", "file", "dangling link"])
def test_a_taken_name_is_refused_at_entry(tmp_path: Path, kind: str) -> None:
    final = tmp_path / "out"
    if kind == "bundle":
        plant(final, OLD)
    elif kind == "empty":
        final.mkdir()
    elif kind == "file":
        final.write_text("x")
    else:
        final.symlink_to("nowhere")
    with pytest.raises(OutputExists, match="out already exists") as caught, Staging(final):
        pytest.fail("entered")
    assert caught.value.exit_status == 73
    assert "--force" in caught.value.hint
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("empty", [True, False])
def test_a_name_taken_meanwhile_is_refused_at_commit(tmp_path: Path, empty: bool) -> None:
    final = tmp_path / "out"

    def write() -> None:
        with Staging(final) as staging:
            plant(staging.folder, NEW)
            final.mkdir()
            plant(final, {} if empty else OLD)
            staging.commit()

    with pytest.raises(OutputExists):
        write()
    assert tree(final) == ({} if empty else OLD)
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("when", ["entry", "commit"])
@pytest.mark.parametrize("kind", ["folder", "file", "link", "manifest is a folder"])
def test_force_never_removes_what_is_no_bundle(tmp_path: Path, kind: str, when: str) -> None:
    final = tmp_path / "out"
    plant(tmp_path / "mine", OLD)

    def take_name() -> None:
        if kind == "folder":
            plant(final, {"thesis.txt": b"x"})
        elif kind == "file":
            final.write_bytes(b"x")
        elif kind == "link":
            final.symlink_to("mine")
        else:
            (final / "edgekit.json").mkdir(parents=True)

    def write() -> None:
        with Staging(final, force=True) as staging:
            assert when == "commit"
            take_name()
            staging.commit()

    if when == "entry":
        take_name()
    with pytest.raises(CannotWrite, match="will not be replaced") as caught:
        write()
    assert not isinstance(caught.value, OutputExists)
    assert names(tmp_path) == ["mine", "out"]
    assert tree(tmp_path / "mine") == OLD


@pytest.mark.parametrize("name", ["/", "a\0b"])
def test_impossible_names(name: str) -> None:
    with pytest.raises(CannotWrite, match="no name for a new folder"):
        Staging(Path(name))


def test_a_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="too long"), Staging(tmp_path / ("x" * 250)):
        pytest.fail("entered")
    assert names(tmp_path) == []


def test_no_room_is_told_beforehand(tmp_path: Path) -> None:
    require_space(tmp_path / "not" / "yet" / "made", 1)
    with pytest.raises(StorageFull, match=r"need \d+\.\d MiB, have \d+\.\d MiB") as caught:
        require_space(tmp_path / "not" / "yet" / "made", 2**62)
    assert caught.value.details["need_bytes"] == 2**62
    assert 0 < caught.value.details["have_bytes"] < 2**62
    assert names(tmp_path) == []
