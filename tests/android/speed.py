"""Measures the Kotlin tokenizer: ``python -m tests.android.speed``, on an idle machine.

One thread cuts half a megabyte of English, paragraph by paragraph; the best of seven rounds counts.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.android import made_tokenizers, tokenizer_expectations
from tests.android.conftest import DEMO

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"


def classpath(folder: Path) -> str:
    """Compile the core and its tests; what ``java -cp`` takes. ``folder`` is to work in."""
    paths = folder / "classpath"
    maven = ["mvn", "-B", "-q", "-f", str(DEMO / "pom.xml"), "-pl", "core", "test-compile", PLUGIN]
    subprocess.run([*maven, f"-Dmdep.outputFile={paths}"], check=True)
    target = DEMO / "core/target"
    return f"{target / 'classes'}:{target / 'test-classes'}:{paths.read_text().strip()}"


def main() -> None:
    """Compile, train, measure; Kotlin prints a line for each tokenizer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer_expectations.write_prose(folder)
        for maker in made_tokenizers.MAKERS:
            if tokenizer := maker():
                (folder / maker.__name__).mkdir()
                tokenizer.save(str(folder / maker.__name__ / "tokenizer.json"))
        words = ["java", "-Xmx1g", "-cp", classpath(folder), "edgekit.core.Benchmark", name]
        subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
