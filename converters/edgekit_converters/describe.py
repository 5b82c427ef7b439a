"""The manifest of an export: facts about model, tokenizer, artifacts and tools, nothing dated."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edgekit.bundle.manifest import (
    SCHEMA_VERSION,
    ArtifactInfo,
    BaseModelRef,
    Dim,
    Goldens,
    HopQuality,
    Limits,
    Manifest,
    QuantizedGroup,
    Signature,
    TensorSpec,
    TokenizerInfo,
    Tolerance,
)
from edgekit.errors import InputRefused
from edgekit.floors import FLOORS
from edgekit.runtime.encode import token_texts
from edgekit.tasks import Context
from edgekit_converters import tokenizer as tokenizers
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import MIN_LENGTH
from edgekit_converters.export.weights import WeightBytes
from edgekit_converters.job import Job
from edgekit_converters.load import Loaded
from edgekit_converters.quantize.ledger import Row
from edgekit_converters.tasks import check_labels, head_module

_TOOLS = (
    "edgekit",
    "executorch",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "tokenizers",
    "torch",
    "torchao",
    "transformers",
)
PROVENANCE = "provenance.json"
_PROVENANCE_HINT = "Fetch it again, or delete it: the bundle then says nothing of earlier stages."
_PROBLEMS = (None, "single_label_classification", "multi_label_classification", "regression")


def manifest(
    job: Job,
    signature: Signature,
    artifacts: Sequence[ArtifactInfo],
    hops: Sequence[HopQuality],
    goldens: int,
    floors: Mapping[str, Tolerance] = FLOORS,
) -> Manifest:
    """The bundle's manifest, its files still to be listed."""
    loaded = job.loaded
    kind, on_device, reason = tokenizers.describe(loaded.tokenizer)
    known = context(job)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=job.name,
        task=job.task,
        target=job.request.target.name,
        family=loaded.family,
        certified=all(hop.passed for hop in hops),
        licence=loaded.licence,
        labels=known.labels or None,
        problem=known.problem,
        base_model=BaseModelRef(
            id=loaded.source.id,
            source=loaded.source.kind,
            revision=loaded.source.revision,
            weights_sha256=loaded.weights_sha256,
        ),
        signature=signature,
        limits=Limits(
            min_length=signature.inputs[0].dims[1].minimum,
            max_length=loaded.max_length,
            vocabulary=loaded.tokenizer.get_vocab_size(),
        ),
        artifacts=tuple(artifacts),
        tokenizer=TokenizerInfo(
            kind=kind,
            pad_token_id=pad_id(loaded),
            mask_token_id=known.mask_token_id,
            on_device=on_device,
            on_device_reason=reason,
        ),
        goldens=Goldens(
            count=goldens,
            tolerances={artifact.runtime: floors[artifact.scheme] for artifact in artifacts},
        ),
        quality=tuple(hops),
        provenance=(*earlier_stages(loaded), _this_stage(job)),
        toolchain=toolchain(),
        files=(),
    )


def context(job: Job) -> Context:
    """What the task needs to read the model's output."""
    loaded, config = job.loaded, job.loaded.config
    labels: tuple[str, ...] = ()
    problem = None
    if head_module(job.task).LABELS:
        labels = _labels(config.id2label)
        check_labels(job.task, labels)
    if job.task == "text-classification":
        if config.problem_type not in _PROBLEMS:
            raise InputRefused(
                f"unknown problem_type {config.problem_type!r} in config.json",
                hint=f"One of: {', '.join(filter(None, _PROBLEMS))}.",
            )
        problem = config.problem_type or ("regression" if len(labels) == 1 else None)
    return Context(
        labels=labels,
        problem=problem,
        mask_token_id=tokenizers.mask_token_id(loaded.source.folder, loaded.tokenizer),
        tokens=token_texts(loaded.tokenizer),
    )


