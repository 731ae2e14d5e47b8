"""The JSON Schema of a spec, from its grammar."""

from __future__ import annotations

from builder.digests import Json
from builder.spec.grammar import SPEC


def json_schema() -> dict[str, Json]:
    """Return JSON Schema (draft 2020-12) of `specs/spec.schema.json`.

    It knows every key, type, bound and simple pattern; what holds between values, and whether a path
    is clean or a date is one of the calendar, only `builder.spec.load_spec` knows.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Spec of an imgbuild image",
        "description": "What an image is made of: packages of a distribution, files and configuration.",
        **SPEC.schema(),
    }
