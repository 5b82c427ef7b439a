"""Verify a bundle: hashes first, then its goldens through every runtime, here and on arm64."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.bundle.goldens import Golden, read
from edgekit.bundle.manifest import ArtifactInfo, HopQuality, Manifest
from edgekit.bundle.read import check_files, load_manifest
from edgekit.errors import BundleCorrupt, ParityFailed, SpecError
from edgekit.parity import measure
from edgekit.runtime import arm64 as emulated
from edgekit.runtime.encode import Encoder, unpad
from edgekit.runtime.replay import replay
from edgekit.stages import ProgressCallback, Stages
from edgekit.targets import target
from edgekit.tasks import Context, task
from edgekit.verify import decoders


def verify(
    folder: Path,
    *,
    runtimes: Sequence[str] | None = None,
    arm64: Sequence[str] = (),
    progress: ProgressCallback | None = None,
) -> list[HopQuality]:
    """Check files, then replay the goldens.

    Args:
        folder: the bundle.
        runtimes: artifacts to run; None for all.
        arm64: ISA levels (names in ``Target.emulated_cpus``) to run the artifacts under, emulated.
        progress: told of each stage.

    Returns:
        One entry a hop, all passed.

    Raises:
        InputMissing, BundleCorrupt, BundleTooNew, UnsafeInput: before anything native is touched.
        SpecError: a runtime or ISA that the bundle or target does not have.
        Unavailable: a runtime, a runner or qemu is not installed.
        ParityFailed: an output is below its floor; ``details["hops"]`` has every hop.
    """
    manifest = load_manifest(folder)
    check_files(folder, manifest)
    artifacts = chosen(manifest, runtimes)
    cpus = _cpus(manifest, arm64)
    lanes = [(isa, cpu, artifact) for isa, cpu in cpus.items() for artifact in artifacts]
    for _, cpu, artifact in lanes:
        emulated.ensure_available(cpu, runtime=artifact.runtime)
    goldens = read(folder / manifest.goldens.file)
    refuse_incomplete(manifest, goldens, artifacts)
    plan = {a.runtime: 1.0 for a in artifacts}
    plan |= {f"arm64 {isa} {artifact.runtime}": 8.0 for isa, _, artifact in lanes}
    stages = Stages(plan, progress)
    places = [(artifact.runtime, "", artifact) for artifact in artifacts]
    places += [(f"arm64 {isa} {one.runtime}", cpu, one) for isa, cpu, one in lanes]
    climb = _decoder_hop if manifest.generation else _hop
    hops: list[HopQuality] = []
    for name, cpu, artifact in places:
        with stages.stage(name):
            hops.append(climb(name, cpu, artifact, folder, manifest, goldens))
    stages.finish()
    refuse_failed(hops)
    return hops


def _hop(
    name: str,
    cpu: str,
    artifact: ArtifactInfo,
    folder: Path,
    manifest: Manifest,
    goldens: Sequence[Golden],
) -> HopQuality:
    """Replay on this machine, or on an emulated processor."""
    path, runtime = folder / artifact.file, artifact.runtime
    signature, inputs = manifest.signature_of(artifact), [golden.inputs for golden in goldens]
    if cpu:
        outputs = emulated.replay(path, signature, inputs, cpu=cpu, runtime=runtime)
    else:
        outputs = replay(runtime, path, signature, inputs)
    context = Encoder(folder, manifest).context
    return measured(name, artifact, manifest, goldens, outputs, context)


def _decoder_hop(
    name: str,
    cpu: str,
    artifact: ArtifactInfo,
    folder: Path,
    manifest: Manifest,
    goldens: Sequence[Golden],
) -> HopQuality:
    path, signature = folder / artifact.file, manifest.signature_of(artifact)
    if cpu:
        rows = decoders.emulated_arm64(path, artifact, signature, goldens, cpu)
    else:
        rows = decoders.here(path, artifact, signature, goldens)
    return decoders.measured(name, artifact, manifest, goldens, rows)


def refuse_failed(hops: Sequence[HopQuality]) -> None:
    """Raise for the first hop that missed its floor.

    Raises:
        ParityFailed: naming the hop, the figures and the worst sample.
    """
    for hop in hops:
        if hop.passed:
            continue
        floor = f"floors {hop.floor_worst} / {hop.floor_mean}"
        same = hop.same_artifact
        drift = "" if same is None else f", {same} against its own goldens"
        drift += "" if hop.tokens is None else f"; {_tokens(hop)}"
        raise ParityFailed(
            f"{hop.hop} ({hop.artifact or 'graph'}): worst cosine {hop.worst_cosine}, mean "
            f"{hop.mean_cosine} ({floor}){drift}; worst sample: {hop.worst_sample[:60]!r}",
            hint="The first hop that misses its floor is named; the hops before it are sound.",
            hops=[entry.model_dump() for entry in hops],
        )


def _tokens(hop: HopQuality) -> str:
    """What a decoder's hop says of its tokens, in words."""
    tokens = hop.tokens
    assert tokens is not None
    words = f"logits differ by {tokens.max_difference} at most, divergence {tokens.divergence}"
    words += f" nats a token, same first choice {hop.agreement:.1%}"
    if tokens.perplexity_ratio is not None:
        words += f", perplexity ratio {tokens.perplexity_ratio}"
    return words + ("" if tokens.greedy is None else f", greedy text {tokens.greedy:.1%} the same")


