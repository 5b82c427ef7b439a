"""Make an Android project around a bundle, or put a bundle into one that is there."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edgekit.android import readme, template, tuned
from edgekit.bundle import read
from edgekit.bundle.disk import require_space
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.staging import Staging
from edgekit.errors import InputMissing, InputRefused, OutputExists, SpecError, Unsupported

Engine = Literal["onnx", "executorch"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

ASSETS = Path("src/main/assets/edgekit")
_MARKER = "settings.gradle.kts"
_OWN = "edgekit.demo"
_TITLE = ">edgekit demo<"
# What only the repository of edgekit keeps out of its history: here it is the app.
_NOT_IGNORED = "app/src/main/assets/\n"
_MODULES = ("core", "sdk", "packer", "app")
_PACKAGE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
# Words that a package's part may not be.
_WORDS = (
    "abstract as assert boolean break byte case catch char class const continue default do",
    "double else enum extends false final finally float for fun goto if implements import in",
    "instanceof int interface is long native new null object package private protected public",
    "return short static strictfp super switch synchronized this throw throws transient true",
    "try typealias typeof val var void volatile when while",
)
_LONGEST_PACKAGE = 200


@dataclass(frozen=True)
class Added:
    """A bundle in an app's assets.

    Attributes:
        folder: where it lies now.
        asset: its name for ``BundleSource.asset``.
        gradle: lines for the app's ``build.gradle.kts``.
        kotlin: lines that open it.
    """

    folder: Path
    asset: str
    gradle: str
    kotlin: str


def new(
    folder: Path,
    bundle: Path,
    *,
    package: str,
    engine: Engine = "onnx",
    tuning: Path | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write a whole project: the sources of edgekit's app under a package of its own, and a bundle.

    Args:
        folder: the project's folder.
        bundle: the bundle that the app brings.
        package: of the app, as ``com.example.app``.
        engine: which runtime answers.
        tuning: what ``edgekit bench --tuning`` wrote for the bundle.
        force: replace a project that has the name.
        say: told what the tuning file holds, and what may be wrong.

    Raises:
        SpecError: the package's name is none, or the engine is unknown.
        InputMissing, InputRefused: there is no such bundle or tuning file, or it is damaged, or the
            bundle has no artifact for the engine.
        Unsupported: the bundle was made for several texts at once, or writes its answers and was to
            run in ExecuTorch.
        Unavailable: this installation has no Android sources.
        CannotWrite, StorageFull: the project cannot be written; nothing is left.
    """
    _check_package(package)
    manifest = _checked(bundle, engine)
    threads = None if tuning is None else tuned.read(tuning, manifest)
    modules = (*_MODULES, "executorch") if engine == "executorch" else _MODULES
    sources = template.files(modules)
    with _told(), Staging(folder, force=force, marker=_MARKER) as staging:
        require_space(staging.folder, _size(bundle) + _sources_size(sources))
        for name, path in sources.items():
            place = staging.folder / _renamed(name, package)
            place.parent.mkdir(parents=True, exist_ok=True)
            if name.startswith("app/") and _is_text(path):
                text = _with_package(path.read_text(encoding="utf-8"), package)
                place.write_text(_with_engine(text, engine), encoding="utf-8")
            elif name == ".gitignore":
                text = path.read_text(encoding="utf-8")
                place.write_text(text.replace(_NOT_IGNORED, ""), encoding="utf-8")
            else:
                shutil.copyfile(path, place)
        page = readme.text(manifest, package, engine)
        (staging.folder / "README.md").write_text(page, encoding="utf-8")
        asset = staging.folder / "app" / ASSETS / manifest.name
        shutil.copytree(bundle, asset)
        if threads is not None:
            threads.write(asset.parent / tuned.NAME)
        staging.commit()
    _remark(manifest, threads, say)
    return staging.final


