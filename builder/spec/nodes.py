"""YAML text to a tree of nodes with positions; strings stay as they are written.

PyYAML's parser gives events; the tree is made here, so that depth, size and the growth by aliases
are bounded while reading, and so that no text has become a number before someone who knows what the
field wants has seen it (YAML 1.1 reads ``no`` as false, ``0755`` as 493 and ``1.10`` as 1.1).

Raises `Unreadable` for text that is no single YAML document within the bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
MAX_NODES = 50_000

# Plain scalars that a YAML reader takes for something else than text: YAML 1.1 (yaml.org/type), whose
# words are the wider ones, and the octal numbers of YAML 1.2 (10.3.2).
_NOTHING = frozenset(("~", "null", "Null", "NULL", ""))
_BOOLEAN = frozenset(
    spelling
    for word in ("yes", "no", "true", "false", "on", "off")
    for spelling in (word, word.capitalize(), word.upper())
)
_INTEGER = r"[-+]?(?:0b[01_]+|0o[0-7]+|0x[0-9a-fA-F_]+|0[0-9_]*|[1-9][0-9_]*(?::[0-5]?[0-9])*)"
_NUMBER = (
    r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)
# What YAML may not hold at all (1.2.2, 5.1); \ufeff is a BOM in the middle of a file.
_UNPRINTABLE = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"


class Span:
    """Where text stands: lines and columns count from 0; ``end_column`` is one past the last."""

    __slots__ = ("column", "end_column", "end_line", "line")

    def __init__(self, line: int, column: int, end_line: int, end_column: int) -> None:
        self.line = line
        self.column = column
        self.end_line = end_line
        self.end_column = end_column


class Unreadable(ValueError):  # noqa: N818 - a fault of the text, turned into a SpecError by the loader
    """The text is not one YAML document within the bounds."""

    def __init__(self, message: str, span: Span, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint


class Scalar:
    """A piece of text. ``kind`` is what YAML would take it for: ``text``, ``integer`` and so on."""

    __slots__ = ("kind", "span", "text")

    def __init__(self, text: str, kind: str, span: Span) -> None:
        self.text = text
        self.kind = kind
        self.span = span


class List:
    """A sequence of nodes."""

    __slots__ = ("items", "span")
    kind = "list"

    def __init__(self, items: list[Node], span: Span) -> None:
        self.items = items
        self.span = span


class Map:
    """Pairs of nodes in their order; keys may be repeated or be no text, whoever reads must look."""

    __slots__ = ("pairs", "span")
    kind = "map"

    def __init__(self, pairs: list[tuple[Node, Node]], span: Span) -> None:
        self.pairs = pairs
        self.span = span


Node: TypeAlias = Scalar | List | Map


def decode(content: str | bytes) -> str:
    """Return CONTENT as text without a byte order mark; raises `Unreadable`."""
    start = Span(0, 0, 0, 1)
    if len(content) > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES} bytes, too large for a spec", start)
    if isinstance(content, bytes):
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Unreadable("UTF-16 text", start, "save the file as UTF-8")
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            before = content[: error.start].decode()
            found = f"byte 0x{content[error.start]:02x} is not UTF-8"
            raise Unreadable(found, _span_after(before), "save the file as UTF-8") from error
    else:
        text = content
    text = text.removeprefix("\ufeff")
    # The first question is quick and answers for nearly all files; compiling the pattern takes longer.
    is_plain = text.replace("\n", "").replace("\t", "").replace("\r", "").isprintable()
    if not is_plain and (unprintable := re.search(_UNPRINTABLE, text)):
        message = f"character U+{ord(unprintable[0]):04X} is not allowed in YAML"
        hint = 'inside double quotes it can be written as an escape such as "\\u0007"'
        raise Unreadable(message, _span_after(text[: unprintable.start()]), hint)
    return text


def compose(text: str) -> Node | None:
    """Return the tree of the only document of TEXT, None if there is nothing in it."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer(yaml.parse(text, Loader=loader)).document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(text, error) from error
    except yaml.YAMLError as error:
        raise Unreadable(f"not valid YAML: {error}", Span(0, 0, 0, 1)) from error


