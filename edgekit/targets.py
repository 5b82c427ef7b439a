"""Targets: what an artifact is made for. A new target is one more row of data."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import SpecError


@dataclass(frozen=True)
class Target:
    """One platform that artifacts are made for.

    Attributes:
        name: what ``--target`` takes.
        abi: Android ABI name.
        runtimes: runtimes that have artifacts for it, best first.
        delegates: delegates by runtime; the first is the default.
        bits: widths of weights that a runtime's delegate has kernels for, 32 for fp32.
        emulated_cpus: qemu-user CPU models that stand for its ISA levels, default first.
    """

    name: str
    abi: str
    runtimes: tuple[str, ...]
    delegates: dict[str, tuple[str, ...]]
    bits: dict[tuple[str, str], tuple[int, ...]]
    emulated_cpus: dict[str, str]


TARGETS = {
    "android-arm64": Target(
        name="android-arm64",
        abi="arm64-v8a",
        runtimes=("executorch", "onnx"),
        delegates={"executorch": ("xnnpack", "none"), "onnx": ("none", "nnapi")},
        bits={
            ("executorch", "xnnpack"): (32, 8, 4, 2),
            ("executorch", "none"): (32,),
            ("onnx", "none"): (32, 8, 4),
            # NNAPI takes no integers whose scale is only known at run time.
            ("onnx", "nnapi"): (32,),
        },
        emulated_cpus={"a76": "cortex-a76", "a53": "cortex-a53", "neoverse-n1": "neoverse-n1"},
    ),
}


def target(name: str) -> Target:
    """The target called ``name``.

    Raises:
        SpecError: there is none of that name.
    """
    try:
        return TARGETS[name]
    except KeyError:
        raise SpecError(
            f"unknown target {name!r}", hint=f"Known targets: {', '.join(sorted(TARGETS))}."
        ) from None
