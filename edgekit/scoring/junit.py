"""JUnit XML of an evaluation: one suite a contestant, one case a gate, and one for its outputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

# What XML 1.0 has no way to write, and lone surrogates.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(found: Mapping[str, Any], gates: Sequence[Mapping[str, Any]]) -> bytes:
    """The report as XML.

    Args:
        found: an evaluation's document.
        gates: what ``gates.judged`` gave.
    """
    top = ElementTree.Element("testsuites", {"name": "edgekit eval"})
    for one in found["contestants"]:
        suite = ElementTree.SubElement(top, "testsuite", {"name": _clean(one["name"])})
        broken = one["not_finite"]["count"]
        case = _case(suite, one, "finite outputs")
        if broken:
            _failure(case, f"{broken} rows have outputs that are not finite numbers")
        ElementTree.SubElement(case, "system-out").text = _clean(_figures(one))
        for gate in gates:
            if gate["contestant"] == one["name"]:
                case = _case(suite, one, gate["gate"])
                if not gate["passed"]:
                    _failure(case, f"{gate['gate']}: found {gate['found']}")
    for element in (*top, top):
        element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
        element.set("failures", str(sum(1 for _ in element.iter("failure"))))
    ElementTree.indent(top)
    data: bytes = ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _case(suite: ElementTree.Element, one: Mapping[str, Any], name: str) -> ElementTree.Element:
    words = {"classname": _clean(one["name"]), "name": _clean(name)}
    return ElementTree.SubElement(suite, "testcase", words)


def _failure(case: ElementTree.Element, message: str) -> None:
    ElementTree.SubElement(case, "failure", {"message": _clean(message)})


def _figures(one: Mapping[str, Any]) -> str:
    return "\n".join(
        f"{figure['metric']} {figure['value']} [{figure['low']}, {figure['high']}]"
        for figure in one["figures"]
    )


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", str(text))
