import math

import pytest

from edgekit.bundle.canonical import dump_bytes


def test_order_of_keys_does_not_matter() -> None:
    one = dump_bytes({"b": 1, "a": {"d": [1, 2], "c": None}})
    assert one == dump_bytes({"a": {"c": None, "d": [1, 2]}, "b": 1})
    assert one == b'{\n "a": {\n  "c": null,\n  "d": [\n   1,\n   2\n  ]\n },\n "b": 1\n}\n'


def test_text_is_utf8_and_not_escaped() -> None:
    assert dump_bytes({"größe": "🙂"}) == '{\n "größe": "🙂"\n}\n'.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_bytes({"x": [value]})


def test_text_must_be_unicode() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        dump_bytes("\udc80")
