"""The error tree: every failure that a user can meet, with a code, an exit status and a hint.

The exit statuses follow sysexits by class of failure; ``docs/errors.md`` is made from this file.
A message says what went wrong and where; the hint says what to do about it.
"""

from __future__ import annotations

from typing import Any, ClassVar


class EdgekitError(Exception):
    """Base of the tree.

    Attributes:
        code: stable name of the failure, for scripts.
        exit_status: what the process exits with.
        hint: what the user can do; the class's own unless given.
        details: JSON-able fields that ``--json`` prints.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 70
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.details = details

    def as_dict(self) -> dict[str, Any]:
        """The failure as one JSON-able record."""
        return {
            "code": self.code,
            "exit_status": self.exit_status,
            "message": self.message,
            "hint": self.hint,
            "details": self.details,
        }


class CheckFailed(EdgekitError):
    """A check ran and did not hold."""

    code = "check-failed"
    exit_status = 1


class ParityFailed(CheckFailed):
    """An artifact's outputs fell below the floor of its scheme at a named hop."""

    code = "parity-failed"


class CoverageFailed(CheckFailed):
    """Too many bytes were left unquantized without anybody asking for it."""

    code = "coverage-failed"


class SizeFailed(CheckFailed):
    """An artifact is larger than the ledger of its weights accounts for."""

    code = "size-failed"


class SpecError(EdgekitError):
    """The request names something that does not exist or contradicts itself."""

    code = "spec"
    exit_status = 64


class InputRefused(EdgekitError):
    """An input was understood and refused: unsafe, corrupt or unusable."""

    code = "input-refused"
    exit_status = 65


class UnsafeInput(InputRefused):
    """Pickle weights, custom code, or a path that leaves its folder."""

    code = "unsafe-input"


class WeightsCorrupt(InputRefused):
    """A weights file is damaged, or does not fit its own config."""

    code = "weights-corrupt"


class BundleCorrupt(InputRefused):
    """A bundle's files do not match its manifest."""

    code = "bundle-corrupt"
    default_hint = "Do not use this bundle: export it again or fetch a clean copy."


class BundleTooNew(InputRefused):
    """The manifest was written by a newer edgekit than this one."""

    code = "bundle-too-new"
    default_hint = "Install a newer edgekit: pip install --upgrade edgekit"


class TextRefused(InputRefused):
    """A text is empty or longer than the model's limit."""

    code = "text-refused"


class InputMissing(EdgekitError):
    """A named file, folder or repository does not exist."""

    code = "input-missing"
    exit_status = 66


class Unavailable(EdgekitError):
    """A tool, an extra or a service that this command needs is not here."""

    code = "unavailable"
    exit_status = 69


class InternalError(EdgekitError):
    """Our bug, or a native crash in a child process."""

    code = "internal"
    exit_status = 70
    default_hint = "This is a bug in edgekit or one of its runtimes; please report it."


class CannotWrite(EdgekitError):
    """The output cannot be written where it was asked for."""

    code = "cannot-write"
    exit_status = 73


class OutputExists(CannotWrite):
    """The output name is taken."""

    code = "output-exists"
    default_hint = "Choose another -o, or pass --force to replace it."


class StorageFull(EdgekitError):
    """The disk is full; nothing was left behind."""

    code = "storage-full"
    exit_status = 74


class TemporaryFailure(EdgekitError):
    """It may work if tried again: a timeout, a lock."""

    code = "temporary"
    exit_status = 75


class PermissionRefused(EdgekitError):
    """Access was denied by the system or by a hub."""

    code = "permission"
    exit_status = 77


class Unsupported(EdgekitError):
    """Not available for this target, runtime or architecture; the hint lists what is."""

    code = "unsupported"
    exit_status = 78


class AdbMissing(Unavailable):
    """The adb program is not on this machine."""

    code = "adb-missing"
    default_hint = (
        "Linux: sudo apt-get install adb; macOS: brew install android-platform-tools; "
        "or pip install 'edgekit[device]'. EDGEKIT_ADB names one elsewhere."
    )


class AdbServerFailed(TemporaryFailure):
    """The adb server did not start, or clashes with another version of adb."""

    code = "adb-server"


class DeviceMissing(Unavailable):
    """No phone is connected, or none with the serial that was asked for."""

    code = "device-missing"


class DeviceAmbiguous(SpecError):
    """Several phones are connected and none was chosen."""

    code = "device-ambiguous"


class DeviceUnauthorized(PermissionRefused):
    """The phone has not allowed this computer to debug it."""

    code = "device-unauthorized"


class DeviceOffline(TemporaryFailure):
    """The phone is connected and does not answer."""

    code = "device-offline"


class DeviceTimeout(TemporaryFailure):
    """A step on the phone took longer than its limit."""

    code = "device-timeout"


class DeviceUnready(TemporaryFailure):
    """The phone is locked, too hot, or low on battery; the message says which."""

    code = "device-unready"


class TransferBroken(TemporaryFailure):
    """A copy to or from the phone broke off, or arrived with other bytes."""

    code = "transfer-broken"


class DeviceStorageFull(StorageFull):
    """The phone's storage is full."""

    code = "device-storage-full"


class DevicePermission(PermissionRefused):
    """The phone refuses this path or command to the shell user."""

    code = "device-permission"


class DeviceReplyRefused(InputRefused):
    """What the phone sent back is not what its protocol allows."""

    code = "device-reply"
    default_hint = (
        "edgekit's own programs never send this: try again, and if it stays, restart the phone."
    )


class RunnerKilled(InternalError):
    """The runner was ended by the phone or crashed; the reason is named where the phone tells."""

    code = "runner-killed"
    default_hint = ""


class RegressionFound(CheckFailed):
    """A measurement is worse than its baseline, outside both runs' spread."""

    code = "regression"


def all_errors() -> list[type[EdgekitError]]:
    """Every class of the tree, parents first, in the order of definition."""
    found: list[type[EdgekitError]] = []

    def walk(cls: type[EdgekitError]) -> None:
        found.append(cls)
        for child in cls.__subclasses__():
            walk(child)

    walk(EdgekitError)
    return found
