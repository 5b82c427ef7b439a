"""The two checks of an artifact at a place: its goldens, and a labelled file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edgekit.bundle.manifest import ArtifactInfo, HopQuality
from edgekit.device import readings
from edgekit.device.job import as_runtime
from edgekit.device.places import Place
from edgekit.device.protocol import Event
from edgekit.errors import InternalError, ParityFailed
from edgekit.runtime import Floats, batches
from edgekit.runtime.encode import Inputs, unpad
from edgekit.tasks import task
from edgekit.testing.labelled import Example, Score, score
from edgekit.testing.plan import BATCH, Plan
from edgekit.testing.replay import THREADS, model_name, replay
from edgekit.verify import decoders, measured

OnEvent = Callable[[Event], None]


def check_goldens(
    place: Place, plan: Plan, artifact: ArtifactInfo, *, timeout: float, on_event: OnEvent
) -> HopQuality:
    """Replay the goldens through an artifact that lies at ``place``; the hop has the place's name.

    Raises:
        EdgekitError: the place or its answers failed; a missed floor is no error here.
    """
    if plan.manifest.generation is not None:
        return _decoder_goldens(place, plan, artifact, timeout, on_event)
    inputs = [golden.inputs for golden in plan.goldens]
    signature = plan.manifest.signature_of(artifact)
    outputs = replay(place, artifact, signature, inputs, timeout=timeout, on_event=on_event)
    return measured(
        place.name, artifact, plan.manifest, plan.goldens, outputs, plan.encoder.context
    )


def _decoder_goldens(
    place: Place, plan: Plan, artifact: ArtifactInfo, timeout: float, on_event: OnEvent
) -> HopQuality:
    """The goldens of a decoder: texts read token by token, of whose logits the likeliest count."""
    manifest, passages = plan.manifest, [decoders.passage(golden) for golden in plan.goldens]
    assert manifest.generation is not None
    read = readings.read(
        place,
        as_runtime(artifact.runtime),
        model_name(artifact),
        [readings.Passage(one.ids, one.prompt) for one in passages],
        context=manifest.generation.context,
        vocabulary=manifest.signature_of(artifact).outputs[0].dims[-1].maximum,
        timeout=timeout,
        threads=THREADS,
        on_event=on_event,
    )
    rows = [
        np.take_along_axis(logits, golden.inputs[decoders.COLUMNS], axis=1)
        for golden, logits in zip(plan.goldens, read, strict=True)
    ]
    return decoders.measured(place.name, artifact, manifest, plan.goldens, rows)


def check_labelled(
    place: Place, plan: Plan, artifact: ArtifactInfo, *, timeout: float, on_event: OnEvent
) -> Score:
    """Label the plan's examples with an artifact that lies at ``place``.

    Raises:
        EdgekitError: the place or its answers failed.
    """
    of, context = task(plan.manifest.task), plan.encoder.context
    signature = plan.manifest.signature_of(artifact)
    pad_id = plan.manifest.tokenizer.filler

    def replayed(given: Sequence[Inputs]) -> list[Floats]:
        made = replay(place, artifact, signature, given, timeout=timeout, on_event=on_event)
        return [outputs[signature.outputs[0].name] for outputs in made]

    found: list[int] = []
    for batch in _batches(plan.examples):
        inputs = [plan.encoder.encode(example.text) for example in batch]
        outputs = batches.answers(replayed, inputs, signature, pad_id)
        for output, given in zip(outputs, inputs, strict=True):
            logits = of.rows(*unpad(output, given), context)
            found.append(int(logits.argmax()))
    labels = plan.manifest.labels or ()
    if max(found) >= len(labels):
        raise InternalError(f"the model gives more scores than its {len(labels)} labels")
    return score([example.label for example in plan.examples], found, len(labels))


def parity_failure(hop: HopQuality, plan: Plan) -> ParityFailed:
    """What is wrong with a hop that did not pass, and whether it is the first one."""
    made = [known for known in plan.manifest.quality if known.artifact == hop.artifact]
    before = ""
    if made:
        least = min(made, key=lambda known: known.worst_cosine)
        sound = "the first hop that misses it" if all(known.passed for known in made) else "not new"
        before = f"; where it was made its worst was {least.worst_cosine} ({sound})"
    drift = ""
    if hop.same_artifact is not None:
        floor = plan.manifest.goldens.tolerances[_runtime(plan, hop)].same_artifact
        drift = f", {hop.same_artifact} against its own goldens (floor {floor})"
    return ParityFailed(
        f"{hop.artifact} on {hop.hop}: worst cosine {hop.worst_cosine}, mean {hop.mean_cosine} "
        f"(floors {hop.floor_worst} / {hop.floor_mean}){drift}{before}; "
        f"worst golden: {hop.worst_sample[:60]!r}",
        hint="The same files pass where they were made: suspect the runner, its build, or the "
        "processor. edgekit verify --arm64 replays them on an emulated one.",
        hops=[hop.model_dump(mode="json")],
    )


def _runtime(plan: Plan, hop: HopQuality) -> str:
    return next(item.runtime for item in plan.artifacts if item.file == hop.artifact)


def _batches(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    """Some at a time, so that neither this machine nor the phone holds the inputs of all."""
    for start in range(0, len(examples), BATCH):
        yield examples[start : start + BATCH]
