"""The Python interface: make a bundle, open one, verify it, run it. The command line sits on this.

Example:
    >>> import edgekit
    >>> with edgekit.export("minilm", out="minilm-android-arm64") as bundle:  # doctest: +SKIP
    ...     bundle.verify()
    ...     bundle.run(["The sun rises in the east.", "Morning light comes from the east."])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgekit.doctor.packages import explain_import_error
from edgekit.errors import SpecError, Unavailable
from edgekit.stages import ProgressCallback
from edgekit.targets import target as target_called

if TYPE_CHECKING:
    from edgekit.bundle.manifest import HopQuality, Manifest
    from edgekit.runtime import Session
    from edgekit.runtime.encode import Encoder
    from edgekit.tasks import Context
    from edgekit_converters.quantize.record import QuantizedFolder as QuantizedFolder

Answer = dict[str, Any]


def export(
    model: str | Path,
    *,
    target: str = "android-arm64",
    out: str | Path | None = None,
    task: str = "auto",
    runtimes: Sequence[str] | None = None,
    quantize: str | None = None,
    delegate: str | None = None,
    max_length: int | None = None,
    samples: str | Path | None = None,
    revision: str | None = None,
    force: bool = False,
    keep_failed: bool = False,
    progress: ProgressCallback | None = None,
) -> Bundle:
    """Turn a model into a verified bundle: a .pte and an .onnx from one graph, with their proof.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        target: what the artifacts are made for.
        out: the bundle's folder; named after the model and the target unless given.
        task: what the model is for; ``auto`` reads it from the config.
        runtimes: which artifacts to make; all that the target has unless given.
        quantize: ``int8`` or ``none``; int8 unless the delegate needs fp32.
        delegate: which accelerator interface to lower for; the runtime's default unless given.
        max_length: longest input in tokens; the model's own limit unless given.
        samples: file of real texts, one a line, that quality is measured on.
        revision: branch, tag or commit of a hub model.
        force: replace an existing bundle.
        keep_failed: keep a bundle that missed a floor, marked uncertified.
        progress: told of each stage.

    Returns:
        The bundle, checked and open.

    Raises:
        SpecError: an unknown target, task, runtime, delegate or scheme.
        InputMissing: no such model or samples file.
        InputRefused: the model is unsafe, damaged or unusable.
        ParityFailed: an artifact does not give the model's answers; no bundle is left.
        Unsupported: the target, runtime or architecture cannot do what was asked.
        Unavailable: torch and its companions are not installed.
        CannotWrite: the output cannot be written, or exists and ``force`` was not given.
        StorageFull: the disk is full; nothing was left behind.

    Example:
        >>> import edgekit
        >>> bundle = edgekit.export("minilm", out="minilm-android-arm64")  # doctest: +SKIP
        >>> [artifact.file for artifact in bundle.manifest.artifacts]  # doctest: +SKIP
        ['model.pte', 'model.onnx']
    """
    with _packages_present():
        from edgekit_converters import pipeline

        folder = pipeline.export(
            model,
            target=target,
            out=_path(out),
            task=task,
            runtimes=runtimes,
            quantize=quantize,
            delegate=delegate,
            max_length=max_length,
            samples=_path(samples),
            revision=revision,
            force=force,
            keep_failed=keep_failed,
            progress=progress,
        )
    return Bundle.open(folder)


def schemes() -> tuple[str, ...]:
    """Names that an export's ``quantize`` takes."""
    from edgekit_converters.quantize.schemes import AUTO, SCHEMES

    return (AUTO, *SCHEMES)


