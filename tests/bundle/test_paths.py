from pathlib import Path

import pytest

from edgekit.bundle.paths import safe_join, safe_name
from edgekit.errors import UnsafeInput


@pytest.mark.parametrize(
    "name",
    ["model.pte", "model-00001-of-00002.safetensors", "1_Pooling/config.json", "größe.txt", "..a"],
)
def test_plain_names_pass(name: str, tmp_path: Path) -> None:
    assert safe_name(name) == name
    assert safe_join(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("../x", "'..'"),
        ("a/../../x", "'..'"),
        ("..", "'..'"),
        (".", "'.'"),
        ("a/./b", "'.'"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\\b", "backslash"),
        ("\\\\server\\share", "backslash"),
        ("C:x", "colon"),
        ("c:/x", "colon"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x1b[2Jb", "control"),
        ("a\u202egnp.exe", "invisible"),
        ("a\u200bb", "invisible"),
        ("\udc80", "control"),
        ("x" * 256, "too long"),
        ("/".join(["x" * 200] * 6), "too long"),
    ],
)
def test_unsafe_names_are_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeInput, match=reason) as caught:
        safe_join(tmp_path, name)
    # Whatever is in the name, the message can be shown on a terminal.
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "loop"])
def test_links_out_of_the_folder_are_refused(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_text("x")
    (folder / "loop").symlink_to(target)
    with pytest.raises(UnsafeInput, match="link that leads out"):
        safe_join(folder, "loop")


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "sub").symlink_to(tmp_path)
    with pytest.raises(UnsafeInput, match="link that leads out"):
        safe_join(folder, "sub/x")


def test_links_inside_and_into_the_fence_pass(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "rev"
    snapshot.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "digest").write_text("x")
    (snapshot / "model.safetensors").symlink_to("../../blobs/digest")
    (snapshot / "same").symlink_to("model.json")
    assert safe_join(snapshot, "same") == snapshot / "same"
    joined = safe_join(snapshot, "model.safetensors", within=tmp_path)
    assert joined.read_text() == "x"
    with pytest.raises(UnsafeInput):
        safe_join(snapshot, "model.safetensors")
