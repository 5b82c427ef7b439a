"""Folders to write, and to look at afterwards."""

from pathlib import Path

OLD = {"edgekit.json": b"old", "old": b"old"}
NEW = {"edgekit.json": b"new", "sub/model": b"new " * 20_000}


def tree(folder: Path) -> dict[str, bytes] | None:
    """Every file below a folder with its content; None when there is no such folder."""
    if not folder.exists():
        return None
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def plant(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
