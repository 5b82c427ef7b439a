"""An open bundle: verify it, run it, look inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edgekit.api.packages import packages_present
from edgekit.errors import SpecError, Unavailable
from edgekit.stages import ProgressCallback
from edgekit.targets import target as target_called

if TYPE_CHECKING:
    from threading import Event

    from edgekit.bundle.manifest import HopQuality, Manifest
    from edgekit.runtime import Floats, Session
    from edgekit.runtime.encode import Encoder, Inputs
    from edgekit.runtime.generation import Sampling
    from edgekit.runtime.generation import Statistics as Statistics
    from edgekit.runtime.generation.prompt import Prompts
    from edgekit.runtime.generation.reply import Conversation as Conversation
    from edgekit.runtime.generation.reply import Reply as Reply
    from edgekit.runtime.generation.seq2seq import Answering
    from edgekit.tasks import Context

Answer = dict[str, Any]


class _Closable(Protocol):
    def close(self) -> None: ...


Loaded = TypeVar("Loaded", bound=_Closable)


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
        self._prompts: Prompts | None = None
        self._generators: dict[str, Answering] = {}

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
        return (*self._sessions, *self._generators)

    @property
    def generates(self) -> bool:
        """Whether the model continues texts: then ``generate`` and ``chat`` are for it."""
        return self.manifest.generation is not None

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
        self,
        texts: Iterable[str],
        *,
        runtime: str | None = None,
        top_k: int | None = None,
        **wanted: Any,
    ) -> list[Answer]:
        """One answer for each text: an embedding, labels with scores, spans, mask fills, or a text.

        Args:
            texts: what to run; a single string is refused, it is most often a slip.
            runtime: which artifact; the first that is installed here unless given.
            top_k: how many candidates for each mask or question; 5 unless given.
            wanted: what the task takes besides its texts: ``context``, ``labels``, ``choices``,
                ``template``, ``multi_label``, ``aggregation``; see ``edgekit.tasks.Query``. For a
                model that continues texts, what ``generate`` takes.

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
        self,
        texts: Iterable[str],
        *,
        runtime: str | None = None,
        top_k: int | None = None,
        **wanted: Any,
    ) -> Iterator[Answer]:
        """The answers of ``run``, one by one: memory stays flat however many the texts.

        The request is checked and the model loaded at the call, not at the first answer.
        """
        from edgekit.tasks import check, task

        if isinstance(texts, str):
            raise SpecError("texts is one string", hint="Pass a list of texts: [text].")
        if self.generates:
            self.generator(runtime)
            return self._replies(texts, {**wanted, "runtime": runtime, "top_k": top_k})
        top_k = 5 if top_k is None else top_k
        if top_k < 1:
            raise SpecError(f"top_k is {top_k}", hint="Ask for at least one candidate.")
        check(task(self.manifest.task), wanted)
        with packages_present():
            session = self.session(runtime)
        named = {name: value for name, value in wanted.items() if value}
        return self._answers(session, texts, top_k, named)

    def generate(
        self,
        prompt: str,
        *,
        system: str | None = None,
        raw: bool = False,
        runtime: str | None = None,
        cancel: Event | None = None,
        **sampling: Any,
    ) -> Reply:
        """Continue a text, or answer a message where the model has a chat template.

        Args:
            prompt: the message or the text.
            system: a message of the system before it.
            raw: the text as it is, without the chat template.
            runtime: which artifact; the first that can be loaded here unless given.
            cancel: set it, from any thread, to end the answer.
            sampling: ``max_tokens``, ``temperature``, ``top_k``, ``top_p``, ``repetition_penalty``,
                ``seed``, ``stop``, ``beams``; the model's own defaults unless given.

        Returns:
            The answer: iterate over it for its pieces as they come, or ask for ``whole()``;
            ``statistics`` tells afterwards how long it took.

        Raises:
            SpecError: the model does not generate, or a value is outside its range.
            TextRefused: the prompt is empty, or fills the context.
            Unavailable: the runtime is not installed.

        Example:
            >>> reply = bundle.generate("What is 7 + 5?", max_tokens=20)  # doctest: +SKIP
            >>> for piece in reply:  # doctest: +SKIP
            ...     print(piece, end="", flush=True)
            7 + 5 = 12.
        """
        from edgekit.runtime.generation.reply import Reply

        with packages_present():
            chosen = self._sampling(sampling)
            ids = self._prompt().one(prompt, system=system, raw=raw)
            generator = self.generator(runtime)
        return Reply(generator, generator.generate(ids, chosen, cancel))

    def chat(
        self, *, system: str | None = None, runtime: str | None = None, **sampling: Any
    ) -> Conversation:
        """Begin a conversation; its ``ask`` gives the pieces of each answer.

        Arguments and failures as of ``generate``.

        Raises:
            SpecError: the model has no chat template.
        """
        from edgekit.runtime.generation.reply import Conversation

        with packages_present():
            chosen = self._sampling(sampling)
            prompts = self._prompt()
            prompts.chat([{"role": "user", "content": "Hello."}])
            return Conversation(self.generator(runtime), prompts, chosen, system)

    def session(self, runtime: str | None = None) -> Session:
        """The loaded artifact of a runtime; it is kept until ``close``.

        Args:
            runtime: which; None for the first that can be loaded here.
        """
        from edgekit.runtime import open_artifact

        return self._loaded(self._sessions, open_artifact, runtime)

    def generator(self, runtime: str | None = None) -> Answering:
        """The loaded decoder of a runtime with the loop around it; kept until ``close``.

        Args:
            runtime: which; None for the first that can be loaded here.

        Raises:
            SpecError: the model does not generate.
        """
        from edgekit.runtime.generation.open import open_generator

        self._prompt()
        return self._loaded(self._generators, open_generator, runtime)

    def _loaded(
        self,
        kept: dict[str, Loaded],
        load: Callable[[Path, Manifest, str], Loaded],
        runtime: str | None,
    ) -> Loaded:
        if runtime is not None:
            self._check_runtimes([runtime])
        wanted = self.runtimes if runtime is None else (runtime,)
        lacking: list[Unavailable] = []
        for name in wanted:
            try:
                if name not in kept:
                    with packages_present():
                        kept[name] = load(self.path, self.manifest, name)
                return kept[name]
            except Unavailable as lack:
                lacking.append(lack)
        raise lacking[0]

    def close(self) -> None:
        """Release the loaded artifacts; the bundle can be used again afterwards."""
        for kept in (self._sessions, self._generators):
            while kept:
                kept.popitem()[1].close()

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

    def _prompt(self) -> Prompts:
        from edgekit.runtime.generation.prompt import read_prompts

        if self._prompts is None:
            self._prompts = read_prompts(self.path, self.manifest)
        return self._prompts

    def _sampling(self, wanted: dict[str, Any]) -> Sampling:
        from edgekit.runtime.generation.reply import sampling

        return sampling(self._prompt().generation.sampling, **wanted)

    def _replies(self, texts: Iterable[str], wanted: dict[str, Any]) -> Iterator[Answer]:
        for text in texts:
            reply = self.generate(text, **wanted)
            answer = reply.whole()
            yield {"text": text, "answer": answer, **asdict(reply.statistics)}

    def _answers(
        self, session: Session, texts: Iterable[str], top_k: int, wanted: dict[str, Any]
    ) -> Iterator[Answer]:
        from edgekit.runtime import batches
        from edgekit.runtime.ask import ask
        from edgekit.tasks import Query, task

        encoder, of = self._encode(), task(self.manifest.task)
        signature, output = self.manifest.signature, self.manifest.signature.outputs[0].name
        pad_id = self.manifest.tokenizer.filler

        def run(samples: Sequence[Inputs]) -> list[Floats]:
            return batches.answers(
                lambda given: [session.run(one)[output] for one in given],
                samples,
                signature,
                pad_id,
            )

        queries = (Query(text, **wanted) for text in texts)
        while some := list(islice(queries, batches.at_a_time(signature))):
            yield from ask(of, encoder, run, some, top_k)

    def _check_runtimes(self, names: Sequence[str]) -> None:
        _one_of("runtime", names, self.runtimes, where=" in this bundle")


def _one_of(kind: str, names: Sequence[str], known: Sequence[str], where: str = "") -> None:
    for name in names:
        if name not in known:
            raise SpecError(
                f"unknown {kind} {name!r}{where}", hint=f"There is: {', '.join(known)}."
            )
