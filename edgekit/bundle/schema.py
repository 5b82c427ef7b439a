"""The JSON Schema of the manifest, as published in ``docs/``.

Example:
    python -m edgekit.bundle.schema > docs/bundle-schema.json
"""

from __future__ import annotations

import sys
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.manifest import MANIFEST_NAME, SCHEMA_VERSION, Manifest


def json_schema() -> dict[str, Any]:
    """The schema of ``edgekit.json`` as a finished bundle holds it (JSON Schema 2020-12)."""
    schema = Manifest.model_json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"{MANIFEST_NAME}, schema version {SCHEMA_VERSION}"
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    # While a bundle is being made its seal may be absent; on the disk nothing is.
    schema["properties"]["seal"] = schema["properties"]["seal"]["anyOf"][0]
    # Only models that continue a text have it.
    schema["required"] = sorted(schema["properties"].keys() - {"generation"})
    return schema


if __name__ == "__main__":
    sys.stdout.buffer.write(dump_bytes(json_schema()))
