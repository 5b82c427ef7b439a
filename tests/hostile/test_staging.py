"""Runs that are killed, interrupted, crowded out or refused: the output is whole or absent."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgekit.bundle.staging import Staging
from edgekit.errors import CannotWrite, EdgekitError, OutputExists, StorageFull
from tests.bundle import staging_run
from tests.bundle.trees import NEW, OLD, names, plant, tree

NOBODY = 65534


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: nothing waits for a disk."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def strike() -> Iterator[Callable[[Path, str, str, int], int]]:
    command = [sys.executable, "-m", "tests.bundle.staging_run"]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None

        def run(final: Path, force: str, kind: str, point: int) -> int:
            assert writer.stdin is not None
            assert writer.stdout is not None
            print(final, force, kind, point, file=writer.stdin, flush=True)
            return int(writer.stdout.readline())

        yield run
        writer.stdin.close()


@pytest.mark.parametrize(
    ("force", "kind"),
    [
        ("fresh", "kill"),
        ("fresh", "kill-plain"),
        ("fresh", "interrupt"),
        ("force", "kill"),
        ("force", "kill-plain"),
        ("force", "interrupt"),
        ("force", "interrupt-plain"),
    ],
)
def test_struck_at_every_point(
    memory: Path, strike: Callable[[Path, str, str, int], int], force: str, kind: str
) -> None:
    before = OLD if force == "force" else None
    seen = []
    for point in range(1, 1000):
        place = memory / f"{point:03d}"
        final = place / "out"
        if before is not None:
            plant(final, OLD)
        status = strike(final, force, kind, point)
        if status == 0:
            break
        assert status == (-signal.SIGKILL if kind.startswith("kill") else 128 + signal.SIGINT)
        # Between two plain renames nothing has the name; the next run puts the old one back.
        gap = [None] if kind == "kill-plain" else []
        assert tree(final) in (before, NEW, *gap), point
        seen.append(tree(final))
        if kind.startswith("interrupt") and place.exists():
            assert names(place) in ([], ["out"]), point
        with contextlib.suppress(OutputExists), Staging(final):
            pass  # only to sweep
        assert tree(final) in (before, NEW), point
        with Staging(final, force=True) as staging:
            plant(staging.folder, NEW)
            staging.commit()
        assert tree(final) == NEW
        assert names(place) == ["out"], point
    assert len(seen) >= 40
    assert seen[0] == before
    assert seen[-1] == NEW


def test_ctrl_c_while_writing(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from edgekit.bundle.staging import Staging\n"
        "with Staging(Path(sys.argv[1])) as staging:\n"
        "    (staging.folder / 'half').write_text('x')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    final = tmp_path / "parent" / "out"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(final)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        during = names(final.parent)
        with Staging(final):
            pass  # leaves a live run of another process alone
        assert names(final.parent) == during
        began = time.monotonic()
        writer.send_signal(signal.SIGINT)
        assert writer.wait(timeout=20) == -signal.SIGINT
        assert time.monotonic() - began < 5
    assert names(tmp_path) == []


def test_a_live_run_is_left_alone(tmp_path: Path) -> None:
    final = tmp_path / "out"
    with Staging(final) as first:
        plant(first.folder, NEW)
        with Staging(final) as second:
            assert second.folder != first.folder
            assert tree(first.folder) == NEW
        first.commit()
    assert tree(final) == NEW


def test_only_leftovers_of_the_same_name_are_swept(tmp_path: Path) -> None:
    mine = [".out.tmp-1-0123abcd", ".out.old-1-0123abcd"]
    others = [".out2.tmp-1-0123abcd", ".out.tmp-1-0123abcd.txt", "out.tmp-1-0123abcd", ".out"]
    for name in mine + others:
        plant(tmp_path / name, {"file": b"x"})
    plant(tmp_path / "out", OLD)
    (tmp_path / ".out.tmp-2-0123abcd").symlink_to("out")
    with pytest.raises(OutputExists), Staging(tmp_path / "out"):
        pytest.fail("entered")
    assert names(tmp_path) == sorted([*others, "out", ".out.tmp-2-0123abcd"])
    assert tree(tmp_path / "out") == OLD


def test_a_displaced_bundle_is_put_back(tmp_path: Path) -> None:
    plant(tmp_path / ".out.old-1-0123abcd", OLD)
    plant(tmp_path / ".out.tmp-1-0123abcd", NEW)
    with pytest.raises(OutputExists), Staging(tmp_path / "out"):
        pytest.fail("entered")
    assert tree(tmp_path / "out") == OLD
    assert names(tmp_path) == ["out"]


def run_together(writers: int, write: Callable[[int], None]) -> list[EdgekitError | None]:
    """What each of several threads met; they start at one moment."""
    met: list[EdgekitError | None] = [None] * writers
    gate = threading.Barrier(writers)

    def body(index: int) -> None:
        gate.wait()
        try:
            write(index)
        except EdgekitError as error:
            met[index] = error

    threads = [threading.Thread(target=body, args=(index,)) for index in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return met


def test_of_writers_at_once_one_wins(tmp_path: Path) -> None:
    for attempt in range(20):
        final = tmp_path / str(attempt) / "out"

        def write(index: int, final: Path = final) -> None:
            with Staging(final) as staging:
                plant(staging.folder, {"who": b"%d" % index, "edgekit.json": b"%d" % index})
                staging.commit()

        met = run_together(4, write)
        winner = met.index(None)
        assert [type(error) for error in met].count(OutputExists) == 3
        assert tree(final) == {"who": b"%d" % winner, "edgekit.json": b"%d" % winner}
        assert names(final.parent) == ["out"]


@pytest.mark.parametrize("native", [True, False])
def test_writers_that_replace_each_other(
    memory: Path, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        monkeypatch.setattr("edgekit.bundle.rename._renameat2", lambda *_: False)
    final = plant(memory / "out", OLD)
    mixed = []
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads meet in the middle of everything

    def write(index: int) -> None:
        for _ in range(200):
            with Staging(final, force=True) as staging:
                plant(staging.folder, {"edgekit.json": b"%d" % index, "who": b"%d" % index})
                staging.commit()

    def read(_: int) -> None:
        # Through one descriptor, as a reader that keeps its folder while the name moves on.
        for _ in range(1000):
            with contextlib.suppress(FileNotFoundError):
                folder = os.open(final, os.O_RDONLY)
                try:
                    content = [
                        Path(f"/proc/self/fd/{folder}", name).read_bytes()
                        for name in ("edgekit.json", "who")
                    ]
                finally:
                    os.close(folder)
                mixed.extend([content] if len(set(content)) > 1 else [])

    met = run_together(6, lambda index: read(index) if index == 5 else write(index))
    sys.setswitchinterval(usual)
    assert met == [None] * 6
    assert mixed == []
    left = tree(final)
    assert left is not None
    assert left["edgekit.json"] == left["who"]
    assert names(memory) == ["out"]


def test_two_processes_at_once(tmp_path: Path) -> None:
    final = tmp_path / "out"
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                staging_run.write_run(final, force=False)
                status = 0
            except EdgekitError as error:
                status = error.exit_status
            finally:
                os._exit(status)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(ends) == [0, OutputExists.exit_status]
    assert tree(final) == NEW
    assert names(tmp_path) == ["out"]


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root mounts; the file size limit test stands in")
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False)
    if done.returncode:
        pytest.skip("this system does not let us mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("quarters", range(8))
def test_a_disk_that_fills_up(tmp_path: Path, quarters: int) -> None:
    with mounted(tmp_path / "disk", f"size={64 + 16 * quarters}k") as disk:
        plant(disk / "out", OLD)
        free = os.statvfs(disk).f_bavail

        def write() -> None:
            with Staging(disk / "out", force=True) as staging:
                (staging.folder / "model").write_bytes(b"x" * 2**20)

        with pytest.raises(StorageFull, match="No space left") as caught:
            write()
        assert caught.value.exit_status == 74
        assert str(disk / "out") in caught.value.message
        assert tree(disk / "out") == OLD
        assert names(disk) == ["out"]
        assert os.statvfs(disk).f_bavail == free


def test_a_disk_without_room_for_a_folder(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,nr_inodes=3") as disk:
        with pytest.raises(StorageFull), Staging(disk / "a" / "b" / "c" / "out"):
            pytest.fail("entered")
        assert names(disk) == []


def test_a_read_only_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:

        def write() -> None:
            with Staging(disk / "out") as staging:
                # The kernel refuses this while a file is open for writing; none is.
                subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
                staging.commit()

        with pytest.raises(CannotWrite, match="Read-only"):
            write()
        with pytest.raises(CannotWrite, match="Read-only"), Staging(disk / "other"):
            pytest.fail("entered")


def in_child(body: Callable[[], None]) -> int:
    """The exit status of the typed error that ``body`` ends with in a process of its own."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            body()
            status = 0
        except EdgekitError as error:
            status = error.exit_status
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_file_size_limit(tmp_path: Path) -> None:
    final = plant(tmp_path / "out", OLD)

    def body() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        staging_run.write_run(final, force=True)

    assert in_child(body) == StorageFull.exit_status
    assert tree(final) == OLD
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("final", ["out", "deep/er/out"])
def test_a_parent_that_may_not_be_written(tmp_path: Path, final: str) -> None:
    tmp_path.chmod(0o555)

    def body() -> None:
        os.chdir(tmp_path)
        if os.geteuid() == 0:  # root may write everywhere
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        staging_run.write_run(Path(final), force=False)

    assert in_child(body) == CannotWrite.exit_status
    assert names(tmp_path) == []
    tmp_path.chmod(0o755)


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for final in (tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(CannotWrite, match="Not a directory") as caught, Staging(final):
            pytest.fail("entered")
        assert str(final) in caught.value.message
    assert names(tmp_path) == ["file"]


def test_a_denied_read_of_something_else_is_not_called_a_write(tmp_path: Path) -> None:
    error = PermissionError(13, "Permission denied", str(tmp_path / "model" / "config.json"))
    with pytest.raises(PermissionError), Staging(tmp_path / "out"):
        raise error
