"""What an export is asked for, checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.errors import SpecError, Unsupported
from edgekit.targets import Target, target
from edgekit.tasks import task as task_meaning

SCHEMES = {"none": "fp32", "int8": "int8"}


@dataclass(frozen=True)
class Request:
    """A consistent request.

    Attributes:
        target: what it is for.
        delegates: delegate by runtime, in the order of lowering.
        scheme: ``fp32`` or ``int8``.
        static: one fixed length with a padding mask, for a delegate without dynamic shapes.
        task: a task's name, or ``auto``.
    """

    target: Target
    delegates: dict[str, str]
    scheme: str
    static: bool
    task: str


def check(
    target_name: str,
    task: str,
    runtimes: Sequence[str] | None,
    quantize: str | None,
    delegate: str | None,
) -> Request:
    """Settle defaults and refuse contradictions.

    Raises:
        SpecError: an unknown target, task, runtime, scheme or delegate.
        Unsupported: names that exist but do not go together.
    """
    found = target(target_name)
    if task != "auto":
        task_meaning(task)
    nnapi = delegate == "nnapi"
    # NNAPI exists for ONNX alone; asked for nothing else, that is what is meant.
    chosen = list(runtimes) if runtimes else ["onnx"] if nnapi else list(found.runtimes)
    for name in chosen:
        if name not in found.runtimes:
            raise SpecError(
                f"unknown runtime {name!r}", hint=f"{found.name} has: {', '.join(found.runtimes)}."
            )
    quantize = quantize or ("none" if nnapi else "int8")
    if quantize not in SCHEMES:
        raise SpecError(f"unknown scheme {quantize!r}", hint=f"Schemes: {', '.join(SCHEMES)}.")
    delegates = {name: _delegate(found, name, delegate) for name in dict.fromkeys(chosen)}
    if SCHEMES[quantize] == "int8" and delegates.get("executorch") == "none":
        raise Unsupported(
            "int8 linears in a .pte need the xnnpack delegate",
            hint="Use --quantize none with --delegate none, or --delegate xnnpack.",
        )
    if SCHEMES[quantize] == "int8" and nnapi:
        raise Unsupported(
            "NNAPI cannot run int8 that is quantized at run time",
            hint="Use --quantize none with --delegate nnapi.",
        )
    return Request(found, delegates, SCHEMES[quantize], nnapi, task)


def _delegate(found: Target, runtime: str, asked: str | None) -> str:
    known = found.delegates[runtime]
    every = {name for names in found.delegates.values() for name in names}
    if asked is None:
        return known[0]
    if asked not in every:
        raise SpecError(
            f"unknown delegate {asked!r}", hint=f"Delegates: {', '.join(sorted(every))}."
        )
    if asked in known:
        return asked
    if asked == "nnapi":
        raise Unsupported(
            "ExecuTorch has no NNAPI delegate: none exists and none is planned",
            hint=f"For a .pte: {', '.join(known)}. NNAPI works with --runtime onnx alone.",
        )
    # xnnpack named for both runtimes: ONNX Runtime uses its own kernels on the same file.
    return known[0]
