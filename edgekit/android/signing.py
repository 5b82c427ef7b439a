"""The signature schemes of an APK, and whether its bytes are those that were signed.

The digests are computed anew over the whole file, so any changed byte is found. Whether the key is
one to be trusted is for the phone and the store to say: a debug key signs itself.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from edgekit.android.apk import Apk
from edgekit.errors import InputRefused

SCHEMES = {0x7109871A: "v2", 0xF05368C0: "v3", 0x1B93AD61: "v3.1"}

_CHUNK = 1 << 20
_HASHES = {
    0x0101: "sha256",
    0x0102: "sha512",
    0x0103: "sha256",
    0x0104: "sha512",
    0x0201: "sha256",
    0x0202: "sha512",
    0x0301: "sha256",
}


def schemes(apk: Apk) -> tuple[str, ...]:
    """The schemes that the file is signed with, oldest first."""
    return tuple(name for number, name in SCHEMES.items() if number in apk.signing)


def problem(apk: Apk) -> str:
    """What is wrong with the signed digests; empty where the file is what was signed."""
    checked = 0
    for number in SCHEMES:
        if number not in apk.signing:
            continue
        try:
            wanted = _digests(apk.signing[number])
        except (struct.error, InputRefused):
            return f"its {SCHEMES[number]} block cannot be read"
        for algorithm, digest in wanted:
            if algorithm in _HASHES:
                checked += 1
                if _content_digest(apk, _HASHES[algorithm]) != digest:
                    return f"it was changed after it was signed ({SCHEMES[number]})"
    return "" if checked else "no signature of scheme v2 or newer that can be checked"


def _digests(block: bytes) -> list[tuple[int, bytes]]:
    """``(algorithm, digest)`` of the first signer."""
    (signers,) = _parts(block, 1)
    (signer,) = _parts(signers, 1)
    (signed,) = _parts(signer, 1)
    (digests,) = _parts(signed, 1)
    found = []
    while digests:
        (one,) = _parts(digests, 1)
        digests = digests[4 + len(one) :]
        (value,) = _parts(one[4:], 1)
        found.append((struct.unpack_from("<I", one)[0], value))
    return found


def _parts(data: bytes, count: int) -> Iterator[bytes]:
    for _ in range(count):
        (length,) = struct.unpack_from("<I", data)
        if length > len(data) - 4:
            raise InputRefused("a length beyond the block")
        yield data[4 : 4 + length]
        data = data[4 + length :]


def _content_digest(apk: Apk, name: str) -> bytes:
    """Of three sections in chunks: files, directory, and the end as it was before signing."""
    end = bytearray(apk.end)
    struct.pack_into("<I", end, 16, apk.signing_at)
    digests = []
    with apk.path.open("rb") as file:
        for begin, length in ((0, apk.signing_at), (apk.directory, apk.directory_bytes)):
            file.seek(begin)
            while length:
                chunk = file.read(min(_CHUNK, length))
                if not chunk:
                    raise InputRefused(f"{apk.path} ended while it was read")
                length -= len(chunk)
                digests.append(_chunk(name, chunk))
    digests += [_chunk(name, bytes(end[i : i + _CHUNK])) for i in range(0, len(end), _CHUNK)]
    top = hashlib.new(name, b"\x5a" + struct.pack("<I", len(digests)))
    top.update(b"".join(digests))
    return top.digest()


def _chunk(name: str, chunk: bytes) -> bytes:
    digest = hashlib.new(name, b"\xa5" + struct.pack("<I", len(chunk)))
    digest.update(chunk)
    return digest.digest()
