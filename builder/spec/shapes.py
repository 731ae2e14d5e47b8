"""What a value of the spec can look like: one declaration that reads it and describes it.

A shape has two methods. ``read`` takes a node and returns the value, or `MISSING` after it has noted a
fault; ``schema`` returns JSON Schema for editors. So reader and schema cannot disagree on what keys
there are, which are needed and of what type each is. What only ``read`` knows (a date of the calendar,
a path with ``..``) is `builder.spec.values`.

Values are ``Any`` here, and only here: this is the parser (STYLE 37).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from builder.digests import Json
from builder.errors import Position
from builder.spec.faults import Faults, Refusal, listed, near
from builder.spec.nodes import List, Map, Node, Scalar, Span

MISSING: Any = object()

NOUNS = {
    "text": "text",
    "integer": "the number",
    "number": "the number",
    "boolean": "the boolean",
    "nothing": "nothing",
    "list": "a list",
    "map": "a map",
}
_DECIMAL = r"0|[1-9][0-9]*"


class Reading:
    """The state of reading one file: faults, and where each value stands.

    ``places`` tells the paths of a list's good items, since bad ones are left out of the values.
    """

    def __init__(self, faults: Faults, homes: Mapping[str, Sequence[str]]) -> None:
        self.faults = faults
        self.homes = homes
        self.positions: dict[str, Position] = {}
        self.spans: dict[str, Span] = {}
        self.places: dict[str, list[str]] = {}

    def note(self, node: Node, path: str) -> None:
        """Remember where the value at PATH stands."""
        self.spans[path] = node.span
        self.positions[path] = self.faults.position(node.span)

    def fault(self, node: Node, path: str, message: str, hint: str | None = None) -> Any:
        """Note a fault of the value at PATH; returns `MISSING`."""
        self.faults.add(node.span, f"{path}: {message}" if path else message, hint)
        return MISSING

    def wrong_kind(self, node: Node, path: str, wanted: str, hint: str | None = None) -> Any:
        """Note that the value at PATH is of another kind than WANTED."""
        if node.kind == "nothing" and isinstance(node, Scalar) and not node.text:
            return self.fault(node, path, "has no value", hint or "give it a value, or remove the key")
        if node.kind == "nothing" and isinstance(node, Scalar):
            hint = hint or f'remove the key, or write "{node.text}" in quotes if that text is meant'
        found = NOUNS[node.kind]
        if isinstance(node, Scalar) and node.kind in ("integer", "number", "boolean"):
            found = f"{found} {node.text}"
        return self.fault(node, path, f"must be {wanted}, not {found}", hint)

    def parsed(self, node: Node, path: str, parse: Callable[[Any], Any], value: Any) -> Any:
        """Return what PARSE makes of VALUE."""
        try:
            return parse(value)
        except Refusal as refusal:
            return self.fault(node, path, refusal.message, refusal.hint)

    def pairs(self, node: Map, path: str) -> Iterator[tuple[str, Scalar, Node]]:
        """Yield the pairs of a map whose keys are text and not repeated."""
        seen: dict[str, Scalar] = {}
        for key, value in node.pairs:
            if not isinstance(key, Scalar):
                self.fault(key, path, f"a key must be text, not {NOUNS[key.kind]}")
            elif key.text == "<<" and key.kind == "text":
                hint = "write the keys out, or share layers with base:"
                self.fault(key, path, "merge keys are not supported", hint)
            elif key.text in seen:
                first = self.faults.position(seen[key.text].span)
                self.fault(
                    key, path, f'key "{key.text}" is there twice', f"the first is in line {first.line}"
                )
            else:
                seen[key.text] = key
                yield key.text, key, value


class Shape(Protocol):
    """What a value can look like."""

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""


class Text:
    """Text that PARSE understands.

    numbers           decimal integers may stand without quotes
    raw               whatever stands there is taken as it is written
    explains_numbers  PARSE refuses decimal integers in better words
    """

    def __init__(
        self,
        parse: Callable[[str], Any],
        pattern: str = "",
        *,
        numbers: bool = False,
        may_be_empty: bool = False,
        noun: str = "text",
        raw: bool = False,
        explains_numbers: bool = False,
    ) -> None:
        self._parse = parse
        self._pattern = pattern
        self._numbers = numbers or raw
        self._explains_numbers = explains_numbers
        self._may_be_empty = may_be_empty
        self._noun = noun
        self._raw = raw

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""
        reading.note(node, path)
        if not isinstance(node, Scalar) or node.kind == "nothing":
            return reading.wrong_kind(node, path, self._noun)
        is_decimal = node.kind == "integer" and re.fullmatch(_DECIMAL, node.text)
        takes_decimal = self._numbers or self._explains_numbers
        if node.kind != "text" and not (takes_decimal and is_decimal) and not self._raw:
            hint = f'write "{node.text}" in quotes: without them YAML reads {_reading_of(node)}'
            return reading.wrong_kind(node, path, self._noun, hint)
        return reading.parsed(node, path, self._parse, node.text)

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""
        schema: dict[str, Json] = {"type": ["string", "integer"] if self._numbers else "string"}
        if self._pattern:
            schema["pattern"] = self._pattern
        elif not self._may_be_empty:
            schema["minLength"] = 1
        if self._numbers:
            schema["minimum"] = 0
        return schema


class Choice:
    """One of a few words; ``refused`` are words with a fault of their own."""

    def __init__(
        self, words: Sequence[str], refused: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self._words = tuple(words)
        self._refused = refused or {}

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""
        reading.note(node, path)
        # The word as written: ``off`` is one, though YAML 1.1 reads it as false.
        if not isinstance(node, Scalar) or node.kind == "nothing":
            return reading.wrong_kind(node, path, listed(self._words))
        if node.text in self._words:
            return node.text
        if node.text in self._refused:
            return reading.fault(node, path, *self._refused[node.text])
        close = near(node.text, self._words)
        hint = f'did you mean "{close}"?' if close else None
        return reading.fault(node, path, f'must be {listed(self._words)}, not "{node.text}"', hint)

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""
        return {"type": "string", "enum": list(self._words)}


class Flag:
    """True or false."""

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""
        reading.note(node, path)
        if not isinstance(node, Scalar) or node.kind != "boolean":
            return reading.wrong_kind(node, path, "true or false")
        return node.text.lower() in ("true", "yes", "on")

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""
        return {"type": "boolean"}


class Whole:
    """A whole number between two bounds, in decimal digits."""

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest = lowest
        self._highest = highest

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""
        reading.note(node, path)
        wanted = f"a number from {self._lowest} to {self._highest}"
        if not isinstance(node, Scalar) or node.kind != "integer":
            is_quoted = isinstance(node, Scalar) and re.fullmatch(_DECIMAL, node.text)
            return reading.wrong_kind(node, path, wanted, "remove the quotes" if is_quoted else None)
        if not re.fullmatch(_DECIMAL, node.text):
            return reading.fault(
                node, path, f"must be {wanted}, not {node.text}", "write decimal digits"
            )
        if len(node.text) > 12 or not self._lowest <= int(node.text) <= self._highest:
            return reading.fault(node, path, f"must be {wanted}, not {node.text}")
        return int(node.text)

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""
        return {"type": "integer", "minimum": self._lowest, "maximum": self._highest}


class ListOf:
    """A list; as a tuple. ``check`` sees the whole of it."""

    def __init__(
        self, item: Shape, example: str, check: Callable[[Any], Any] = tuple, *, needs_one: bool = False
    ) -> None:
        self._item = item
        self._example = example
        self._check = check
        self._needs_one = needs_one

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""
        reading.note(node, path)
        if not isinstance(node, List):
            is_word = isinstance(node, Scalar) and re.match(r"^[A-Za-z0-9/][\w./+:-]*$", node.text)
            example = f"[{node.text}]" if is_word and isinstance(node, Scalar) else self._example
            hint = f"write {example}" if node.kind != "nothing" else None
            return reading.wrong_kind(node, path, "a list", hint)
        if self._needs_one and not node.items:
            return reading.fault(node, path, "is empty", "give it a value, or remove it")
        values, places = [], []
        for index, item in enumerate(node.items):
            place = f"{path}[{index}]"
            value = self._item.read(reading, item, place)
            if value is not MISSING:
                values.append(value)
                places.append(place)
        reading.places[path] = places
        if len(values) < len(node.items):
            return tuple(values)
        return reading.parsed(node, path, self._check, tuple(values))

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""
        schema: dict[str, Json] = {"type": "array", "items": self._item.schema()}
        if self._needs_one:
            schema["minItems"] = 1
        return schema


class MapOf:
    """A map with keys of the user's own; as sorted pairs."""

    def __init__(self, key: Callable[[str], str], key_pattern: str, value: Shape, example: str) -> None:
        self._key = key
        self._key_pattern = key_pattern
        self._value = value
        self._example = example

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""
        reading.note(node, path)
        if not isinstance(node, Map):
            hint = f"write {self._example}" if node.kind != "nothing" else None
            return reading.wrong_kind(node, path, "a map", hint)
        found = []
        for text, key, value in reading.pairs(node, path):
            if key.kind not in ("text", "integer", "boolean"):
                reading.wrong_kind(key, f"{path}, a key", "text", "put it in quotes")
                continue
            name = reading.parsed(key, path, self._key, text)
            result = self._value.read(reading, value, f"{path}.{text}")
            if name is not MISSING and result is not MISSING:
                found.append((name, result))
        return tuple(sorted(found))

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""
        schema: dict[str, Json] = {"type": "object", "additionalProperties": self._value.schema()}
        schema["propertyNames"] = {"pattern": self._key_pattern}
        return schema


