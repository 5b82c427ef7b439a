# ruff: noqa: SIM905 (names read best as one line)
"""Writes ``unicode.bin``: what the tokenizers library knows of every character, asked of itself.

Phones carry different versions of Unicode, and so do the parts of the tokenizers library. The
Kotlin tokenizer gives the same ids on all of them because it brings these tables along.

    python -m tests.android.unicode_tables      writes the file anew
"""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

from tests.android import charsmap

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "android-demo/core/src/main/resources/edgekit/core/unicode.bin"
CATEGORIES = (
    "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co"
).split()
BREAKS = "Other CR LF Control Extend ZWJ SpacingMark Prepend L V T LV LVT".split()
FLAGS = (
    "space clean_removed mark_nonspacing combining punctuation numeric word "
    "pattern_space pattern_word pictographic"
).split()
POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
EVERY = "".join(map(chr, POINTS))
Maps = dict[int, str]


def members(pattern: str) -> set[int]:
    """The code points that one class of the library's regular expressions holds."""
    negated = normalizers.Replace(Regex(f"[^{pattern}]"), "")
    return set(map(ord, negated.normalize_str(EVERY)))


def gaps(splitter: pre_tokenizers.PreTokenizer) -> set[int]:
    """The code points that a splitter removes."""
    kept: set[int] = set()
    for _, (start, end) in splitter.pre_tokenize_str(EVERY):
        kept.update(POINTS[start:end])
    return set(POINTS) - kept


def removed(normalizer: normalizers.Normalizer) -> set[int]:
    """The code points that a normalizer takes out of ``x`` + the character."""
    found = set()
    for point in POINTS:
        if normalizer.normalize_str(f"x{chr(point)}") == "x":
            found.add(point)
    return found


def mapped(normalizer: normalizers.Normalizer) -> Maps:
    """What each code point becomes, where that is not itself."""
    line = "\n".join(chr(point) for point in POINTS if point != 10)
    made = normalizer.normalize_str(line).split("\n")
    points = (point for point in POINTS if point != 10)
    return {point: text for point, text in zip(points, made, strict=True) if text != chr(point)}


def numeric() -> set[int]:
    """Rust's ``char::is_numeric``: the splitter alternates, and NUL is no number."""
    pieces = pre_tokenizers.Digits(individual_digits=False).pre_tokenize_str(EVERY)
    found: set[int] = set()
    for _, (start, end) in pieces[1::2]:
        found.update(POINTS[start:end])
    return found


