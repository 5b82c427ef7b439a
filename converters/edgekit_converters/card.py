"""The bundle's README: a model card from the manifest alone."""

from __future__ import annotations

import platform
from importlib.resources import files
from typing import Any

from edgekit.bundle.manifest import Manifest
from edgekit_converters.generation.texts import GREEDY_PROMPTS, GREEDY_TOKENS


def render(manifest: Manifest, sample_source: str, notes: tuple[str, ...]) -> str:
    """The card as Markdown.

    Args:
        manifest: the bundle's manifest, files not needed.
        sample_source: where the measured texts came from, in words.
        notes: more lines for the list of limits.
    """
    from jinja2 import Environment, StrictUndefined

    file = "card.md.j2" if manifest.generation is None else "card_generation.md.j2"
    template = (files("edgekit_converters") / file).read_text(encoding="utf-8")
    quality = {hop.hop: hop for hop in manifest.quality}
    rows = [
        {
            "file": artifact.file,
            "runtime": artifact.runtime,
            "delegate": artifact.delegate,
            "megabytes": f"{artifact.bytes / 1e6:.1f}",
            "percent": f"{100 * artifact.bytes / artifact.fp32_bytes:.1f}",
            "worst": quality[artifact.runtime].worst_cosine,
            "mean": quality[artifact.runtime].mean_cosine,
            "same": f"{100 * quality[artifact.runtime].agreement:.1f} %",
            "divergence": tokens.divergence
            if (tokens := quality[artifact.runtime].tokens) is not None
            else "-",
        }
        for artifact in manifest.artifacts
    ]
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(
        name=manifest.name,
        manifest_task=manifest.task,
        target=manifest.target,
        version=manifest.toolchain["edgekit"],
        certified=manifest.certified,
        licence=manifest.licence,
        base=manifest.base_model,
        rows=rows,
        quantized=any(artifact.scheme != "fp32" for artifact in manifest.artifacts),
        runtimes=[artifact.runtime for artifact in manifest.artifacts],
        hops=manifest.quality,
        samples=max(hop.samples for hop in manifest.quality),
        agreement_kind=manifest.quality[0].agreement_kind,
        sample_source=sample_source,
        machine=platform.machine(),
        limits=manifest.limits,
        static=manifest.limits.min_length == manifest.limits.max_length,
        batch=manifest.signature.inputs[0].dims[0].maximum,
        inputs=manifest.signature.inputs,
        output=manifest.signature.outputs[0],
        tokenizer=manifest.tokenizer,
        notes=notes,
        **_generation(manifest),
    )


def _generation(manifest: Manifest) -> dict[str, Any]:
    """What only the card of a decoder tells."""
    if manifest.generation is None:
        return {}
    return {
        "generation": manifest.generation,
        "signatures": [(one, manifest.signature_of(one)) for one in manifest.artifacts],
        "greedy_tokens": GREEDY_TOKENS,
        "greedy_prompts": GREEDY_PROMPTS,
    }
