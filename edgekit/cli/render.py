"""Lays out what the library returns: tables for a person, records for ``--json``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgekit.cli import generation_view
from edgekit.cli.output import Cell, Output
from edgekit.errors import ParityFailed

if TYPE_CHECKING:
    from edgekit.api import Bundle
    from edgekit.bundle.manifest import ArtifactInfo, Dim, HopQuality, Manifest, TensorSpec
    from edgekit.doctor import Diagnosis

NONE = "-"
_TENSORS = 5
STYLES = {"ok": "green", "warning": "yellow", "missing": "bold red", "absent": "dim"}


def size(count: int | None) -> str:
    """Bytes in the unit that fits."""
    if count is None:
        return NONE
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def cosine(value: float) -> str:
    """Six digits, cut and not rounded: 0.9999999 must not read as 1."""
    return f"{math.trunc(value * 1e6) / 1e6:.6f}"


def artifacts(output: Output, manifest: Manifest) -> None:
    """The table that an export ends with."""
    output.table(
        [
            "artifact",
            "scheme",
            "delegate",
            "size",
            "% of fp32",
            "worst cosine",
            "delegated",
            "planned memory",
        ],
        [_artifact(artifact, manifest) for artifact in manifest.artifacts],
        right=(3, 4, 5, 6, 7),
    )


def _artifact(artifact: ArtifactInfo, manifest: Manifest) -> list[Cell]:
    cosines = [hop.worst_cosine for hop in manifest.quality if hop.artifact == artifact.file]
    share = None if artifact.delegation is None else artifact.delegation.share
    return [
        artifact.file,
        artifact.scheme,
        artifact.delegate,
        size(artifact.bytes),
        f"{artifact.bytes / artifact.fp32_bytes:.1%}" if artifact.fp32_bytes else NONE,
        cosine(min(cosines)) if cosines else NONE,
        NONE if share is None else f"{share:.1%}",
        size(artifact.planned_memory),
    ]


def hops(output: Output, rows: Iterable[HopQuality | Mapping[str, Any]]) -> None:
    """One row a hop of the parity ladder; a failure's details carry them as mappings.

    Cosines are against the eager model; ``goldens`` is the worst one against what the same file
    gave where it was made.
    """
    records = [row if isinstance(row, Mapping) else row.model_dump() for row in rows]
    if not records:
        return
    if any(record.get("tokens") for record in records):
        generation_view.hops(output, records, [_verdict(record) for record in records])
        return
    output.table(
        [
            "hop",
            "artifact",
            "samples",
            "worst",
            "mean",
            "goldens",
            "SNR dB",
            "same answer",
            "verdict",
        ],
        [_hop(record) for record in records],
        right=(2, 3, 4, 5, 6, 7),
    )


@contextmanager
def failed_hops_shown(output: Output) -> Iterator[None]:
    """Print the ladder when a hop misses its floor: the figures are the result asked for."""
    try:
        yield
    except ParityFailed as failure:
        if not output.as_json:
            hops(output, failure.details.get("hops", ()))
        raise


def _hop(hop: Mapping[str, Any]) -> list[Cell]:
    same = hop.get("same_artifact")
    return [
        str(hop["hop"]),
        str(hop["artifact"]),
        str(hop["samples"]),
        cosine(hop["worst_cosine"]),
        cosine(hop["mean_cosine"]),
        NONE if same is None else cosine(same),
        "identical" if hop["snr_db"] is None else f"{hop['snr_db']:.1f}",
        f"{hop['agreement']:.1%}",
        _verdict(hop),
    ]


def _verdict(hop: Mapping[str, Any]) -> Cell:
    if not hop["passed"]:
        return "FAILED", "bold red"
    return ("ok", "green") if hop["floor_worst"] is not None else ("no floor", "dim")


def contents(output: Output, bundle: Bundle) -> None:
    """Everything in a bundle, for reading."""
    manifest = bundle.manifest
    base = manifest.base_model
    revision = f" at {base.revision}" if base.revision else ""
    facts = {
        "name": manifest.name,
        "task": manifest.task,
        "target": manifest.target,
        "certified": "yes" if manifest.certified else "NO: a quality floor was missed",
        "base model": f"{base.id}{revision} ({base.source})",
        "weights": f"sha256 {base.weights_sha256}",
        "family": manifest.family,
        "licence": manifest.licence or "not stated by the base model",
        "labels": ", ".join(manifest.labels) if manifest.labels else "",
        **_signatures(manifest),
        "length": f"{manifest.limits.min_length} to {manifest.limits.max_length} tokens",
        "vocabulary": f"{manifest.limits.vocabulary} tokens",
        "tokenizer": _tokenizer(manifest),
        "goldens": f"{manifest.goldens.count} samples",
        "made with": ", ".join(f"{k} {v}" for k, v in sorted(manifest.toolchain.items())),
    }
    if manifest.generation is not None:
        facts |= {"length": "", **generation_view.facts(manifest.generation)}
    output.table(["", ""], [[name, fact] for name, fact in facts.items() if fact])
    artifacts(output, manifest)
    _left_outside(output, manifest.artifacts)
    _quantized(output, manifest.artifacts)
    hops(output, manifest.quality)
    output.table(
        ["file", "size", "sha256"],
        [[entry.path, size(entry.bytes), entry.sha256] for entry in manifest.files],
        right=(1,),
    )
    total = sum(entry.bytes for entry in manifest.files)
    output.text(f"{len(manifest.files)} files, {size(total)}; all match the manifest.")


def _signatures(manifest: Manifest) -> dict[str, str]:
    """Inputs and outputs; by artifact where they differ. Of many caches the first is shown."""
    differ = any(artifact.signature for artifact in manifest.artifacts)
    found: dict[str, str] = {}
    for artifact in manifest.artifacts if differ else manifest.artifacts[:1]:
        signature = manifest.signature_of(artifact)
        of = f" of {artifact.file}" if differ else ""
        for kind, specs in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            more = f"; and {len(specs) - _TENSORS} more" if len(specs) > _TENSORS else ""
            found[kind + of] = "; ".join(_tensor(spec) for spec in specs[:_TENSORS]) + more
    return found


def _tensor(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype}[{', '.join(_dim(dim) for dim in spec.dims)}]"


def _dim(dim: Dim) -> str:
    fixed = dim.minimum == dim.maximum
    return str(dim.minimum) if fixed else f"{dim.name}={dim.minimum}..{dim.maximum}"


def _tokenizer(manifest: Manifest) -> str:
    tokenizer = manifest.tokenizer
    where = "runs on the device" if tokenizer.on_device else "not on the device"
    reason = f" ({tokenizer.on_device_reason})" if tokenizer.on_device_reason else ""
    return f"{tokenizer.kind}, {where}{reason}"


def _left_outside(output: Output, infos: Sequence[ArtifactInfo]) -> None:
    """Operators that a delegate did not take, with the reason."""
    rows = [
        [info.file, name, str(count), info.delegation.reasons.get(name, "")]
        for info in infos
        if info.delegation is not None and info.delegation.calls
        for name, count in info.delegation.left.items()
    ]
    if rows:
        output.table(["artifact", "outside the delegate", "count", "why"], rows, right=(2,))


def _quantized(output: Output, infos: Sequence[ArtifactInfo]) -> None:
    rows = [
        [
            info.file,
            group.kind,
            group.scheme,
            str(group.tensors),
            size(group.bytes_before),
            size(group.bytes_after),
            group.reason,
        ]
        for info in infos
        for group in info.quantization
    ]
    if rows:
        columns = ["artifact", "tensors", "scheme", "count", "before", "after", "why"]
        output.table(columns, rows, right=(3, 4, 5))


def bundle_record(bundle: Bundle) -> dict[str, Any]:
    """A bundle for ``--json``: where it is and its whole manifest."""
    return {"bundle": str(bundle.path), "manifest": bundle.manifest.model_dump(mode="json")}


def verdict_record(bundle: Bundle, rows: Sequence[HopQuality]) -> dict[str, Any]:
    """A verification for ``--json``."""
    return {
        "bundle": str(bundle.path),
        "verified": True,
        "files": len(bundle.manifest.files),
        "hops": [row.model_dump(mode="json") for row in rows],
    }


def run_example(bundle: Bundle) -> str:
    """A command that runs the bundle on a text that fits its task."""
    if bundle.generates and bundle.manifest.generation is not None:
        chat = bundle.manifest.generation.chat_template is not None
        return f"edgekit run {shlex.quote(str(bundle.path))} " + (
            "--chat" if chat else "'Once upon a time'"
        )
    text = "A sentence of your own."
    if bundle.manifest.task == "fill-mask":
        text = f"The weather is {bundle.mask_token} today."
    return f"edgekit run {shlex.quote(str(bundle.path))} {shlex.quote(text)}"


def diagnosis(output: Output, found: Diagnosis) -> None:
    """What doctor saw, then the commands that mend it, then the verdict."""
    rows: list[list[Cell]] = []
    group = ""
    for check in found.checks:
        first = "" if check.group == group else check.group
        group = check.group
        status = (check.status, STYLES[check.status])
        rows.append([first, check.name, status, check.found, check.wanted])
    output.table(["", "what", "status", "found", "wanted"], rows)
    troubles = [check for check in found.checks if check.fix and check.status != "absent"]
    choices = [check for check in found.checks if check.fix and check.status == "absent"]
    for heading, checks in (("to mend:", troubles), ("optional:", choices)):
        if checks:
            output.text(heading)
        for check in checks:
            output.text(f"  {check.name}: {check.fix}")
    if found.can_export:
        output.text("edgekit export can run here.")
    else:
        names = ", ".join(check.name for check in found.blockers)
        output.text(f"edgekit export cannot run here: {names} missing.")
