"""What is wrong with a spec: faults gathered while reading, told together at the end.

Every fault has a place, an excerpt of the line with its span marked, and where possible a hint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.errors import Position, SpecError
from builder.spec.nodes import Span

MAX_FAULTS = 100
_MAX_WIDTH = 100


class Refusal(ValueError):  # noqa: N818 - a phrase about one value; `Faults` makes the error of it
    """A value that will not do: a phrase about it, and what to write instead."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Faults:
    """The faults of one file. LINES are its lines, for the excerpts."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        # YAML 1.2.2 (5.4) breaks lines here and nowhere else; 1.1's other breaks are counted by PyYAML.
        self._lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._found: list[tuple[Span, str, str | None]] = []

    def add(self, span: Span, message: str, hint: str | None = None) -> None:
        """Note a fault at SPAN."""
        self._found.append((span, message, hint))

    def __len__(self) -> int:
        return len(self._found)

    def position(self, span: Span) -> Position:
        """Return where SPAN begins, as editors count."""
        return Position(self._file, span.line + 1, span.column + 1)

    def raise_if_any(self) -> None:
        """Raise `error` if there are faults."""
        if self._found:
            raise self.error()

    def error(self) -> SpecError:
        """Return one `SpecError` that holds all faults in the order of the file."""
        self._found.sort(key=lambda fault: (fault[0].line, fault[0].column))
        errors = [self._error(*fault) for fault in self._found[:MAX_FAULTS]]
        if len(self._found) > MAX_FAULTS:
            rest = len(self._found) - MAX_FAULTS
            errors.append(SpecError(f"{rest} more faults", where=self._file))
        if len(errors) == 1:
            only = errors[0]
            return SpecError(
                only.message, where=only.where, hint=only.hint, excerpt=only.excerpt, faults=errors
            )
        return SpecError(f"{len(self._found)} faults", where=self._file, faults=errors)

    def _error(self, span: Span, message: str, hint: str | None) -> SpecError:
        return SpecError(message, where=self.position(span), hint=hint, excerpt=self.excerpt(span))

    def excerpt(self, span: Span) -> str | None:
        """Return the line where SPAN begins and ``~~~^`` below its characters."""
        if span.line >= len(self._lines):
            return None
        line = self._lines[span.line]
        if not line.strip():
            return None
        end = span.end_column if span.end_line == span.line else len(line.rstrip())
        width = max(end - span.column, 1)
        first = 0
        if span.column > _MAX_WIDTH // 2:
            first = span.column - _MAX_WIDTH // 3
        shown = line[first : first + _MAX_WIDTH]
        width = min(width, max(len(shown) - (span.column - first), 1))
        shown = "".join(c if c.isprintable() else " " for c in shown)
        before = "…" if first else ""
        after = "…" if len(line) > first + _MAX_WIDTH else ""
        marks = " " * (span.column - first + len(before)) + "~" * (width - 1) + "^"
        return f"    {before}{shown.rstrip()}{after}\n    {marks}"


def near(word: str, known: Iterable[str]) -> str | None:
    """Return which of KNOWN was probably meant by WORD."""
    from difflib import get_close_matches

    plain = {name.replace("-", ""): name for name in known}
    asked = word.lower().replace("-", "").replace("_", "").replace(" ", "")
    found = get_close_matches(asked, plain, n=1, cutoff=0.7)
    return plain[found[0]] if found else None


def listed(words: Sequence[str], last: str = "or") -> str:
    """Return WORDS as a phrase: ``a, b or c``."""
    return f" {last} ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)
