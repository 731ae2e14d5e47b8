"""The JSON Schema of a lock file, from its types."""

from __future__ import annotations

from typing import Any

import msgspec

from builder.digests import Digest, Json
from builder.lock.model import Lock


def json_schema() -> dict[str, Json]:
    """Return JSON Schema (draft 2020-12) of `specs/lock.schema.json`."""
    (reference,), components = msgspec.json.schema_components(
        [Lock], schema_hook=_describe, ref_template="#/$defs/{name}"
    )
    for name in components:
        components[name]["description"] = str(components[name].get("description", "")).split("\n")[0]
    schema: dict[str, Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lock of an imgbuild image",
        **reference,
        "$defs": components,
    }
    return schema


def _describe(kind: type) -> dict[str, Any]:
    if kind is Digest:
        return {"type": "string", "pattern": "^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$"}
    raise NotImplementedError(kind)  # msgspec's way to say that the hook does not know it
