r"""The spec: what a user asks for, from YAML text with positions to values; no I/O.

>>> load_spec("distro: debian/trixie\npackages: [python3]", "web.yaml").spec.image
'web'

The grammar and PyYAML are imported by who loads a text.
"""

from __future__ import annotations

from builder.digests import Json
from builder.spec.model import ImageSpec, SpecDocument


def load_spec(text: str | bytes, file: str) -> SpecDocument:
    """Return the spec that TEXT is; FILE names it in messages and, without ``image:``, the image.

    Raises `SpecError`, whose ``faults`` are all faults of the file in its order.
    """
    from builder.spec.loader import load

    return load(text, file)


def json_schema() -> dict[str, Json]:
    """Return the JSON Schema (draft 2020-12) of a spec, for editors."""
    from builder.spec.schema import json_schema as schema

    return schema()


def starter(image: str, distro: str) -> str:
    """Return the text that ``imgbuild init`` writes: a few lines that build, and the rest commented."""
    from builder.spec.starter import starter as text

    return text(image, distro)


def inputs(spec: ImageSpec) -> dict[str, Json]:
    """Return SPEC as a document for `builder.digests.canonical_json`, defaults and all."""
    import msgspec

    document: dict[str, Json] = msgspec.to_builtins(spec)
    return document


__all__ = [
    "ImageSpec", "SpecDocument", "inputs", "json_schema", "load_spec", "starter",
]  # fmt: skip