class _Composer:
    """Makes the tree of one stream of events (YAML 1.2.2, 3.1: compose)."""

    def __init__(self, events: Iterator[object]) -> None:
        self._events: Iterator[Any] = events
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._open: set[str] = set()
        self._nodes = 0

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    hint = "keep one image a file; images that share parts can share a base"
                    raise Unreadable("a second document begins", _span(event), hint)
            elif name not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                root = self._node(event, 0)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            hint = "aliases count as often as they are used"
            raise Unreadable(f"more than {MAX_NODES} values", _span(event), hint)
        if depth > MAX_DEPTH:
            raise Unreadable(f"nested more than {MAX_DEPTH} levels deep", _span(event))
        name = type(event).__name__
        if name == "AliasEvent":
            return self._alias(event)
        before = self._nodes
        anchor: str | None = event.anchor
        if anchor is not None:
            self._open.add(anchor)
        node = self._content(name, event, depth)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = (node, self._nodes - before)
        return node

    def _content(self, name: str, event: Any, depth: int) -> Node:
        _check_tag(event, name)
        if name == "ScalarEvent":
            is_plain = event.style is None or event.style == ""
            is_text = not is_plain or event.tag is not None
            return Scalar(event.value, "text" if is_text else kind_of(event.value), _span(event))
        if name == "SequenceStartEvent":
            items: list[Node] = []
            while type(child := next(self._events)).__name__ != "SequenceEndEvent":
                items.append(self._node(child, depth + 1))
            return List(items, _span(event, child))
        pairs: list[tuple[Node, Node]] = []
        while type(child := next(self._events)).__name__ != "MappingEndEvent":
            key = self._node(child, depth + 1)
            pairs.append((key, self._node(next(self._events), depth + 1)))
        return Map(pairs, _span(event, child))

    def _alias(self, event: Any) -> Node:
        if event.anchor in self._open:
            raise Unreadable(f'alias "*{event.anchor}" stands inside what it names', _span(event))
        if event.anchor not in self._anchors:
            message = f'alias "*{event.anchor}" names no anchor'
            hint = f'an anchor "&{event.anchor}" must come before it; quote text that begins with "*"'
            raise Unreadable(message, _span(event), hint)
        node, size = self._anchors[event.anchor]
        self._nodes += size
        return _moved(node, _span(event))


def kind_of(text: str) -> str:
    """Return what YAML readers, 1.1 or 1.2, take the plain scalar TEXT for."""
    if text in _NOTHING:
        return "nothing"
    if text in _BOOLEAN:
        return "boolean"
    if text[0] not in "+-.0123456789":
        return "text"
    if re.fullmatch(_INTEGER, text):
        return "integer"
    return "number" if re.fullmatch(_NUMBER, text) else "text"


def _check_tag(event: Any, name: str) -> None:
    if event.tag in (None, "!") or (name == "ScalarEvent" and event.tag == "tag:yaml.org,2002:str"):
        return
    raise Unreadable(f'tag "{event.tag}" has no meaning in a spec', _span(event), "remove the tag")


def _moved(node: Node, span: Span) -> Node:
    """Return NODE as if it stood at SPAN: faults of a value are told where the alias is written."""
    if isinstance(node, Scalar):
        return Scalar(node.text, node.kind, span)
    # What is inside keeps its own place: that is where it can be edited.
    return List(node.items, span) if isinstance(node, List) else Map(node.pairs, span)


def _span(first: Any, last: Any = None) -> Span:
    start, end = first.start_mark, (last or first).end_mark
    return Span(start.line, start.column, end.line, end.column)


def _span_after(text: str) -> Span:
    line, column = text.count("\n"), len(text) - (text.rfind("\n") + 1)
    return Span(line, column, line, column + 1)


def _syntax_error(text: str, error: Any) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    span = Span(mark.line, mark.column, mark.line, mark.column + 1) if mark else Span(0, 0, 0, 1)
    lines = text.splitlines() or [""]
    line = lines[min(span.line, len(lines) - 1)]
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation or line[span.column : span.column + 1] == "\t":
        column = line.index("\t")
        tab = Span(span.line, column, span.line, column + 1)
        return Unreadable("a tab where YAML wants spaces", tab, "indent with spaces")
    opened = ""
    if error.context_mark and error.context and error.context_mark.line != span.line:
        opened = f" ({error.context} that begins in line {error.context_mark.line + 1})"
    return Unreadable(f"not valid YAML: {error.problem}{opened}", span, _syntax_hint(error.problem))


def _syntax_hint(problem: str) -> str | None:
    if "mapping values are not allowed" in problem:
        return 'text that holds ": " needs quotes, and keys of one map stand below each other'
    if "expected alphabetic or numeric character" in problem:
        return "text that begins with * or & needs quotes"
    if "start any token" in problem:
        return "text that begins with @, `, % or another sign of YAML's own needs quotes"
    return None
