"""A headless Chromium that is spoken to over two pipes, in its own protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED = "EDGEKIT_REQUIRE_CHROMIUM"


def program() -> str | None:
    """Where a Chromium is; None without one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Tab:
    """One open page.

    Attributes:
        complaints: errors and warnings of its console, and exceptions.
    """

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = os.fdopen(read, "rb"), os.fdopen(write, "wb")
        self._buffer, self._number, self._session = b"", 0, ""
        self._seen: list[str] = []
        self.complaints: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **words: Any) -> dict[str, Any]:
        """One command and its answer; events in between are looked through."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": words}
        if self._session:
            said["sessionId"] = self._session
        self._write.write(json.dumps(said).encode() + b"\0")
        self._write.flush()
        while True:
            heard = self._next()
            if heard.get("id") == self._number:
                assert "error" not in heard, heard
                answer: dict[str, Any] = heard["result"]
                return answer
            self._note(heard)

    def open(self, page: Path) -> None:
        """Load a file, whole."""
        self._seen.clear()
        self.ask("Page.navigate", url=page.absolute().as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._note(self._next())

    def value(self, expression: str) -> Any:
        """What an expression gives in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """One key, down and up."""
        codes = {"Tab": 9, "Enter": 13}
        words: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **words, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **words)

    def media(self, media: str = "", scheme: str = "light") -> None:
        """Print or screen, dark or light."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self) -> bytes:
        """The whole page as a PNG."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = self._read.read1(1 << 16)  # type: ignore[attr-defined]
            assert more, "the browser is gone"
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\0")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def _note(self, heard: dict[str, Any]) -> None:
        method, words = heard.get("method", ""), heard.get("params", {})
        self._seen.append(method)
        loud = method == "Runtime.consoleAPICalled" and words["type"] in ("error", "warning")
        entry = method == "Log.entryAdded" and words["entry"]["level"] in ("error", "warning")
        if method == "Runtime.exceptionThrown" or loud or entry:
            self.complaints.append(json.dumps(words)[:500])


@contextmanager
def opened(profile: Path, width: int = 1200, height: int = 900) -> Iterator[Tab]:
    """A browser with an empty profile, gone afterwards."""
    found = program()
    assert found is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()

    def move() -> None:
        # The protocol's pipes are descriptors 3 and 4.
        given, taken = os.dup(theirs_in), os.dup(theirs_out)
        os.dup2(given, 3)
        os.dup2(taken, 4)

    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--remote-debugging-pipe", "--no-first-run", "--disable-extensions"),
        *(f"--window-size={width},{height}", f"--user-data-dir={profile}"),
    ]
    process = subprocess.Popen(
        [found, *options],
        preexec_fn=move,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Tab(ours_in, ours_out)
    finally:
        process.kill()
        process.wait()
