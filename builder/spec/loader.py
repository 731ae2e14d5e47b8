"""From the text of a spec to its values, with all its faults told in one run.

text ─ decode, compose ▶ nodes ─ read by the grammar ▶ values ─ check ▶ SpecDocument
"""

from __future__ import annotations

import re

import msgspec

from builder.errors import SpecError
from builder.spec import grammar, nodes, values
from builder.spec.checks import check
from builder.spec.faults import Faults, Refusal
from builder.spec.model import ImageSpec, SpecDocument
from builder.spec.shapes import NOUNS, Reading


def load(text: str | bytes, file: str) -> SpecDocument:
    """Return the spec that TEXT is; FILE names it in messages and, without ``image:``, the image.

    Raises `SpecError`, whose ``faults`` are all faults of the file in its order.
    """
    faults, root = _compose(text, file)
    reading = Reading(faults, grammar.HOMES)
    spec = grammar.SPEC.read(reading, root, "")
    if isinstance(spec, ImageSpec):
        check(spec, reading)
        if "image" not in reading.spans:
            spec = msgspec.structs.replace(spec, image=_image_of_file(root, file, faults))
    faults.raise_if_any()
    assert isinstance(spec, ImageSpec)
    return SpecDocument(spec=spec, positions=reading.positions)


def _compose(content: str | bytes, file: str) -> tuple[Faults, nodes.Node]:
    """Return where to gather faults, and the map at the root of CONTENT."""
    try:
        text = nodes.decode(content)
    except nodes.Unreadable as unreadable:
        shown = (
            content if isinstance(content, str) else content[: nodes.MAX_BYTES].decode(errors="replace")
        )
        raise _unreadable(unreadable, Faults(file, shown)) from unreadable
    faults = Faults(file, text)
    try:
        root = nodes.compose(text)
    except nodes.Unreadable as unreadable:
        raise _unreadable(unreadable, faults) from unreadable
    hint = "a spec begins with image: and distro:; imgbuild init writes one to start from"
    if root is None or (isinstance(root, nodes.Scalar) and root.kind == "nothing"):
        faults.add(nodes.Span(0, 0, 0, 1), "the file is empty", hint)
    elif not isinstance(root, nodes.Map):
        faults.add(root.span, f"a spec is a map of keys, not {NOUNS[root.kind]}", hint)
    else:
        return faults, root
    raise faults.error()


def _unreadable(unreadable: nodes.Unreadable, faults: Faults) -> SpecError:
    faults.add(unreadable.span, unreadable.message, unreadable.hint)
    return faults.error()


def _image_of_file(root: nodes.Node, file: str, faults: Faults) -> str:
    """Return the image's name by the name of its file: ``specs/web.yaml`` is ``web``."""
    stem = re.split(r"[/\\]", file)[-1]
    stem = stem.rpartition(".")[0] or stem
    try:
        return values.image(stem)
    except Refusal:
        first = nodes.Span(root.span.line, root.span.column, root.span.line, root.span.column + 1)
        message = f'the file\'s name "{stem}" cannot be the name of the image'
        faults.add(first, message, "add image: registry.example.com/team/app")
        return ""
