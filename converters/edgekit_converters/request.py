"""What an export is asked for, checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.errors import SpecError, Unsupported
from edgekit.targets import Target, target
from edgekit.tasks import task as task_meaning
from edgekit_converters.quantize.schemes import AUTO, DEFAULT, Scheme, require, scheme

# The memory of a pass grows with the texts in it, and what is gained by more does not.
MOST_TEXTS = 64


@dataclass(frozen=True)
class Request:
    """A consistent request.

    Attributes:
        target: what it is for.
        delegates: delegate by runtime, in the order of lowering.
        scheme: what is asked of the weights; None to follow the folder's own plan, where it has
            one, and the task's default otherwise.
        static: one fixed length with a padding mask, for a delegate without dynamic shapes.
        task: a task's name, or ``auto``.
        max_context: the most tokens of prompt and answer, for a decoder; None for its default.
        batch: texts of one pass; more than one come padded, with a mask.
    """

    target: Target
    delegates: dict[str, str]
    scheme: Scheme | None
    static: bool
    task: str
    max_context: int | None = None
    batch: int = 1


def check(
    target_name: str,
    task: str,
    runtimes: Sequence[str] | None,
    quantize: str | None,
    delegate: str | None,
    max_context: int | None = None,
    batch: int = 1,
) -> Request:
    """Settle defaults and refuse contradictions.

    Raises:
        SpecError: an unknown target, task, runtime, scheme or delegate, or a batch out of bounds.
        Unsupported: names that exist but do not go together.
    """
    found = target(target_name)
    if task != "auto":
        task_meaning(task)
    nnapi = delegate == "nnapi"
    if not 1 <= batch <= MOST_TEXTS:
        raise SpecError(
            f"a batch of {batch} texts cannot be made",
            hint=f"Name a number from 1 to {MOST_TEXTS} with --batch.",
        )
    if nnapi and batch > 1:
        raise Unsupported(
            "NNAPI takes one text of one fixed length at a time",
            hint="Leave out --batch, or --delegate nnapi.",
        )
    # NNAPI exists for ONNX alone; asked for nothing else, that is what is meant.
    chosen = list(runtimes) if runtimes else ["onnx"] if nnapi else list(found.runtimes)
    for name in chosen:
        if name not in found.runtimes:
            raise SpecError(
                f"unknown runtime {name!r}", hint=f"{found.name} has: {', '.join(found.runtimes)}."
            )
    if quantize is None and nnapi:
        quantize = "none"
    # ``auto`` is what nothing at all asks for: the task's own default.
    chosen_scheme = None if quantize in (None, AUTO) else scheme(str(quantize))
    delegates = {name: _delegate(found, name, delegate) for name in dict.fromkeys(chosen)}
    assumed = chosen_scheme or scheme(DEFAULT)
    require(found, delegates, assumed.bits, f"scheme {assumed.name}")
    return Request(found, delegates, chosen_scheme, nnapi, task, max_context, batch)


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
