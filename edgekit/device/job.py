"""The job file: what a runner is to do, as it reads it in its working folder.

The first line is ``edgekit-job 2``, or 3 for a decoder; each line after it is a key, a space and a
value. All numbers are whole. Files are named, never addressed: a name has no folder, so a job
cannot reach out of the folder that it lies in. ``native/job.cpp`` is the reader, and holds the same
bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from edgekit.errors import SpecError

Mode = Literal["goldens", "latency", "load", "generate"]
Runtime = Literal["executorch", "onnx"]

RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
HEADER, DECODER_HEADER = "edgekit-job 2", "edgekit-job 3"
MOST_BYTES = 4096
MOST_THREADS = 256
MOST_CORES = 64
MOST_CORE = 1023
MOST_WARM_UPS = 10_000
MOST_RUNS = 10_000_000
MOST_SECONDS = 86_400.0
MOST_CONTEXT = 1 << 20
MOST_TOKENS = 2048
MOST_EOS = 16
MOST_ID = (1 << 30) - 1

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Job:
    """One run of a runner.

    Attributes:
        mode: ``goldens`` answers each sample once; ``latency`` times rounds over the samples;
            ``load`` times loading the model up to its first answer; ``generate`` continues each
            prompt greedily and times its tokens.
        runtime: which runner reads the job.
        model: the artifact's file name.
        inputs: the tensor stream of samples; ``load`` uses the first one.
        outputs: the tensor stream to write. ``goldens`` needs it; ``latency`` writes the answers of
            one more round, after the timed ones; ``load`` writes none.
        threads: of the runtime; None for its own choice.
        cores: processors that the runner may use; empty for all.
        warm_ups: untimed rounds before the first timed one.
        runs: timed rounds over the samples at the least; in ``load``, pairs of a cold and a warm
            load.
        seconds: of timed rounds at the least; ``latency`` ends when ``runs`` and ``seconds`` are
            both reached.
        context: the most tokens in all, for a decoder; None says that the model is none. Samples
            are token ids then: ``goldens`` reads them and writes the logits of each pass.
        tokens: of an answer at most; for ``generate``.
        eos: ids that end an answer; for ``generate``.

    Raises:
        SpecError: a field is out of its bounds, or the mode does not take it.
    """

    mode: Mode
    model: str
    inputs: str
    outputs: str | None = None
    runtime: Runtime = "executorch"
    threads: int | None = None
    cores: tuple[int, ...] = ()
    warm_ups: int = 0
    runs: int = 1
    seconds: float = 0.0
    context: int | None = None
    tokens: int | None = None
    eos: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise SpecError(f"no mode {self.mode!r} of the runner")
        as_runtime(self.runtime)
        for name in (self.model, self.inputs, self.outputs):
            if name is not None:
                file_name(name)
        if len({self.model, self.inputs, self.outputs}) != 3:
            raise SpecError("a job's files need names of their own")
        if self.mode == "goldens" and self.outputs is None:
            raise SpecError("goldens need a name for their outputs")
        if self.mode == "load" and self.outputs is not None:
            raise SpecError("loading writes no outputs")
        if self.threads is not None:
            _within(self.threads, 1, MOST_THREADS, "threads")
        _within(self.warm_ups, 0, MOST_WARM_UPS, "warm-ups")
        _within(self.runs, 1, MOST_RUNS, "runs")
        _within(self.seconds, 0, MOST_SECONDS, "seconds")
        _within(len(self.cores), 0, MOST_CORES, "number of cores")
        for core in self.cores:
            _within(core, 0, MOST_CORE, "core")
        self._check_decoder()

    def _check_decoder(self) -> None:
        generates = self.mode == "generate"
        if self.mode == "latency" and self.context is not None:
            raise SpecError("a decoder is timed by generate, not by latency")
        if generates and (self.context is None or self.tokens is None):
            raise SpecError("generate needs a context and a number of tokens")
        if not generates and (self.tokens is not None or self.eos):
            raise SpecError("tokens and eos are of generate")
        if self.context is not None:
            _within(self.context, 1, MOST_CONTEXT, "context")
        if self.tokens is not None:
            _within(self.tokens, 1, MOST_TOKENS, "tokens")
        _within(len(self.eos), 0, MOST_EOS, "number of eos ids")
        for token in self.eos:
            _within(token, 0, MOST_ID, "eos id")


def text(job: Job) -> str:
    """The job file's content, ASCII."""
    lines = [
        ("mode", job.mode),
        ("runtime", job.runtime),
        ("model", job.model),
        ("inputs", job.inputs),
        ("outputs", job.outputs),
        ("threads", job.threads),
        ("cores", " ".join(map(str, sorted(set(job.cores))))),
        ("warm_ups", job.warm_ups),
        ("runs", job.runs),
        ("milliseconds", round(job.seconds * 1000)),
        ("context", job.context),
        ("tokens", job.tokens),
        ("eos", " ".join(map(str, job.eos))),
    ]
    given = [f"{key} {value}" for key, value in lines if value not in (None, "")]
    # What needs no new words is said in the old ones: readers of version 2 go on understanding it.
    header = HEADER if job.context is None else DECODER_HEADER
    return "\n".join([header, *given, ""])


def as_runtime(name: str) -> Runtime:
    """``name`` when there is a runner for it.

    Raises:
        SpecError: there is none.
    """
    for runtime in RUNTIMES:
        if runtime == name:
            return runtime
    raise SpecError(f"no runner for {name!r}", hint=f"Known: {', '.join(RUNTIMES)}.")


def file_name(name: str) -> str:
    """``name``, when it is a plain file name: letters, digits, ``._-``, no folder, not hidden.

    Raises:
        SpecError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise SpecError(f"{name!r} is not a plain file name")
    return name


def _within(value: float, least: float, most: float, what: str) -> None:
    if not least <= value <= most:
        raise SpecError(f"{what} {value} is not within {least:g} and {most:g}")