def quantize(
    model: str | Path,
    *,
    out: str | Path | None = None,
    recipe: str | Path | None = None,
    task: str = "auto",
    max_length: int | None = None,
    samples: str | Path | None = None,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> QuantizedFolder:
    """Calibrate a model: the same folder with a quantization plan and its ledger, for ``export``.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        out: the new folder; named after the model and the scheme unless given.
        recipe: TOML file with options, and with bits for single tensors; arguments win over it.
        task: what the model is for; ``auto`` reads it from the config.
        max_length: longest input in tokens; the model's own limit unless given.
        samples: file of real texts, one a line, that quality is measured on.
        revision: branch, tag or commit of a hub model.
        force: replace an existing quantized folder.
        progress: told of each stage.
        options: ``scheme`` (a name of ``schemes()`` or ``mixed``), ``data`` (calibration texts),
            ``scaling``, ``rounding``, ``group``; for a mixed plan ``max_size``, ``min_quality``,
            ``max_latency``, ``plot``. They are what ``edgekit quantize --help`` lists.

    Raises:
        SpecError: an unknown name or option, or options that contradict each other.
        InputMissing, InputRefused: model, recipe or texts are missing, damaged or do not fit.
        CheckFailed: coverage, quality or the budget does not hold; nothing is written.
        Unsupported, Unavailable, CannotWrite, StorageFull: as for ``export``.
    """
    with _packages_present():
        from edgekit_converters import planning

        return planning.quantize(
            model,
            planning.options_from(options),
            out=_path(out),
            recipe=_path(recipe),
            task=task,
            max_length=max_length,
            samples_file=_path(samples),
            revision=revision,
            force=force,
            progress=progress,
        )


def open_quantized(path: str | Path) -> QuantizedFolder | None:
    """The plan and ledger of a quantized folder, checked; None where there is no plan.

    Raises:
        InputRefused: it is damaged, or it was made for other weights.
    """
    from edgekit_converters.quantize import record

    return record.opened(Path(path))


class Bundle:
    """An open bundle: its manifest and hashes have been checked, its models load when used.

    Attributes:
        path: the bundle's folder.
        manifest: what the bundle is, as typed data.

    Example:
        >>> from edgekit import Bundle
        >>> with Bundle.open("minilm-android-arm64") as bundle:  # doctest: +SKIP
        ...     len(bundle.run(["A text."])[0]["embedding"])
        384
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Use ``Bundle.open``, which checks the files."""
        self.path = path
        self.manifest = manifest
        self._encoder: Encoder | None = None
        self._sessions: dict[str, Session] = {}

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Check a bundle's manifest and the hash of every file; nothing native is loaded.

        Raises:
            InputMissing: there is no such folder.
            BundleCorrupt: the folder is no bundle, or its files do not match its manifest.
            BundleTooNew: a newer edgekit made it.
        """
        from edgekit.bundle import read

        folder = Path(path)
        manifest = read.load_manifest(folder)
        read.check_files(folder, manifest)
        return cls(folder, manifest)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes that the bundle has an artifact for, preferred first."""
        return tuple(artifact.runtime for artifact in self.manifest.artifacts)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The runtimes whose artifact is loaded now."""
        return tuple(self._sessions)

    @property
    def context(self) -> Context:
        """What the task knows of the model: labels, tokens, the mask token."""
        return self._encode().context

    @property
    def mask_token(self) -> str | None:
        """The text of the mask token; None where the tokenizer has none."""
        context = self.context
        return None if context.mask_token_id is None else context.tokens[context.mask_token_id]

    def ledger(self) -> dict[str, Any]:
        """``coverage`` and ``ledger`` of the report; empty where an older edgekit made it."""
        from edgekit.bundle import report

        return report.ledger(self.path)

    def verify(
        self,
        *,
        runtimes: Sequence[str] | None = None,
        arm64: bool | Sequence[str] = False,
        progress: ProgressCallback | None = None,
    ) -> list[HopQuality]:
        """Check the hashes again, then replay the goldens through the artifacts.

        Args:
            runtimes: which artifacts; all unless given.
            arm64: True to replay on an emulated arm64 processor as well; or the names of the
                processors in the target's table (``a76``, ``a53``, ...).
            progress: told of each stage.

        Returns:
            One record a hop: cosines, SNR in dB, share of equal answers.

        Raises:
            BundleCorrupt: a file does not match the manifest.
            ParityFailed: a hop misses its floor; the hop is named.
            SpecError: an unknown runtime or processor.
            Unavailable: a runtime, the emulator or the arm64 runner is not installed.
        """
        self._check_runtimes(runtimes or ())
        known = tuple(target_called(self.manifest.target).emulated_cpus)
        cpus = tuple(known[: int(arm64)] if isinstance(arm64, bool) else arm64)
        _one_of("emulated processor", cpus, known)
        with _packages_present():
            from edgekit.verify import verify

            return verify(self.path, runtimes=runtimes, arm64=cpus, progress=progress)

    def run(
        self, texts: Iterable[str], *, runtime: str | None = None, top_k: int = 5
    ) -> list[Answer]:
        """One answer for each text: an embedding, labels with scores, or mask fills.

        Args:
            texts: what to run; a single string is refused, it is most often a slip.
            runtime: which artifact; the first that is installed here unless given.
            top_k: how many candidates for each mask.

        Raises:
            TextRefused: a text is empty, too long, or has no mask where one is needed.
            SpecError: the bundle has no artifact for ``runtime``.
            Unavailable: the runtime is not installed.

        Example:
            >>> answer, = bundle.run(["A text."], runtime="onnx")  # doctest: +SKIP
            >>> sorted(answer)  # doctest: +SKIP
            ['embedding', 'text']
        """
        return list(self.answers(texts, runtime=runtime, top_k=top_k))

    def answers(
        self, texts: Iterable[str], *, runtime: str | None = None, top_k: int = 5
    ) -> Iterator[Answer]:
        """The answers of ``run``, one by one: memory stays flat however many the texts.

        The request is checked and the model loaded at the call, not at the first answer.
        """
        if isinstance(texts, str):
            raise SpecError("texts is one string", hint="Pass a list of texts: [text].")
        if top_k < 1:
            raise SpecError(f"top_k is {top_k}", hint="Ask for at least one candidate.")
        with _packages_present():
            session = self.session(runtime)
        return self._answers(session, texts, top_k)

    def session(self, runtime: str | None = None) -> Session:
        """The loaded artifact of a runtime; it is kept until ``close``.

        Args:
            runtime: which; None for the first that can be loaded here.
        """
        from edgekit.runtime import open_artifact

        if runtime is not None:
            self._check_runtimes([runtime])
        wanted = self.runtimes if runtime is None else (runtime,)
        lacking: list[Unavailable] = []
        for name in wanted:
            try:
                if name not in self._sessions:
                    with _packages_present():
                        self._sessions[name] = open_artifact(self.path, self.manifest, name)
                return self._sessions[name]
            except Unavailable as lack:
                lacking.append(lack)
        raise lacking[0]

    def close(self) -> None:
        """Release the loaded artifacts; the bundle can be used again afterwards."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Bundle({str(self.path)!r}, task={self.manifest.task!r})"

    def _encode(self) -> Encoder:
        from edgekit.runtime.encode import Encoder

        if self._encoder is None:
            self._encoder = Encoder(self.path, self.manifest)
        return self._encoder

    def _answers(self, session: Session, texts: Iterable[str], top_k: int) -> Iterator[Answer]:
        from edgekit.runtime.encode import unpad
        from edgekit.tasks import task

        encoder = self._encode()
        context = replace(encoder.context, top_k=top_k)
        module = task(self.manifest.task)
        output = self.manifest.signature.outputs[0].name
        for text in texts:
            inputs = encoder.encode(text)
            made, ids = unpad(session.run(inputs)[output], inputs)
            yield module.answer(made, ids, text, context)

    def _check_runtimes(self, names: Sequence[str]) -> None:
        _one_of("runtime", names, self.runtimes, where=" in this bundle")


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _one_of(kind: str, names: Sequence[str], known: Sequence[str], where: str = "") -> None:
    for name in names:
        if name not in known:
            raise SpecError(
                f"unknown {kind} {name!r}{where}", hint=f"There is: {', '.join(known)}."
            )


@contextmanager
def _packages_present() -> Iterator[None]:
    """Turn the ImportError of a package that an extra brings into its typed error."""
    try:
        yield
    except ImportError as error:
        explained = explain_import_error(error)
        if explained is None:
            raise
        raise explained from error
