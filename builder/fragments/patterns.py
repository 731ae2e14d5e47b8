"""Patterns that say what of a package stays out: ``-usr/share/man/**``, ``+usr/share/doc/*/copyright``.

The last pattern that matches a path decides: ``-`` (or no sign) leaves it out, ``+`` keeps it; a path
that none matches stays. As in gitignore(5): ``*`` and ``?`` stop at a slash, ``**`` does not, ``[a-z]``
is one character of a set; a pattern without a slash is meant at any depth; a pattern that ends in one
means folders alone; what matches a folder covers what is below it, but ``dir/**`` only that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_TOKEN = re.compile(r"/\*\*/|^\*\*/|/\*\*$|\*+|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def compile_patterns(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return what says whether a clean path stays out; a folder is asked for with a slash at its end.

    `ValueError` for a pattern that names nothing.
    """
    if not patterns:
        return lambda _path: False
    # The last one that matches decides, and an alternation takes the first: so they are turned round,
    # each a group, and the group that matched tells the sign.
    reverse = tuple(reversed(patterns))
    leaves_out = (False, *(not pattern.startswith("+") for pattern in reverse))
    match = re.compile("|".join(f"({_regex(pattern)})" for pattern in reverse), re.DOTALL).fullmatch

    def is_out(path: str) -> bool:
        found = match(path)
        return found is not None and leaves_out[found.lastindex or 0]

    return is_out


def _regex(pattern: str) -> str:
    text = pattern[1:] if pattern[:1] in ("+", "-") else pattern
    is_anchored, is_folder = "/" in text.rstrip("/"), text.endswith("/")
    text = text.strip("/")
    if not text:
        raise ValueError(f'pattern "{pattern}" names no path')
    body = "".join(_translate(token) for token in _TOKEN.findall(text))
    below = "/.*" if is_folder else "(?:/.*)?"
    if text.endswith("/**") or text == "**":
        below = ""
    return ("" if is_anchored else "(?:.*/)?") + body + below


def _translate(token: str) -> str:
    fixed = {"/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "/**": "/.+", "*": "[^/]*", "?": "[^/]"}
    if token in fixed:
        return fixed[token]
    if token.startswith("**"):
        return ".*"
    if token.startswith("["):
        inside = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        inside = "^/" + inside[1:] if inside.startswith("!") else inside.replace("^", "\\^", 1)
        return f"(?:(?!/)[{inside}])" if inside != "^/" else "[^/]"
    return re.escape(token)
