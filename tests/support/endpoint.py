"""A server on loopback that speaks the chat protocol of OpenAI, and fails when it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[list[dict[str, str]]], str]


class Endpoint:
    """What the server does next, and what it was asked.

    Attributes:
        url: base URL for a client.
        faults: names of faults, one taken for each request: ``ok``, ``401``, ``403``, ``404``,
            ``400``, ``429``, ``429-wait``, ``500``, ``malformed``, ``no-choices``, ``no-content``,
            ``truncated``, ``hang``, ``length``, ``surrogate``, ``large``, ``echo-key``.
        asked: the body of each request.
        keys: the Authorization header of each request.
        times: when each came.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.faults: list[str] = []
        self.always: str | None = None
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.times: list[float] = []
        self.url = ""
        self.stopped = threading.Event()

    def fault(self) -> str:
        if self.always:
            return self.always
        return self.faults.pop(0) if self.faults else "ok"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        endpoint = self.server.endpoint
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))))
        endpoint.times.append(time.monotonic())
        endpoint.asked.append(body)
        endpoint.keys.append(self.headers.get("authorization"))
        fault = endpoint.fault()
        if fault[0].isdigit() or fault == "echo-key":
            self._status(fault)
        else:
            self._answer(fault, body)

    def _status(self, fault: str) -> None:
        status = 400 if fault == "echo-key" else int(fault[:3])
        # As some servers do: the key comes back in the refusal.
        said = f"refused for {self.headers.get('authorization')}"
        more = {"retry-after": "0.6"} if fault == "429-wait" else {}
        self._send(status, json.dumps({"error": {"message": said}}).encode(), more)

    def _answer(self, fault: str, body: dict[str, Any]) -> None:
        endpoint = self.server.endpoint
        if fault == "hang":
            endpoint.stopped.wait(20)
        special = {"large": "x" * (9 << 20), "surrogate": "half \ud800 a pair", "no-content": None}
        text = special[fault] if fault in special else endpoint.answer(body["messages"])
        choice = {
            "index": 0,
            "finish_reason": "length" if fault == "length" else "stop",
            "message": {"role": "assistant", "content": text},
        }
        reply = {
            "id": "1",
            "object": "chat.completion",
            "choices": [] if fault == "no-choices" else [choice],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        }
        raw = b"{ no json" if fault == "malformed" else json.dumps(reply).encode()
        if fault == "truncated":
            self._send(200, raw[: len(raw) // 2], {"content-length": str(len(raw))})
            self.close_connection = True
            return
        self._send(200, raw, {})

    def _send(self, status: int, raw: bytes, more: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        for name, value in ({"content-length": str(len(raw))} | more).items():
            self.send_header(name, value)
        self.end_headers()
        # Who was killed, or has waited long enough, reads no more.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.endpoint = endpoint


@contextmanager
def serving(answer: Answer) -> Iterator[Endpoint]:
    """An endpoint on a free port of loopback while the block runs."""
    endpoint = Endpoint(answer)
    server = _Server(endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield endpoint
    finally:
        endpoint.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
