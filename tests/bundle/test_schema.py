import json
import subprocess
import sys
from pathlib import Path

from edgekit.bundle.schema import json_schema
from tests.bundle import small

PUBLISHED = Path(__file__).parents[2] / "docs" / "bundle-schema.json"


def test_the_published_schema_is_current() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "edgekit.bundle.schema"], check=True, stdout=subprocess.PIPE
    ).stdout
    assert made == PUBLISHED.read_bytes(), (
        "stale; regenerate: python -m edgekit.bundle.schema > docs/bundle-schema.json"
    )


def test_a_written_manifest_has_the_keys_of_the_schema(tmp_path: Path) -> None:
    written = json.loads((small.bundle(tmp_path / "b") / "edgekit.json").read_bytes())
    schema = json_schema()
    # Only models that generate text have it.
    assert set(written) == set(schema["properties"]) - {"generation"} == set(schema["required"])
    for name, part in (("base_model", "BaseModelRef"), ("limits", "Limits")):
        assert set(written[name]) == set(schema["$defs"][part]["properties"])
    assert schema["properties"]["schema_version"] == {"const": written["schema_version"]}
