"""What the host's own apt is configured with, read without running it (sources.list(5), apt.conf(5)).

`sources` reads one-line and deb822 entries; `checks_valid_until` one option of apt.conf. Entries that
are disabled, for sources only, or broken are passed over: they are not ours to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from builder.formats.deb.deb822 import parse_paragraph

_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)"
)
_TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | \#(?!clear\b|include\b)[^\n]* | "(?P<text>[^"\n]*)" | (?P<mark>[{};])
        | (?P<word>[^\s{};"]+)""",
    re.VERBOSE | re.DOTALL,
)
_FALSE = frozenset({"no", "false", "without", "off", "disable", "0"})
_TRUE = frozenset({"yes", "true", "with", "on", "enable", "1"})
_FILE_LIMIT = 1 << 20


class AptSource(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of apt's sources.

    signed_by           its keyrings' paths, or the key itself; "" = any key apt trusts
    checks_valid_until  what the entry says of it; None = as apt.conf says
    file                name of the file it stands in
    """

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""
    checks_valid_until: bool | None = None
    file: str


def sources(root: Path) -> tuple[AptSource, ...]:
    """Return the entries for binary packages below ROOT, in apt's order."""
    found: list[AptSource] = []
    for file in (root / "etc/apt/sources.list", *_parts(root / "etc/apt/sources.list.d")):
        text = _read(file)
        if file.suffix == ".sources":
            found += _deb822_entries(text, file.name)
        elif file.suffix == ".list":
            found += _line_entries(text, file.name)
    return tuple(found)


def checks_valid_until(root: Path) -> bool:
    """Whether the apt below ROOT refuses expired releases (``Acquire::Check-Valid-Until``)."""
    value = ""
    for file in (*_parts(root / "etc/apt/apt.conf.d"), root / "etc/apt/apt.conf"):
        for key, setting in parse_conf(_read(file)):
            if key == "acquire::check-valid-until":
                value = setting
    return value.lower() not in _FALSE


def parse_conf(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of an apt.conf file as (key in lower case with ``::``, value), in order.

    Nested blocks, comments and ``::`` as apt.conf(5) has them; ``#clear`` gives an empty value;
    ``#include`` is not followed.
    """
    blocks: list[str] = []
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        if match["text"] is not None or match["word"]:
            words.append(match["text"] if match["text"] is not None else match["word"])
        elif match["mark"] == "{":
            blocks.append(words[0] if words else "")
            words = []
        elif match["mark"]:
            yield from _setting(blocks, words)
            words = []
            if match["mark"] == "}" and blocks:
                blocks.pop()


def _setting(blocks: list[str], words: list[str]) -> Iterator[tuple[str, str]]:
    if not words:
        return
    if words[0] == "#clear":
        for word in words[1:]:
            yield word.strip(":").lower(), ""
        return
    key = "::".join(block for block in (*blocks, words[0]) if block)
    yield key.lower(), words[1] if len(words) > 1 else ""


# ---- sources -----------------------------------------------------------------------------------


def _line_entries(text: str, file: str) -> Iterator[AptSource]:
    for line in text.split("\n"):
        match = _LINE.fullmatch(line.partition("#")[0].strip())
        if match is None:
            continue
        options = {
            name.lower(): value
            for name, equals, value in (word.partition("=") for word in (match["options"] or "").split())
            if equals
        }
        yield AptSource(
            uris=(match["uri"],),
            suites=(match["suite"],),
            components=tuple(match["components"].split()),
            signed_by=options.get("signed-by", ""),
            checks_valid_until=_boolean(options.get("check-valid-until", "")),
            file=file,
        )


def _deb822_entries(text: str, file: str) -> Iterator[AptSource]:
    lines = [line for line in text.split("\n") if not line.startswith("#")]
    for paragraph in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        try:
            fields = {name.lower(): value for name, value in parse_paragraph(paragraph.strip("\n"))}
        except ValueError:
            continue
        if "deb" not in fields.get("types", "").split() or _boolean(fields.get("enabled", "")) is False:
            continue
        yield AptSource(
            uris=tuple(fields.get("uris", "").split()),
            suites=tuple(fields.get("suites", "").split()),
            components=tuple(fields.get("components", "").split()),
            signed_by=fields.get("signed-by", ""),
            checks_valid_until=_boolean(fields.get("check-valid-until", "")),
            file=file,
        )


def _boolean(text: str) -> bool | None:
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


# ---- files -------------------------------------------------------------------------------------


def _parts(folder: Path) -> tuple[Path, ...]:
    """Return the files of a ``.d`` folder that apt would read, in its order."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return ()
    if folder.name == "apt.conf.d":
        files = [file for file in files if file.suffix in ("", ".conf")]
    return tuple(file for file in files if re.fullmatch(r"[A-Za-z0-9_.-]+", file.name))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_FILE_LIMIT).decode(errors="replace")
    except OSError:
        return ""