def _labels(names: dict[int, str]) -> tuple[str, ...]:
    if sorted(names) != list(range(len(names))):
        raise InputRefused(
            f"id2label in config.json has the keys {sorted(names)[:8]}, not 0 to {len(names) - 1}",
            hint="Number the labels from 0, in the order of the classifier's outputs.",
        )
    return tuple(str(names[index]) for index in range(len(names)))


def mask_token(loaded: Loaded) -> str | None:
    """The mask token's text, where the tokenizer has one."""
    index = tokenizers.mask_token_id(loaded.source.folder, loaded.tokenizer)
    return None if index is None else loaded.tokenizer.id_to_token(index)


def pad_id(loaded: Loaded) -> int:
    """The id that fills up fixed lengths; masked, so that any id in the table would do."""
    return int(getattr(loaded.config, "pad_token_id", None) or 0)


def unpadded(signature: Signature) -> Signature:
    """The same inputs for one text of any length, without a padding mask."""
    inputs = []
    for spec in signature.inputs:
        if spec.name == "attention_mask":
            continue
        batch, tokens = spec.dims
        free = Dim(name=tokens.name, minimum=MIN_LENGTH, maximum=tokens.maximum)
        inputs.append(TensorSpec(name=spec.name, dtype=spec.dtype, dims=(batch, free)))
    return Signature(inputs=tuple(inputs), outputs=signature.outputs)


def artifact(
    lowered: Lowered, scheme: str, fp32_bytes: int, quantization: tuple[QuantizedGroup, ...]
) -> ArtifactInfo:
    """What the manifest says of an artifact."""
    return ArtifactInfo(
        runtime=lowered.runtime,
        file=lowered.file,
        bytes=len(lowered.data),
        fp32_bytes=fp32_bytes,
        delegate=lowered.delegate,
        scheme=scheme,
        quantization=quantization,
        methods=lowered.methods,
        operators=lowered.operators,
        backends=lowered.backends,
        planned_memory=lowered.planned_memory,
        shared_bytes=lowered.shared_bytes or None,
        delegation=lowered.delegation,
    )


def groups(rows: Sequence[Row], weights: WeightBytes) -> tuple[QuantizedGroup, ...]:
    """The ledger by kind, scheme and reason, and what no scheme speaks of.

    Args:
        rows: the ledger.
        weights: of the calibrated graph.
    """
    kinds: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.kind, row.scheme, row.reason), []).append(row)
    found = [
        QuantizedGroup(
            kind=kind,
            scheme=scheme,
            tensors=len(members),
            bytes_before=sum(row.bytes_before for row in members),
            bytes_after=sum(row.bytes_after for row in members),
            reason=reason,
        )
        for (kind, scheme, reason), members in kinds.items()
    ]
    if weights.other:
        found.append(
            QuantizedGroup(
                kind="bias, norm, position",
                scheme="fp32",
                tensors=weights.others,
                bytes_before=weights.other,
                bytes_after=weights.other,
                reason="small, and added in fp32",
            )
        )
    return tuple(found)


def toolchain() -> dict[str, str]:
    """Versions of what made the bundle."""
    found = {"python": platform.python_version()}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def earlier_stages(loaded: Loaded) -> tuple[dict[str, Any], ...]:
    """Stages that the folder says it went through.

    Raises:
        InputRefused: the record is malformed.
    """
    path = loaded.source.folder / PROVENANCE
    if not path.is_file():
        return ()
    try:
        stages = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputRefused(f"{PROVENANCE} is not JSON: {error}", hint=_PROVENANCE_HINT) from error
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise InputRefused(f"{PROVENANCE} is not a list of stages", hint=_PROVENANCE_HINT)
    return tuple(stages)


def _this_stage(job: Job) -> dict[str, Any]:
    return {
        "stage": "export",
        "input_sha256": job.loaded.weights_sha256,
        "config": {
            "task": job.task,
            "target": job.request.target.name,
            "scheme": job.scheme,
            "delegates": job.request.delegates,
            "max_length": job.loaded.max_length,
            **({"batch": job.request.batch} if job.request.batch > 1 else {}),
        },
    }
