"""A teacher behind an OpenAI-compatible endpoint. Its key is read, used, and told to nobody.

Nothing that the server or the client says is passed on unread: servers quote the key in their
refusals. What is passed on has the key taken out.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from edgekit.errors import (
    EdgekitError,
    InputMissing,
    InputRefused,
    PermissionRefused,
    SpecError,
    TemporaryFailure,
    Unavailable,
)
from edgekit_converters.teach.options import Options
from edgekit_converters.teach.teachers import Answered

_LARGEST_REPLY = 8 * 1024 * 1024
_LONGEST_PAUSE = 120.0
_FIRST_PAUSE = 0.5
_CHARACTERS_A_TOKEN = 4  # of English text, by and large
_AGAIN = (408, 409, 425, 429)

Tell = Callable[[str], None]


class _Failed(Exception):
    """An attempt that may work if it is made again."""

    def __init__(self, reason: str, after: float | None = None, refused: bool = False) -> None:
        super().__init__(reason)
        self.after = after
        self.refused = refused


class EndpointTeacher:
    """See ``Teacher``."""

    exact = False

    def __init__(self, options: Options, tell: Tell) -> None:
        """Check the address; nothing is asked yet.

        Args:
            options: endpoint, model, key_env, retries, timeout and sampling.
            tell: given a line when an attempt failed.

        Raises:
            SpecError: no usable address, or a key that would travel in clear.
        """
        from openai import OpenAI

        self._options = options
        self._tell = tell
        self._key = os.environ.get(options.key_env, "").strip()
        self._host = _checked(options.endpoint or "", bool(self._key), options.key_env)
        self._client = OpenAI(
            base_url=options.endpoint,
            api_key=self._key or "none",
            timeout=options.timeout,
            max_retries=0,  # counted and paced here
        )
        self.identity = f"{options.endpoint} {options.model}"

    def ask(self, messages: list[dict[str, str]], seed: int) -> Answered:
        """Ask until there is an answer or the attempts are used up.

        Raises:
            PermissionRefused: 401 or 403.
            InputMissing: the endpoint has no such model or path.
            InputRefused: it refuses the question.
            Unavailable: nothing listens there.
            TemporaryFailure: too many attempts failed; what was paid for is kept.
        """
        attempts = self._options.retries + 1
        for attempt in range(attempts):
            try:
                return self._attempt(messages, seed)
            except _Failed as failure:
                reason = self._clean(str(failure))
                if attempt + 1 == attempts:
                    raise self._given_up(failure, reason, attempts) from None
                pause = _pause(attempt, failure.after)
                self._tell(f"{self._host}: {reason}; asking again in {pause:.1f} s")
                time.sleep(pause)
        raise AssertionError("unreachable")  # pragma: no cover

    def count(self, messages: list[dict[str, str]]) -> int:
        """An estimate: every model counts with a tokenizer of its own."""
        characters = sum(len(message["content"]) for message in messages)
        return characters // _CHARACTERS_A_TOKEN + 4 * len(messages)

    def _attempt(self, messages: list[dict[str, str]], seed: int) -> Answered:
        import openai

        told = self._options
        try:
            with self._client.chat.completions.with_streaming_response.create(
                model=told.model or "",
                messages=messages,  # type: ignore[arg-type]
                temperature=told.temperature,
                max_tokens=told.max_tokens,
                seed=seed,
            ) as reply:
                return _read(self._body(reply))
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except openai.APITimeoutError:
            raise _Failed(f"no answer within {told.timeout:g} s") from None
        except openai.APIConnectionError as error:
            cause = type(error.__cause__ or error).__name__
            raise _Failed(f"no connection ({cause})", refused=cause == "ConnectError") from None
        except (openai.OpenAIError, OSError) as error:
            raise _Failed(f"the reply broke off ({type(error).__name__})") from None

    def _body(self, reply: Any) -> bytes:
        """All of a reply, within bounds of size and time."""
        deadline = time.monotonic() + self._options.timeout
        parts: list[bytes] = []
        size = 0
        try:
            for part in reply.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > _LARGEST_REPLY:
                    raise _Failed(f"the reply is larger than {_LARGEST_REPLY} bytes")
                if time.monotonic() > deadline:
                    raise _Failed(f"no whole answer within {self._options.timeout:g} s")
        except _Failed:
            raise
        except Exception as error:  # of whichever HTTP library the client was built on
            name = type(error).__name__
            late = f"no answer within {self._options.timeout:g} s"
            raise _Failed(late if "Timeout" in name else f"the reply broke off ({name})") from None
        return b"".join(parts)

    def _refused(self, error: Any) -> Exception:
        status = int(error.status_code)
        if status == 401:
            how = "the key in" if self._key else "no key: set"
            return PermissionRefused(
                f"{self._host} refuses {how} {self._options.key_env}",
                hint=f"Put a valid key into the environment variable {self._options.key_env}.",
            )
        if status == 403:
            return PermissionRefused(
                f"{self._host} does not let this key use {self._options.model}",
                hint="Choose another --model, or ask for access.",
            )
        if status == 404:
            return InputMissing(
                f"{self._host} has no model {self._options.model!r}, or no API at this path",
                hint="Check --model, and that --endpoint ends as its documentation says (/v1).",
            )
        if status in _AGAIN or status >= 500:
            word = "too many questions" if status == 429 else "it failed"
            return _Failed(f"{word} (status {status})", _retry_after(error))
        return InputRefused(
            f"{self._host} refuses the question (status {status}): "
            f"{self._clean(str(error.message))[:300]}",
            hint="Check --model, --max-tokens and the length of the prompt.",
        )

    def _given_up(self, failure: _Failed, reason: str, attempts: int) -> EdgekitError:
        if failure.refused:
            return Unavailable(
                f"nothing answers at {self._host}: {reason}, {attempts} times",
                hint="Start the server, or check --endpoint.",
            )
        return TemporaryFailure(
            f"{self._host}: {reason}; given up after {attempts} attempts",
            hint="Give the same command again later: answers that were paid for are kept.",
        )

    def _clean(self, text: str) -> str:
        """A server's words without the key, also where it shows only its ends."""
        if self._key:
            text = text.replace(self._key, "***")
            words = (word.strip(".,:;'\"") for word in text.split())
            for word in sorted(words, key=len, reverse=True):
                if len(word) > 4 and (word[:4] == self._key[:4] or word[-4:] == self._key[-4:]):
                    text = text.replace(word, "***")
        return text


