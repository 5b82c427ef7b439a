"""The README of a project that ``edgekit android new`` makes."""

from __future__ import annotations

from edgekit.bundle.manifest import Manifest

_TEXT = """\
# {package}

An Android app around the bundle `{bundle}` ({task}), made by `edgekit android new`. Nothing that is
typed into it leaves the phone: it asks for no permission, INTERNET least of all.

| | |
|---|---|
| `app` | the screens, under your package: change them as you like |
| `app/src/main/assets/edgekit` | the bundle, which the app checks byte by byte before it uses it |
| `sdk`, `core`{executorch} | edgekit's library: `EdgeKit.open(context, source)` |
| `packer` | the last step of the Maven build: aligns, packs, signs for debugging |

## Building

{building}
Native libraries of the runtime ({library}) come from its Android archive, which the build asks for.
Without them the app shows its screens and cannot answer.
"""
_ONNX = """\
Open this folder in Android Studio, or, without an Android SDK, with Maven and a JDK 17:

```
edgekit android build .
edgekit android check app/target/app-debug.apk
adb install -r app/target/app-debug.apk
```
"""
_EXECUTORCH = """\
Open this folder in Android Studio. The Maven build makes ONNX Runtime apps only.
"""


def text(manifest: Manifest, package: str, engine: str) -> str:
    """The page.

    Args:
        manifest: of the bundle that the project brings.
        package: of the app.
        engine: ``onnx`` or ``executorch``.
    """
    other = engine == "executorch"
    return _TEXT.format(
        package=package,
        bundle=manifest.name,
        task=manifest.task,
        executorch=", `executorch`" if other else "",
        building=_EXECUTORCH if other else _ONNX,
        library="ExecuTorch" if other else "ONNX Runtime",
    )
