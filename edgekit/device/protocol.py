"""Drive a runner process: read its JSON lines, bound all that it says, and name how it ended.

Whatever is behind the pipe (this machine, an emulator, a phone) is not trusted: lines, their rate
and the kept part of stderr are bounded, and text is cleaned before it is shown. Events are handed
on and forgotten, so memory stays the same whatever their number.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import (
    CannotWrite,
    EdgekitError,
    InputMissing,
    InputRefused,
    InternalError,
    RunnerKilled,
    SpecError,
    StorageFull,
    TemporaryFailure,
)

PROTOCOL = 3
Event = dict[str, Any]

_LONGEST_LINE = 64 * 1024
# A runner says less than 1 MB a second. More is taken for a while, not for ever.
_MOST_AT_ONCE = 64 * 1024 * 1024
_MOST_A_SECOND = 4 * 1024 * 1024
_STDERR_KEPT = 8 * 1024
# What ``Shell.argv`` has a phone without exit statuses say at the end.
_EXIT = b'{"event":"exit",'
_LOG_HEAD = re.compile(rb"^[A-Z] [\d:.]+ executorch:[^\]]*\] ")

# What ExecuTorch's error numbers mean to someone who has only the .pte in hand.
EXECUTORCH_ERRORS = {
    0x01: ("Internal", "the runtime met a state that it did not expect"),
    0x02: ("InvalidState", "a call came in the wrong order"),
    0x10: ("NotSupported", "a shape or feature that this program was not exported for"),
    0x11: ("NotImplemented", "the runtime has no code for this yet"),
    0x12: ("InvalidArgument", "an input's number, type or shape does not fit the program"),
    0x13: ("InvalidType", "a value has another type than the program says"),
    0x14: ("OperatorMissing", "the program uses an operator that the runner does not have"),
    0x15: ("RegistrationExceedingMaxKernels", "more kernels are linked than the table holds"),
    0x16: ("RegistrationAlreadyRegistered", "a kernel library is linked twice"),
    0x20: ("NotFound", "a method, file or delegate that the program names is not there"),
    0x21: ("MemoryAllocationFailed", "there was not enough memory"),
    0x22: ("AccessFailed", "the program file could not be read"),
    0x23: ("InvalidProgram", "the .pte is damaged, or no .pte at all"),
    0x24: ("InvalidExternalData", "the data file beside the program is damaged"),
    0x25: ("OutOfResources", "a fixed limit of the runtime was reached"),
    0x30: ("DelegateInvalidCompatibility", "made for another version of the delegate"),
    0x31: ("DelegateMemoryAllocationFailed", "not enough memory for the delegate"),
    0x32: ("DelegateInvalidHandle", "the delegate lost its state"),
}

# ONNX Runtime's error codes for a file that is no sound model: there is none, it is no model, it is
# not protobuf, its graph is not valid.
_ONNX_REFUSED = {3, 4, 7, 10}

_CLASSES: dict[str, type[EdgekitError]] = {
    "cores": SpecError,
    "inputs": InputRefused,
    "job": SpecError,
    "missing": InputMissing,
    "model": InputRefused,
    "output": CannotWrite,
    "storage-full": StorageFull,
}


@dataclass
class _Output:
    """What a process has said so far, within bounds."""

    on_event: Callable[[Event], None]
    began: float
    line: bytes = b""
    total: int = 0
    stderr: bytes = b""
    final: Event | None = None

    def stdout(self, data: bytes) -> None:
        self.total += len(data)
        most = _MOST_AT_ONCE + _MOST_A_SECOND * (time.monotonic() - self.began)
        if self.total > most:
            raise InternalError("the runner prints more than 64 MiB at once", malformed=True)
        *lines, self.line = (self.line + data).split(b"\n")
        for line in [*lines, self.line]:
            if len(line) > _LONGEST_LINE:
                raise InternalError(
                    f"the runner printed a line over 64 KiB: {clean(line[:80])}", malformed=True
                )
        for line in lines:
            # A program that was killed in the middle of a line has its shell's words behind it.
            event = parse(line[max(line.rfind(_EXIT), 0) :])
            if event["event"] not in {"heartbeat", "exit"}:
                self.final = event
            self.on_event(event)


def parse(line: bytes) -> Event:
    """One line of the runner's stdout as an event.

    Raises:
        InternalError: the line is not a JSON object with an ``event``.
    """
    try:
        event = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise InternalError(
            f"the runner printed something that is not an event: {clean(line)}", malformed=True
        )
    return event


def clean(data: bytes | str, most: int = 300) -> str:
    """Text from a process, safe to print: one line, no control characters, bounded."""
    text = data[: most * 4].decode("utf-8", "replace") if isinstance(data, bytes) else data
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    return text if len(text) <= most else text[:most] + "…"


def drive(
    command: Sequence[str],
    *,
    where: str,
    cwd: Path,
    timeout: float,
    env: Mapping[str, str] | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    last: str = "done",
    silence: float | None = None,
    explain: Callable[[int, bytes], EdgekitError | None] = lambda status, stderr: None,
) -> Event:
    """Run a runner to its end and return its last event.

    Args:
        command: the program and its arguments; no shell reads them.
        where: where it runs, for messages ("cortex-a76 (qemu)").
        cwd: its working folder.
        timeout: seconds for the whole run.
        env: its whole environment; empty but for the locale unless given.
        on_event: told of each event as it comes.
        last: name of the event that a whole run ends with.
        silence: seconds without a word after which it counts as dead; a runner that lives has a
            heartbeat. None waits for ``timeout`` alone.
        explain: asked why a run ended without ``last`` and without an error of its own, given
            the exit status and the end of stderr; None for what its status says.

    Raises:
        SpecError: the job asks for what the runner or its machine does not have.
        InputRefused: the program or its inputs were refused.
        InputMissing: the program file is not there.
        CannotWrite: the outputs could not be written.
        StorageFull: there was no room for them.
        TemporaryFailure: it took longer than ``timeout``, or fell silent.
        RunnerKilled: a signal ended it.
        InternalError: it failed inside the runtime, or spoke another protocol.
        EdgekitError: what ``explain`` gave.
    """
    began = time.monotonic()
    output = _Output(on_event, began)
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={"LC_ALL": "C"} if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = began + timeout
        _listen(process, output, deadline, silence, where)
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TemporaryFailure(
            f"the runner did not finish within {timeout:.0f} s on {where}",
            hint="Try again on an idle machine, or with fewer samples.",
        ) from None
    finally:
        _end(process)
    if status == 0 and output.final is not None and output.final["event"] == last:
        return output.final
    reported = output.final is not None and output.final["event"] == "error"
    reason = None if reported else explain(status, output.stderr)
    raise reason or _failure(output, status, where)


def _listen(
    process: subprocess.Popen[bytes],
    output: _Output,
    deadline: float,
    silence: float | None,
    where: str,
) -> None:
    """Read both pipes until they close or the deadline passes."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            ready = selector.select(left if silence is None else min(left, silence))
            if not ready and silence is not None and left > silence:
                raise TemporaryFailure(f"the runner said nothing for {silence:.0f} s on {where}")
            for key, _ in ready:
                data = os.read(key.fd, 64 * 1024)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    output.stdout(data)
                else:
                    output.stderr = (output.stderr + data)[-_STDERR_KEPT:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no child behind, whatever happened."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _failure(output: _Output, status: int, where: str) -> EdgekitError:
    said = _last_words(output.stderr)
    if status < 0:
        known = {int(number): number.name for number in signal.Signals}
        name = known.get(-status, f"signal {-status}")
        hint = None
        if name == "SIGILL":
            hint = "The code uses an instruction that this processor does not have."
        return RunnerKilled(
            f"the runner was ended by {name} on {where}{said}", hint=hint, signal=name
        )
    if output.final is not None and output.final["event"] == "error":
        return _reported(output.final, where, said)
    return InternalError(f"the runner ended with status {status} on {where}{said}")


def _reported(event: Event, where: str, said: str) -> EdgekitError:
    """The typed error for an ``error`` event."""
    kind: type[EdgekitError]
    code, status = clean(str(event.get("code", ""))), event.get("status")
    message = f"{clean(str(event.get('message', '')))} (on {where})"
    if code == "onnx" and isinstance(status, int):
        kind = InputRefused if status in _ONNX_REFUSED else InternalError
        return kind(f"{message}{said}", runner_code=code, onnx_status=status)
    if code != "executorch" or not isinstance(status, int):
        kind = _CLASSES.get(code, InternalError)
        return kind(message, runner_code=code)
    name, meaning = EXECUTORCH_ERRORS.get(status, ("unknown", "not in the table of this version"))
    kind = InputRefused if name in {"InvalidProgram", "InvalidExternalData"} else InternalError
    return kind(
        f"{message}: ExecuTorch error 0x{status:02x} {name}, {meaning}{said}",
        runner_code=code,
        executorch_status=status,
    )


def _last_words(stderr: bytes) -> str:
    """The end of stderr in one line: ExecuTorch's reason stands some lines above its last."""
    lines = [_LOG_HEAD.sub(b"", line) for line in stderr.splitlines() if line.strip()]
    words = " | ".join(clean(line, 160) for line in lines[-3:])
    return f"; its last words: {words}" if words else ""
