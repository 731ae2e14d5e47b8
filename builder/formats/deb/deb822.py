r"""deb822: paragraphs of ``Field: value`` lines (deb-control(5), debian-policy §5.1).

>>> dict(parse_paragraph("Package: a\nDescription: short\n long\n"))
{'Package': 'a', 'Description': 'short\n long'}
"""

from __future__ import annotations


def parse_paragraph(text: str) -> tuple[tuple[str, str], ...]:
    """Return the fields of one paragraph in order, continuation lines kept with their first space.

    `ValueError`, naming the line, for a line that is no field, a field given twice (whatever its
    case) or a blank line with more behind it.
    """
    fields: list[tuple[str, str]] = []
    seen: set[str] = set()
    lines = text.rstrip("\n").split("\n")
    for number, line in enumerate(lines, 1):
        if line[:1] in (" ", "\t"):
            if not fields:
                raise ValueError(f"line {number} continues no field: {line[:60]!r}")
            name, value = fields[-1]
            fields[-1] = (name, f"{value}\n{line}")
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or " " in name or not name.isascii():
            raise ValueError(f"line {number} is no field: {line[:60]!r}")
        if name.lower() in seen:
            raise ValueError(f'line {number} gives field "{name}" again')
        seen.add(name.lower())
        fields.append((name, value.strip()))
    return tuple(fields)
