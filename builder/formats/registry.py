"""Which formats there are: a name, and where its object is. A new format is one line here.

Formats are imported when asked for, so that a deb build never pays for rpm.
"""

from __future__ import annotations

import importlib

from builder.packages import PackageFormat

_FORMATS = {
    "deb": "builder.formats.deb.format",
}


def load_format(name: str) -> PackageFormat:
    """Return the format called NAME; `KeyError` for a name no distribution's data may use."""
    module = importlib.import_module(_FORMATS[name])
    answer: PackageFormat = module.FORMAT
    return answer


def format_names() -> tuple[str, ...]:
    """Return the names of all formats, sorted."""
    return tuple(sorted(_FORMATS))