def add(
    folder: Path,
    bundle: Path,
    *,
    engine: Engine = "onnx",
    tuning: Path | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Added:
    """Put a bundle into the assets of an app that is there, and say what else it needs.

    Args:
        folder: the app's module, which holds ``src/main``, or a project with a module ``app``.
        bundle: the bundle.
        engine: which runtime is to answer.
        tuning: what ``edgekit bench --tuning`` wrote for the bundle. An app has one such file:
            measure all its bundles in one run.
        force: replace a bundle, and a tuning file, that has the name.
        say: told what the tuning file holds, and what may be wrong.

    Raises:
        InputMissing: ``folder`` is no Android app.
        SpecError, InputRefused, Unsupported, CannotWrite, StorageFull: as for ``new``.
    """
    manifest = _checked(bundle, engine)
    module = _module(folder)
    place = module / ASSETS / manifest.name
    threads = None if tuning is None else tuned.read(tuning, manifest)
    known = module / ASSETS / tuned.NAME
    if threads is not None and known.exists() and not force and known.read_bytes() != threads.data:
        raise OutputExists(
            f"{known} is there already",
            hint="Measure all bundles of the app in one run, or replace it with --force.",
        )
    with _told(), Staging(place, force=force) as staging:
        require_space(staging.folder, _size(bundle))
        shutil.copytree(bundle, staging.folder, dirs_exist_ok=True)
        staging.commit()
    if threads is not None:
        threads.write(known)
    _remark(manifest, threads, say)
    asset = f"edgekit/{manifest.name}"
    return Added(staging.final, asset, _gradle(engine), _kotlin(asset, engine, known.is_file()))


def _checked(bundle: Path, engine: str) -> Manifest:
    if engine not in ENGINES:
        raise SpecError(f"unknown engine {engine!r}", hint=f"One of: {', '.join(ENGINES)}.")
    manifest = read.load_manifest(bundle)
    read.check_files(bundle, manifest)
    if engine == "executorch" and manifest.generation is not None:
        raise Unsupported(
            f"{bundle} writes its answers, and ExecuTorch's part of the app answers in one pass",
            hint="Choose --engine onnx: edgekit export MODEL --runtime onnx.",
        )
    runtimes = [artifact.runtime for artifact in manifest.artifacts]
    if engine not in runtimes:
        raise InputRefused(
            f"{bundle} has no artifact for {engine}, only for {', '.join(runtimes)}",
            hint=f"edgekit export MODEL --runtime {engine}, or choose --engine {runtimes[0]}.",
        )
    if (texts := manifest.signature.inputs[0].dims[0].maximum) > 1:
        raise Unsupported(
            f"{bundle} was made for {texts} texts at once, and the app answers one at a time",
            hint="edgekit export MODEL without --batch.",
        )
    return manifest


def _remark(manifest: Manifest, threads: tuned.Tuned | None, say: Callable[[str], None]) -> None:
    """What to know before the app goes to phones."""
    if threads is not None:
        say(threads.remark)
    if not manifest.tokenizer.on_device:
        # The verdict is that of the edgekit that exported: an older one knew fewer tokenizers.
        say(
            "WARNING: the bundle says that phones cannot cut its text: "
            f"{manifest.tokenizer.on_device_reason}. The app may refuse to open it; export it "
            "again with this edgekit to know."
        )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """A name that is taken, with a hint for who gave a folder and no option."""
    try:
        yield
    except OutputExists as error:
        error.hint = "Name another folder, or replace it with --force."
        raise


def _check_package(package: str) -> None:
    parts = package.split(".")
    if (
        not _PACKAGE.fullmatch(package)
        or len(package) > _LONGEST_PACKAGE
        or set(" ".join(_WORDS).split()) & set(parts)
    ):
        raise SpecError(
            f"{package!r} is no package of an app",
            hint="Two or more small words with dots between, none a keyword: com.example.app.",
        )


def _module(folder: Path) -> Path:
    for place in (folder, folder / "app"):
        if (place / "src/main/AndroidManifest.xml").is_file():
            return place
    raise InputMissing(
        f"{folder} is no Android app: neither it nor its app/ has src/main/AndroidManifest.xml",
        hint="Name the module's folder, or begin anew: edgekit android new DIR --bundle BUNDLE "
        "--package com.example.app",
    )


def _renamed(name: str, package: str) -> str:
    own, other = (word.replace(".", "/") for word in (_OWN, package))
    return name.replace(f"app/src/main/kotlin/{own}/", f"app/src/main/kotlin/{other}/")


def _is_text(path: Path) -> bool:
    return path.suffix in {".kt", ".kts", ".xml", ".pro"}


def _with_package(text: str, package: str) -> str:
    """The app's sources under another package, whose last word is the app's title."""
    return text.replace(_OWN, package).replace(_TITLE, f">{package.rpartition('.')[2]}<")


def _with_engine(text: str, engine: Engine) -> str:
    """The app's sources for an engine: one line chooses it, one line brings its module."""
    if engine == "onnx":
        return text
    text = text.replace(
        "import edgekit.sdk.EdgeKit\n",
        "import edgekit.executorch.ExecuTorch\nimport edgekit.sdk.EdgeKit\n",
    )
    text = text.replace("Sources.source(wanted),", "Sources.source(wanted), ExecuTorch(),")
    return text.replace(
        'implementation(project(":sdk"))',
        'implementation(project(":sdk"))\n    implementation(project(":executorch"))',
    )


def _gradle(engine: Engine) -> str:
    library = {
        "onnx": "implementation(libs.onnxruntime.android)",
        "executorch": 'implementation(project(":executorch"))',
    }
    return "\n".join(
        [
            'android { androidResources { noCompress += listOf("onnx", "pte") } }',
            "dependencies {",
            '    implementation(project(":sdk"))',
            f"    {library[engine]}",
            "}",
        ]
    )


def _kotlin(asset: str, engine: Engine, tuning: bool) -> str:
    more = ", ExecuTorch()" if engine == "executorch" else ""
    more += f', tuning = "edgekit/{tuned.NAME}"' if tuning else ""
    return "\n".join(
        [
            f'val edgekit = EdgeKit.open(this, BundleSource.asset("{asset}"){more})',
            'edgekit.ask("A text.").then({ show(it) }, { error -> show(error.hint) })',
            "edgekit.close()  // in onDestroy",
        ]
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sources_size(sources: dict[str, Path]) -> int:
    return sum(path.stat().st_size for path in sources.values())
