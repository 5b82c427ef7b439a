"""Make an Android project around a bundle, build its APK, and check an APK."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli import options
from edgekit.cli.output import Output

_bundle = click.option(
    "--bundle",
    required=True,
    type=click.Path(path_type=Path),
    help="Bundle that the app brings: the folder that edgekit export wrote.",
)
_engine = click.option(
    "--engine",
    type=click.Choice(["onnx", "executorch"]),
    default="onnx",
    show_default=True,
    help="Which runtime answers.",
)


_tuning = click.option(
    "--tuning",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Thread counts for the app: what edgekit bench --threads auto --tuning FILE wrote.",
)


@click.group()
def command() -> None:
    """Make an Android project around a bundle, build its APK, and check an APK.

    A project opens in Android Studio. The Maven build makes a signed debug APK of an ONNX Runtime
    project without an Android SDK.
    """


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_bundle
@click.option("--package", required=True, metavar="NAME", help="The app's, as com.example.app.")
@_engine
@_tuning
@click.option("--force", is_flag=True, help="Replace a project that has the name.")
@options.verb_options
@click.pass_obj
def new(
    output: Output,
    folder: Path,
    bundle: Path,
    package: str,
    engine: str,
    tuning: Path | None,
    force: bool,
) -> None:
    """Write a whole project with the bundle in it."""
    from edgekit.android import project
    from edgekit.cli import android_view

    made = project.new(
        folder,
        bundle,
        package=package,
        engine=android_view.engine(engine),
        tuning=tuning,
        force=force,
        say=output.say,
    )
    android_view.project(output, made)


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_bundle
@_engine
@_tuning
@click.option("--force", is_flag=True, help="Replace a bundle that has the name.")
@options.verb_options
@click.pass_obj
def add(
    output: Output, folder: Path, bundle: Path, engine: str, tuning: Path | None, force: bool
) -> None:
    """Put the bundle into an app that is there, and print what else it needs."""
    from edgekit.android import project
    from edgekit.cli import android_view

    chosen = android_view.engine(engine)
    added = project.add(folder, bundle, engine=chosen, tuning=tuning, force=force, say=output.say)
    android_view.added(output, added)


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--libs",
    "archives",
    multiple=True,
    metavar="AAR",
    type=click.Path(path_type=Path),
    help="Archive with native libraries; may be given several times. Asked of Maven unless given.",
)
@click.option("--offline", is_flag=True, help="Let Maven use only what it has.")
@options.verb_options
@click.pass_obj
def build(output: Output, folder: Path, archives: tuple[Path, ...], offline: bool) -> None:
    """Build a signed debug APK with Maven."""
    from edgekit.android import maven
    from edgekit.cli import android_view

    android_view.built(
        output, maven.build(folder, archives=archives, offline=offline, say=output.say)
    )


@command.command()
@click.argument("apk", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Take a note for a failure.")
@options.verb_options
@click.pass_obj
def check(output: Output, apk: Path, strict: bool) -> None:
    """Check signature, alignment, pages, permissions, bundle and engine of an APK."""
    from edgekit.android import checks
    from edgekit.cli import android_view

    android_view.checked(output, apk, checks.check(apk), strict=strict)