class Field:
    """A key of a record: its shape, what it is for, and what stands in when it is not given.

    ``name`` is the attribute of the value it becomes; ``default`` is told to people and editors only.
    """

    def __init__(
        self,
        shape: Shape,
        text: str,
        *,
        name: str = "",
        example: Json = None,
        default: Json = None,
        is_needed: bool = False,
    ) -> None:
        self.shape = shape
        self.text = text
        self.name = name
        self.example = example
        self.default = default
        self.is_needed = is_needed


class Record:
    """A map with keys of ours. ``make`` gets the values by attribute name, without those not given.

    ``rules`` tell what is wrong with the made value as a whole, given what was written.
    ``stand_ins`` take the place of needed values with faults, so that the rest can still be checked.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        make: Callable[[dict[str, Any]], Any],
        rules: Callable[[Any, Mapping[str, Any]], Iterable[Refusal]] = lambda _value, _given: (),
        stand_ins: Mapping[str, Any] | None = None,
    ) -> None:
        self.fields = fields
        self._make = make
        self._rules = rules
        self._stand_ins = stand_ins or {}

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""
        reading.note(node, path)
        if not isinstance(node, Map):
            hint = self._keys() if node.kind != "nothing" else None
            return reading.wrong_kind(node, path, "a map", hint)
        before = len(reading.faults)
        given: dict[str, Any] = {}
        for text, key, value in reading.pairs(node, path):
            field = self.fields.get(text)
            if field is None:
                reading.fault(key, path, f'unknown key "{text}"', self._hint(reading, text, path))
                continue
            result = field.shape.read(reading, value, f"{path}.{text}" if path else text)
            given[field.name or text] = result
        value = self._made(reading, node, path, given)
        # What the values say together is looked at only if each of them is right.
        if value is not MISSING and len(reading.faults) == before:
            for refusal in self._rules(value, given):
                reading.fault(node, path, refusal.message, refusal.hint)
        return value

    def _made(self, reading: Reading, node: Node, path: str, given: dict[str, Any]) -> Any:
        is_whole = True
        for key, field in self.fields.items():
            attribute = field.name or key
            if field.is_needed and attribute not in given:
                hint = f"add {key}: {_inline(field.example)}"
                reading.fault(node, path, f'the key "{key}" is missing', hint)
            if field.is_needed and given.get(attribute, MISSING) is MISSING:
                given[attribute] = self._stand_ins.get(attribute, MISSING)
                is_whole = is_whole and given[attribute] is not MISSING
        if not is_whole:
            return MISSING
        return self._make({name: value for name, value in given.items() if value is not MISSING})

    def _hint(self, reading: Reading, text: str, path: str) -> str | None:
        close = near(text, self.fields)
        if close is not None:
            return f'did you mean "{close}"?'
        home = reading.homes.get(text.lower().replace("_", "-"), ())
        if home and path not in home:
            places = [f'"{place}"' if place else "the top of the file" for place in home]
            where = "belongs at" if home[0] == "" else "belongs below"
            return f'"{text.lower().replace("_", "-")}" {where} {listed(places)}'
        return self._keys() if path else None

    def _keys(self) -> str:
        keys = list(self.fields)
        return f"its keys are {listed(keys, 'and')}" if keys[1:] else f"its only key is {keys[0]}"

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""
        properties: dict[str, Json] = {}
        for key, field in self.fields.items():
            described = {"description": field.text, **field.shape.schema()}
            if field.default is not None:
                described["default"] = field.default
            if field.example is not None:
                described["examples"] = [field.example]
            properties[key] = described
        schema: dict[str, Json] = {"type": "object", "properties": properties}
        if needed := [key for key, field in self.fields.items() if field.is_needed]:
            schema["required"] = list(needed)
        schema["additionalProperties"] = False
        return schema


class Either:
    """A value that may be of several kinds: by kind of node, ``list`` and ``map`` or else the first."""

    def __init__(
        self,
        scalar: Shape,
        *,
        many: Shape | None = None,
        keyed: Shape | None = None,
        noun: str,
        wrap: Callable[[Any], Any] | None = None,
    ) -> None:
        self._scalar = scalar
        self._many = many
        self._keyed = keyed
        self._noun = noun
        self._wrap = wrap

    def read(self, reading: Reading, node: Node, path: str) -> Any:
        """Return the value of NODE, or `MISSING` with a fault noted."""
        if isinstance(node, List) and self._many:
            return self._many.read(reading, node, path)
        if isinstance(node, Map) and self._keyed:
            return self._keyed.read(reading, node, path)
        if not isinstance(node, Scalar) or node.kind == "nothing":
            reading.note(node, path)
            return reading.wrong_kind(node, path, self._noun)
        value = self._scalar.read(reading, node, path)
        return self._wrap(value) if self._wrap and value is not MISSING else value

    def schema(self) -> dict[str, Json]:
        """Return JSON Schema (draft 2020-12)."""
        shapes = [shape for shape in (self._scalar, self._many, self._keyed) if shape]
        return {"anyOf": [shape.schema() for shape in shapes]}


def _reading_of(node: Scalar) -> str:
    if node.kind == "boolean":
        return "true" if node.text.lower() in ("true", "yes", "on") else "false"
    return "a number"


def _inline(value: Json) -> str:
    """Return a short JSON-like example as YAML would hold it in one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_inline(item)}' for key, item in value.items())}}}"
    return str(value)
