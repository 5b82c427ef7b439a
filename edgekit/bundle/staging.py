"""Write a folder so that its final name never holds half of it.

Files go to a temporary sibling, are flushed to the disk, and take the final name in one rename. A
run that fails, is interrupted or is killed leaves the previous folder as it was.

Example:
    with Staging(Path("out/bundle")) as staging:
        (staging.folder / "model.pte").write_bytes(program)
        staging.commit()
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from edgekit.bundle.disk import (
    FULL,
    REFUSED,
    as_write_errors,
    flush_folder,
    flush_tree,
    require_space,
    write_error,
)
from edgekit.bundle.leftovers import (
    displaced_folder,
    lock,
    new_token,
    settle,
    sweep,
    working_folder,
)
from edgekit.bundle.rename import exchange, rename_new
from edgekit.errors import CannotWrite, OutputExists

__all__ = ["Staging", "require_space"]

BUNDLE_MARKER = "edgekit.json"  # manifest.MANIFEST_NAME, without the weight of pydantic
_ATTEMPTS = 100
_log = logging.getLogger(__name__)


class Staging:
    """A folder in the making. Leaving the block without ``commit`` removes it.

    Attributes:
        final: the name that the folder gets, absolute.
        folder: where to write until then.
    """

    def __init__(self, final: Path, force: bool = False, marker: str = BUNDLE_MARKER) -> None:
        """Plan only; nothing is touched before the block is entered.

        Args:
            final: the name to take. Missing parents are made.
            force: replace a folder of the same kind that has the name; anything else is refused.
            marker: the file that every folder of this kind holds and no other does.

        Raises:
            CannotWrite: no folder can have that name.
        """
        self.final = Path(os.path.abspath(final))
        if not self.final.name or "\0" in str(self.final):
            raise CannotWrite(f"{str(final)!r} is no name for a new folder")
        self.folder = working_folder(self.final, "unset")
        self._force = force
        self._marker = marker
        self._token = ""
        self._lock: int | None = None
        self._made_parents: list[Path] = []
        self._committed = False

    def __enter__(self) -> Self:
        """Make the temporary folder.

        Raises:
            OutputExists: the name is taken and ``force`` was not given.
            CannotWrite: the place refuses, or holds something that may not be replaced.
            StorageFull: there is no room for a folder.
        """
        try:
            with as_write_errors(self.final):
                sweep(self.final)
                self._check_name()
                self._make_folder()
        except BaseException:
            self._clean_up()
            raise
        return self

    def commit(self) -> None:
        """Flush everything to the disk and give the folder its final name, in one step.

        With ``force`` the previous folder is whole until that step and removed after it.

        Raises:
            OutputExists: another run took the name meanwhile.
            CannotWrite: the system refused.
            StorageFull: the disk filled up while flushing.
        """
        with as_write_errors(self.final):
            flush_tree(self.folder)
            for _ in range(_ATTEMPTS):
                replacing = self._check_name()
                if self._replace() if replacing else self._take_free_name():
                    break
            else:
                raise CannotWrite(
                    f"{self.final} keeps changing under other runs",
                    hint="Try again when they are done.",
                )
            self._committed = True
            for path in (self.final, *reversed(self._made_parents)):
                flush_folder(path.parent)
        self._remove_previous()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what is temporary; name the failures of the disk.

        Raises:
            StorageFull: the block met a full disk or a file size limit.
            CannotWrite: the block was refused a write under the folder.
        """
        self._clean_up()
        if isinstance(error, OSError) and self._is_ours(error):
            raise write_error(error, self.final) from error

    def _check_name(self) -> bool:
        """True when a folder that may be replaced has the name, False when it is free."""
        for _ in range(_ATTEMPTS):
            try:
                before = self.final.lstat()
                if not self._force:
                    raise OutputExists(f"{self.final} already exists", path=str(self.final))
                reason = _not_ours(self.final, self._marker)
                if not reason:
                    return True
                # Another run may have swapped the folder away while we looked into it.
                if os.path.samestat(before, self.final.lstat()):
                    break
            except FileNotFoundError:
                return False
        raise CannotWrite(
            f"{self.final} will not be replaced: {reason}",
            hint="Choose another -o, or move it away yourself.",
            path=str(self.final),
        )

    def _make_folder(self) -> None:
        for _ in range(_ATTEMPTS):
            token = new_token()
            self.folder = working_folder(self.final, token)
            self._token = token
            # Another run that failed may remove the parents that both of us needed.
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                self._make_parents()
                self.folder.mkdir()
                if self._hold_folder():
                    return
        raise CannotWrite(f"cannot make a folder beside {self.final}", path=str(self.final))

    def _hold_folder(self) -> bool:
        """False when another run's sweep took the folder between its making and our lock."""
        try:
            self._lock = lock(self.folder)
        except OSError:
            return True  # no locks here: sweeps leave alone what they cannot lock
        return self._lock is not None

    def _make_parents(self) -> None:
        missing = []
        parent = self.final.parent
        while not parent.exists():
            missing.append(parent)
            parent = parent.parent
        for path in reversed(missing):
            self._made_parents.append(path)
            try:
                path.mkdir()
            except FileExistsError:
                self._made_parents.remove(path)

    def _take_free_name(self) -> bool:
        try:
            rename_new(self.folder, self.final)
        except FileExistsError:
            return False
        return True

    def _replace(self) -> bool:
        try:
            if exchange(self.folder, self.final):
                return True
        except FileNotFoundError:
            if self.folder.exists():
                return False  # the previous one went away by itself
            raise
        return self._replace_in_two_steps()

    def _replace_in_two_steps(self) -> bool:
        previous: int | None = None
        with contextlib.suppress(OSError):
            previous = lock(self.final)
        displaced = displaced_folder(self.final, self._token)
        try:
            # A kill between these renames is mended by the next run's sweep.
            os.rename(self.final, displaced)
            if self._take_free_name():
                with contextlib.suppress(FileNotFoundError):  # swept by another run
                    os.rename(displaced, self.folder)  # as an exchange leaves it
                return True
            settle(displaced, self.final, working_folder(self.final, new_token()))
            return False
        except FileNotFoundError:
            if self.folder.is_dir():
                return False  # another run displaced it first
            raise
        finally:
            if previous is not None:
                os.close(previous)

    def _remove_previous(self) -> None:
        # After an exchange the temporary name holds the previous folder.
        shutil.rmtree(self.folder, ignore_errors=True)
        if os.path.lexists(self.folder):
            _log.warning("the previous output could not be removed: %s", self.folder)

    def _clean_up(self) -> None:
        if self._token:
            shutil.rmtree(self.folder, ignore_errors=True)
            displaced = displaced_folder(self.final, self._token)
            settle(displaced, self.final, self.folder)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if not self._committed:
            for path in reversed(self._made_parents):
                with contextlib.suppress(OSError):
                    path.rmdir()

    def _is_ours(self, error: OSError) -> bool:
        named = (error.filename, error.filename2)
        given = [name for name in named if isinstance(name, str | bytes | os.PathLike)]
        places = [Path(os.path.abspath(os.fsdecode(name))) for name in given]
        if error.errno in FULL:
            return not places or any(p.is_relative_to(self.final.parent) for p in places)
        # A sibling that cannot be read is no matter of ours, even under the same parent.
        return error.errno in REFUSED and any(
            place.is_relative_to(self.folder) or place in (self.final, self.final.parent)
            for place in places
        )


def _not_ours(path: Path, marker: str) -> str:
    """Why a path is not a folder that may be replaced; empty when it is one."""
    if path.is_symlink() or not path.is_dir():
        return "it is not a folder"
    if not (path / marker).is_file():
        return f"it holds no {marker}, so this command did not write it"
    return ""
