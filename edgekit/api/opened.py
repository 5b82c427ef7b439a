"""An open bundle: verify it, run it, look inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgekit.api.packages import packages_present
from edgekit.errors import SpecError, Unavailable
from edgekit.stages import ProgressCallback
from edgekit.targets import target as target_called

if TYPE_CHECKING:
    from edgekit.bundle.manifest import HopQuality, Manifest
    from edgekit.runtime import Session
    from edgekit.runtime.encode import Encoder
    from edgekit.tasks import Context

Answer = dict[str, Any]


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
            Unavailable: a runtime, the emulator or a runner is not installed.
        """
        self._check_runtimes(runtimes or ())
        known = tuple(target_called(self.manifest.target).emulated_cpus)
        cpus = tuple(known[: int(arm64)] if isinstance(arm64, bool) else arm64)
        _one_of("emulated processor", cpus, known)
        with packages_present():
            from edgekit.verify import verify

            return verify(self.path, runtimes=runtimes, arm64=cpus, progress=progress)

    def run(
        self, texts: Iterable[str], *, runtime: str | None = None, top_k: int = 5, **wanted: Any
    ) -> list[Answer]:
        """One answer for each text: an embedding, labels with scores, spans, or mask fills.

        Args:
            texts: what to run; a single string is refused, it is most often a slip.
            runtime: which artifact; the first that is installed here unless given.
            top_k: how many candidates for each mask or question.
            wanted: what the task takes besides its texts: ``context``, ``labels``, ``choices``,
                ``template``, ``multi_label``, ``aggregation``; see ``edgekit.tasks.Query``.

        Raises:
            TextRefused: a text is empty, too long, or has no mask where one is needed.
            SpecError: there is no artifact for ``runtime``, or ``wanted`` does not fit the task.
            Unavailable: the runtime is not installed.

        Example:
            >>> answer, = bundle.run(["A text."], runtime="onnx")  # doctest: +SKIP
            >>> sorted(answer)  # doctest: +SKIP
            ['embedding', 'text']
        """
        return list(self.answers(texts, runtime=runtime, top_k=top_k, **wanted))

    def answers(
        self, texts: Iterable[str], *, runtime: str | None = None, top_k: int = 5, **wanted: Any
    ) -> Iterator[Answer]:
        """The answers of ``run``, one by one: memory stays flat however many the texts.

        The request is checked and the model loaded at the call, not at the first answer.
        """
        from edgekit.tasks import check, task

        if isinstance(texts, str):
            raise SpecError("texts is one string", hint="Pass a list of texts: [text].")
        if top_k < 1:
            raise SpecError(f"top_k is {top_k}", hint="Ask for at least one candidate.")
        check(task(self.manifest.task), wanted)
        with packages_present():
            session = self.session(runtime)
        named = {name: value for name, value in wanted.items() if value}
        return self._answers(session, texts, top_k, named)

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
                    with packages_present():
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

    def _answers(
        self, session: Session, texts: Iterable[str], top_k: int, wanted: dict[str, Any]
    ) -> Iterator[Answer]:
        from edgekit.runtime.ask import ask
        from edgekit.tasks import Query, task

        encoder, of = self._encode(), task(self.manifest.task)
        output = self.manifest.signature.outputs[0].name
        for text in texts:
            query = Query(text, **wanted)
            yield ask(of, encoder, lambda inputs: session.run(inputs)[output], query, top_k)

    def _check_runtimes(self, names: Sequence[str]) -> None:
        _one_of("runtime", names, self.runtimes, where=" in this bundle")


def _one_of(kind: str, names: Sequence[str], known: Sequence[str], where: str = "") -> None:
    for name in names:
        if name not in known:
            raise SpecError(
                f"unknown {kind} {name!r}{where}", hint=f"There is: {', '.join(known)}."
            )
