"""JUnit XML: what continuous integration reads. One suite a place, one case a check."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from edgekit.bundle.disk import as_write_errors
from edgekit.errors import CannotWrite, EdgekitError
from edgekit.testing.report import Check, Visit

# What XML 1.0 has no way to write, and lone surrogates.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def require_writable(path: Path) -> None:
    """Refuse a report's name before a long test rather than after it.

    Raises:
        CannotWrite: its folder is missing or not to be written, or the name is a folder's.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise CannotWrite(f"no such folder: {folder}", hint="Make it, or choose another --junit.")
    if path.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise CannotWrite(f"cannot write {path}", hint="Choose another --junit.")


def write(path: Path, bundle: str, visits: Sequence[Visit]) -> None:
    """Write the report; the name never holds half of one.

    Raises:
        CannotWrite: the system refuses it.
        StorageFull: there is no room.
    """
    data = document(bundle, visits)
    with as_write_errors(path):
        with tempfile.NamedTemporaryFile(
            dir=path.absolute().parent, prefix=f".{path.name}.", delete=False
        ) as file:
            file.write(data)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)


def document(bundle: str, visits: Sequence[Visit]) -> bytes:
    """The report as XML.

    Args:
        bundle: the bundle's name.
        visits: what was found, place by place.
    """
    top = ElementTree.Element("testsuites", _attributes(name=f"edgekit test {bundle}"))
    for visit in visits:
        suite = ElementTree.SubElement(top, "testsuite", _suite(visit))
        facts = ElementTree.SubElement(suite, "properties")
        for name, value in _facts(visit).items():
            ElementTree.SubElement(facts, "property", _attributes(name=name, value=value))
        for check in visit.checks:
            _case(suite, bundle, visit, check)
        if visit.error is not None and not any(check.error for check in visit.checks):
            case = ElementTree.SubElement(
                suite, "testcase", _attributes(classname=bundle, name="the phone itself")
            )
            _fault(case, "error", visit.error)
    _total(top)
    ElementTree.indent(top)
    data: bytes = ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _suite(visit: Visit) -> dict[str, str]:
    return _attributes(name=visit.place, hostname=visit.serial or "", time=f"{visit.seconds:.3f}")


def _facts(visit: Visit) -> dict[str, str]:
    plain = {k: v for k, v in visit.environment.items() if isinstance(v, str | int | float)}
    return {"kind": visit.kind, **{name: str(value) for name, value in plain.items()}}


def _case(suite: ElementTree.Element, bundle: str, visit: Visit, check: Check) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        _attributes(
            classname=f"{bundle}.{check.runtime}",
            name=f"{check.artifact} {check.samples} on {visit.place}",
            time=f"{check.seconds:.3f}",
        ),
    )
    if check.skipped:
        ElementTree.SubElement(case, "skipped", _attributes(message=check.skipped))
    elif check.error is not None:
        _fault(case, "failure" if check.status == "failed" else "error", check.error)
    if lines := _figures(check):
        ElementTree.SubElement(case, "system-out").text = _clean("\n".join(lines))


def _fault(case: ElementTree.Element, tag: str, error: EdgekitError) -> None:
    fault = ElementTree.SubElement(case, tag, _attributes(type=error.code, message=error.message))
    fault.text = _clean(f"{error.message}\n{error.hint}".strip())


def _figures(check: Check) -> list[str]:
    lines = []
    if (hop := check.hop) is not None:
        lines.append(
            f"worst cosine {hop.worst_cosine}, mean {hop.mean_cosine}, SNR {hop.snr_db} dB, "
            f"{hop.agreement_kind} {hop.agreement}, own goldens {hop.same_artifact}, "
            f"{hop.samples} samples"
        )
    if (score := check.score) is not None:
        for name, share in (("accuracy", score.accuracy), ("macro F1", score.macro_f1)):
            lines.append(f"{name} {share.value:.4f} [{share.low:.4f}, {share.high:.4f}]")
        lines.append(f"{score.samples} labelled texts")
    return lines


def _total(top: ElementTree.Element) -> None:
    """Count the cases of each suite, and of all."""
    kinds = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    for element in (*top, top):
        for name, tag in kinds.items():
            element.set(name, str(sum(1 for _ in element.iter(tag))))


def _attributes(**texts: str) -> dict[str, str]:
    return {name: _clean(text) for name, text in texts.items()}


def _clean(text: str) -> str:
    """The text without what XML cannot hold: names and texts may come from anywhere."""
    return _NOT_XML.sub("\ufffd", text)