def _checked(endpoint: str, has_key: bool, key_env: str) -> str:
    """The endpoint's host and port.

    Raises:
        SpecError: no http address, one with a password in it, or a key without encryption.
    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise SpecError(
            f"{endpoint[:80]!r} is no address of an endpoint",
            hint="For example http://127.0.0.1:8000/v1",
        )
    if parts.username or parts.password:
        raise SpecError(
            f"the address of {host} has a user or a password in it, which would be recorded",
            hint=f"Put the key into the environment variable {key_env}.",
        )
    if parts.scheme == "http" and has_key and not _loopback(host):
        raise SpecError(
            f"the key in {key_env} would travel to {host} without encryption",
            hint=f"Use https, or unset {key_env}.",
        )
    return f"{host}:{port}" if port else host


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(body: bytes) -> Answered:
    """The answer in a reply.

    Raises:
        _Failed: the reply is not what the protocol says.
    """
    try:
        reply = json.loads(body)
        choice = reply["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
        usage = reply.get("usage") or {}
        tokens = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, RecursionError):
        raise _Failed("the reply is not JSON") from None
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _Failed("the reply has no answer in it") from None
    if text is None and reason == "content_filter":
        text = ""
    if not isinstance(text, str):
        raise _Failed("the reply has no answer in it")
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Answered(text, tokens[0], tokens[1], reason in ("stop", None, "eos"))


def _retry_after(error: Any) -> float | None:
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "")))
    except (AttributeError, ValueError):
        return None


def _pause(attempt: int, asked: float | None) -> float:
    """What the server asks for, else twice as long each time; never all clients at once."""
    wait = _FIRST_PAUSE * 2**attempt * random.uniform(0.75, 1.25)
    return min(wait if asked is None else max(asked, 0.05), _LONGEST_PAUSE)