def measured(
    hop: str,
    artifact: ArtifactInfo,
    manifest: Manifest,
    goldens: Sequence[Golden],
    outputs: Sequence[dict[str, Any]],
    context: Context,
) -> HopQuality:
    """One hop: an artifact's outputs for the goldens, held against the manifest's tolerances."""
    of = task(manifest.task)
    name = manifest.signature_of(artifact).outputs[0].name
    rows = [
        of.rows(*unpad(output[name], golden.inputs), context)
        for golden, output in zip(goldens, outputs, strict=True)
    ]
    return measure(
        hop,
        artifact.file,
        of,
        [golden.text for golden in goldens],
        [golden.reference for golden in goldens],
        rows,
        manifest.goldens.tolerances[artifact.runtime],
        [golden.expected[artifact.runtime] for golden in goldens],
    )


def refuse_incomplete(
    manifest: Manifest, goldens: Sequence[Golden], artifacts: Sequence[ArtifactInfo]
) -> None:
    """A bundle that was sealed without what verifying needs proves nothing.

    Raises:
        BundleCorrupt: goldens, tolerances or inputs are missing.
    """
    file, inputs = manifest.goldens.file, {spec.name for spec in manifest.signature.inputs}
    if not goldens or len(goldens) != manifest.goldens.count:
        raise BundleCorrupt(f"{file} has {len(goldens)} goldens, not {manifest.goldens.count}")
    for name in (artifact.runtime for artifact in artifacts):
        if name not in manifest.goldens.tolerances:
            raise BundleCorrupt(f"the manifest has no tolerance for {name}")
        if any(name not in golden.expected for golden in goldens):
            raise BundleCorrupt(f"{file} lacks what {name} must give")
    if manifest.generation is not None:
        decoders.refuse_malformed(manifest, goldens)
    elif any(golden.inputs.keys() != inputs for golden in goldens):
        raise BundleCorrupt(f"{file} has other inputs than the signature")


def chosen(manifest: Manifest, runtimes: Sequence[str] | None) -> list[ArtifactInfo]:
    """The artifacts of ``runtimes``; all when None.

    Raises:
        SpecError: the bundle has none for a runtime.
    """
    have = {artifact.runtime: artifact for artifact in manifest.artifacts}
    for name in runtimes or ():
        if name not in have:
            raise SpecError(
                f"the bundle has no {name} artifact", hint=f"It has: {', '.join(have)}."
            )
    return [have[name] for name in runtimes or have]


def _cpus(manifest: Manifest, isas: Sequence[str]) -> dict[str, str]:
    known = target(manifest.target).emulated_cpus
    for isa in isas:
        if isa not in known:
            raise SpecError(f"unknown ISA level {isa!r}", hint=f"Known: {', '.join(known)}.")
    return {isa: known[isa] for isa in isas}
