from pathlib import Path

import pytest

from edgekit.bundle.rename import exchange, rename_new


def folder(path: Path, content: str = "") -> Path:
    path.mkdir()
    if content:
        (path / "file").write_text(content)
    return path


def test_exchange_swaps_both_names(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one", "1"), folder(tmp_path / "two", "2")
    assert exchange(one, two)
    assert (one / "file").read_text() == "2"
    assert (two / "file").read_text() == "1"


def test_exchange_needs_both(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        exchange(folder(tmp_path / "one"), tmp_path / "none")


def test_a_free_name_is_taken(tmp_path: Path) -> None:
    rename_new(folder(tmp_path / "one", "1"), tmp_path / "two")
    assert (tmp_path / "two" / "file").read_text() == "1"
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("flavour", ["native", "plain"])
@pytest.mark.parametrize("content", ["", "2"])
def test_a_taken_name_is_left_alone(
    tmp_path: Path, flavour: str, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flavour == "plain":  # as where the system has no renameat2
        monkeypatch.setattr("sys.platform", "other")
    one, two = folder(tmp_path / "one", "1"), folder(tmp_path / "two", content)
    with pytest.raises(FileExistsError):
        rename_new(one, two)
    assert (one / "file").read_text() == "1"
    assert [path.read_text() for path in two.iterdir()] == ([content] if content else [])