def word() -> set[int]:
    """What ``\\w`` of Rust's regex crate holds: a letter before it stays in the same piece."""
    splitter = pre_tokenizers.Whitespace()
    found = set()
    for first in range(0, len(POINTS), 1 << 16):
        part = POINTS[first : first + (1 << 16)]
        text = "".join(f"\na{chr(point)}" for point in part)
        for _, (start, end) in splitter.pre_tokenize_str(text):
            if start % 3 == 1 and end - start == 2:
                found.add(part[start // 3])
    return found


def combining_classes(nfd: normalizers.Normalizer) -> dict[int, int]:
    """Canonical combining classes, of the characters that the library knows to combine."""
    found = {}
    for point in POINTS:
        char = chr(point)
        if not unicodedata.combining(char):
            continue
        moved_left = nfd.normalize_str(f"a\u0345{char}") != f"a\u0345{char}"
        moved_right = nfd.normalize_str(f"a{char}\u0334") != f"a{char}\u0334"
        if moved_left or moved_right:
            found[point] = unicodedata.combining(char)
    return found


def grapheme_breaks() -> tuple[dict[int, str], set[int]]:
    """Grapheme_Cluster_Break of each code point, and the pictographs."""
    import regex

    found = {}
    for name in BREAKS[1:]:
        held = regex.compile(rf"\p{{GCB={name}}}")
        found.update({point: name for point in POINTS if held.match(chr(point))})
    probe = normalizers.Precompiled(base64.b64decode(charsmap.encoded({"a": "X"})))
    for point in POINTS:
        joined = probe.normalize_str(f"a{chr(point)}") == "X"
        said = found.get(point) in ("Extend", "ZWJ", "SpacingMark")
        if joined and not said:
            found[point] = "Extend"
        elif said and not joined:
            del found[point]
    picture = regex.compile(r"\p{Extended_Pictographic}")
    return found, {point for point in POINTS if picture.match(chr(point))}


def profiles(nfd_maps: Maps) -> dict[int, int]:
    """All properties of each code point, packed: category, break, combining class, flags."""
    bert = {"handle_chinese_chars": False, "lowercase": False}
    category = {}
    for number, name in enumerate(CATEGORIES):
        if name != "Cs":
            category.update(dict.fromkeys(members(rf"\p{{{name}}}"), number))
    breaks, pictures = grapheme_breaks()
    classes = combining_classes(normalizers.NFD())
    strip = removed(normalizers.BertNormalizer(clean_text=False, strip_accents=True, **bert))
    clean = normalizers.BertNormalizer(clean_text=True, strip_accents=False, **bert)
    space = gaps(pre_tokenizers.WhitespaceSplit())
    held = {
        "space": space,
        "clean_removed": removed(clean),
        "mark_nonspacing": strip - nfd_maps.keys(),
        "combining": removed(normalizers.StripAccents()),
        "punctuation": gaps(pre_tokenizers.Punctuation("removed")),
        "numeric": numeric(),
        "word": word(),
        "pattern_space": members(r"\s"),
        "pattern_word": members(r"\w"),
        "pictographic": pictures,
    }
    assert held["space"] == gaps(pre_tokenizers.Whitespace())
    packed = {}
    for point in POINTS:
        bits = sum(1 << n for n, name in enumerate(FLAGS) if point in held[name])
        gcb = BREAKS.index(breaks.get(point, "Other"))
        packed[point] = category[point] | gcb << 5 | classes.get(point, 0) << 9 | bits << 17
    surrogate = CATEGORIES.index("Cs") | BREAKS.index("Control") << 5
    return packed | dict.fromkeys(range(0xD800, 0xE000), surrogate)


def compositions(nfd_maps: Maps) -> Iterator[tuple[int, int, int]]:
    """First, second and composed character of every pair that NFC joins, Hangul left out."""
    nfc = normalizers.NFC()
    for point, parts in sorted(nfd_maps.items()):
        if (
            0xAC00 <= point < 0xD7A4
            or len(parts) < 2
            or nfc.normalize_str(chr(point)) != chr(point)
        ):
            continue
        first = nfc.normalize_str(parts[:-1])
        if len(first) == 1 and nfc.normalize_str(first + parts[-1]) == chr(point):
            yield ord(first), ord(parts[-1]), point


def varint(value: int) -> bytes:
    """LEB128, unsigned."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def packed_maps(maps: Maps) -> bytes:
    """A count, then each code point as the step from the one before, its length, its text."""
    made = varint(len(maps))
    last = 0
    for point, text in sorted(maps.items()):
        made += varint(point - last) + varint(len(text))
        made += b"".join(varint(ord(char)) for char in text)
        last = point
    return made


def packed_profiles(packed: dict[int, int]) -> bytes:
    """Distinct profiles, then runs of code points that share one."""
    distinct = sorted(set(packed.values()))
    number = {value: index for index, value in enumerate(distinct)}
    runs: list[list[int]] = []
    for point in range(0x110000):
        if runs and runs[-1][1] == number[packed[point]]:
            runs[-1][0] += 1
        else:
            runs.append([1, number[packed[point]]])
    made = varint(len(distinct)) + b"".join(map(varint, distinct)) + varint(len(runs))
    return made + b"".join(varint(count) + varint(index) for count, index in runs)


def _without_hangul(maps: Maps) -> Maps:
    return {point: text for point, text in maps.items() if not 0xAC00 <= point < 0xD7A4}


def tables() -> bytes:
    """The whole file; some 30 seconds."""
    nfd_maps = mapped(normalizers.NFD())
    nfkd_maps = mapped(normalizers.NFKD())
    more = {point: text for point, text in nfkd_maps.items() if nfd_maps.get(point) != text}
    pairs = sorted(compositions(nfd_maps))
    made: list[bytes] = [b"EKU1", packed_profiles(profiles(nfd_maps))]
    made += [packed_maps(mapped(normalizers.Lowercase()))]
    made += [packed_maps(_without_hangul(nfd_maps)), packed_maps(_without_hangul(more))]
    made += [varint(len(pairs))]
    made += [varint(value) for pair in pairs for value in pair]
    return b"".join(made)


def main() -> None:
    """Write the file."""
    data = tables()
    TABLES.parent.mkdir(parents=True, exist_ok=True)
    TABLES.write_bytes(data)
    print(f"{TABLES.relative_to(ROOT)}: {len(data)} bytes")


if __name__ == "__main__":
    main()
