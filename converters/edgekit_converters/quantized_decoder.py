"""A decoder's quantization plan: made on the form of its graph that an export makes its own on.

A decoder is read as its export reads it: texts and chats in its own form, the cache handed in. What
is measured is its next tokens. The plan is carried out on both forms when the folder is exported.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.bundle.manifest import Generation
from edgekit.errors import Unsupported
from edgekit.floors import DECODER_FLOORS
from edgekit.runtime.silence import native_silence
from edgekit.stages import Stages
from edgekit.verify import refuse_failed
from edgekit_converters import prepare
from edgekit_converters.calibration import SIMULATED, Calibrated, calibrators
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.generation import executorch, facts, texts
from edgekit_converters.generation.capture import capture_passed, prepared
from edgekit_converters.generation.ladder import TokenLadder, first_rungs
from edgekit_converters.generation.quantized import inputs_of
from edgekit_converters.graph import cleanup
from edgekit_converters.job import Job
from edgekit_converters.planning import Wanted
from edgekit_converters.quantize import gates
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.settings import settle

BUILD = "generation.build"

# Each text is read once; more change the figures in the last digits only.
_TEXTS = 48


def refuse_unfit(wanted: Wanted, task: str, build: str) -> None:
    """Refuse what is for models that answer in one pass.

    Args:
        wanted: the settled request.
        task: what the model is for.
        build: the module that its head names.

    Raises:
        Unsupported: the request, or the kind of model, has no plan of its own.
    """
    if build != BUILD:
        raise Unsupported(
            f"a model for {task} has no quantization plan of its own",
            hint="edgekit export quantizes it on the way: edgekit export MODEL --quantize SCHEME.",
        )
    asked = {
        "a mixed plan": wanted.budget is not None,
        "quantization-aware training": wanted.qat > 0,
        "norm tweaking": wanted.tweak > 0,
    }
    for what in (name for name, said in asked.items() if said):
        raise Unsupported(
            f"{what} is for models that answer in one pass, and a decoder does not",
            hint="Name a scheme, and give single tensors other bits in a recipe.",
        )


def plain(
    wanted: Wanted, job: Job, calibration: Sequence[str], stages: Stages
) -> tuple[TokenLadder, Calibrated]:
    """Calibrate a decoder as a scheme and a recipe say.

    Args:
        wanted: the settled request.
        job: fixed facts.
        calibration: texts.
        stages: told of what begins.

    Returns:
        The ladder up to the rewritten graph, and what was decided.

    Raises:
        Unsupported: the model cannot be captured as a decoder.
        ParityFailed: the captured graph is not the model.
    """
    with stages.stage("capture"):
        captured, generation = _captured(job)
    with stages.stage("reference"):
        vocabulary = captured.signature.outputs[0].dims[-1].maximum
        chosen = texts.samples(job.loaded, generation, job.texts, vocabulary)
        ladder = first_rungs(job.loaded.model, chosen, generation.context)
        _hop(ladder, "captured", captured, "fp32")
    with stages.stage("rewrite"):
        edge = executorch.rewritten(captured)
        _hop(ladder, "rewritten", edge, "fp32")
    refuse_failed(ladder.hops)
    methods = calibrators(wanted)
    with stages.stage("calibrate"), native_silence(2):
        seen = texts.calibration(job.loaded, generation, calibration, _TEXTS)
        graph = edge.module()
        inputs = [inputs_of(edge, ids) for ids in seen]
        decisions = calibrate(graph, lambda found: settle(found, wanted.choice), methods, inputs)
    with stages.stage("measure"):
        done = edge.again(graph)
        _hop(ladder, SIMULATED, done, job.scheme)
        hop = ladder.hops.pop()
        module = captured.module()
        cleanup.apply(module)
        weights = weight_bytes(done.module())
        # The artifacts keep a head of its own where the table is the head.
        untied = weights.linear + weights.table + weights.other
        forecast = gates.forecast(untied, decisions.rows)
    return ladder, Calibrated(decisions, methods, weight_bytes(module).total, forecast, hop)


def _captured(job: Job) -> tuple[Captured, Generation]:
    loaded = job.loaded
    with (
        prepare.or_unsupported(f"{loaded.family} models cannot be captured as a decoder"),
        prepared(loaded.model, loaded.family, loaded.max_length) as decoder,
    ):
        return capture_passed(decoder), facts.generation(loaded, decoder)


def _hop(ladder: TokenLadder, hop: str, form: Captured, scheme: str) -> None:
    with native_silence(2):
        ladder.graph(hop, form.module(), form.signature, DECODER_FLOORS[scheme])
