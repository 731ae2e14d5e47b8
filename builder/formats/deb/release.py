"""A Release file: what it says, and whether that holds (deb-release(5), Debian wiki "RepositoryFormat").

Parsing takes bytes whose signature holds already; all the same it refuses what no archive publishes,
and nothing but `TrustError` comes out of it. Of the digests only the SHA256 section is read.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import NamedTuple

import msgspec

from builder.digests import Digest
from builder.errors import TrustError
from builder.formats.deb.deb822 import parse_paragraph
from builder.packages import Freshness, IndexReference, Source

# apt's Acquire::Max-FutureTime is 10 s; ten minutes forgive a laptop's clock and cost no safety.
_CLOCK_SKEW = 600
_INDEX_LIMIT = 1 << 30
# The quickest to read first. bookworm's main list is 8.8 MB as xz and 12.1 MB as gz, but takes 1.0 s
# to unpack as the one and 0.2 s as the other: above some 4 MB/s of network, gz is here sooner.
_SUFFIXES = (".zst", ".gz", ".xz", ".bz2", "")

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, +)?(\d{1,2}) +([A-Z][a-z]{2}) +(\d{4}) +(\d{1,2}):(\d\d):(\d\d) +"
    r"(?:UTC|GMT|Z|\+0000|-0000)"
)
_DIGEST_LINE = re.compile(r"[ \t]+([0-9a-f]{64})[ \t]+(\d{1,15})[ \t]+(\S+)")


class File(NamedTuple):
    """A file that a release lists, by its path below the suite's folder."""

    digest: Digest
    size: int


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What a Release file says. Dates are in seconds since 1970; absent words are ""."""

    origin: str
    suite: str
    codename: str
    date: int
    valid_until: int | None
    components: tuple[str, ...]
    architectures: tuple[str, ...]
    has_by_hash: bool
    has_separate_all: bool
    files: dict[str, File]


def parse_release(content: bytes, what: str) -> Release:
    """Return what CONTENT, the signed bytes of WHAT, says. Raises `TrustError` alone."""
    try:
        text = content.decode()
        fields = {name.lower(): value for name, value in parse_paragraph(text.strip("\n"))}
        return _release(fields)
    except ValueError as error:
        message = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise TrustError(f"the release is malformed: {message}", where=what) from error


def _release(fields: dict[str, str]) -> Release:
    architectures = tuple(fields.get("architectures", "").split())
    # RepositoryFormat, "No-Support-for-Architecture-all": where "all" is among the architectures,
    # packages for every machine are in binary-all only, unless this says "Packages".
    without_all = "packages" in fields.get("no-support-for-architecture-all", "").lower().split()
    if "date" not in fields:
        raise ValueError("it has no Date")
    valid_until = fields.get("valid-until")
    return Release(
        origin=fields.get("origin", ""),
        suite=fields.get("suite", ""),
        codename=fields.get("codename", ""),
        date=parse_date(fields["date"]),
        valid_until=None if valid_until is None else parse_date(valid_until),
        # "updates/main" of the security archives is their "main", as for apt.
        components=tuple(word.rpartition("/")[2] for word in fields.get("components", "").split()),
        architectures=architectures,
        has_by_hash=fields.get("acquire-by-hash", "").lower() == "yes",
        has_separate_all="all" in architectures and not without_all,
        files=_files(fields.get("sha256")),
    )


def parse_date(text: str) -> int:
    """Return the seconds since 1970 of an RFC 1123 date in UTC; `ValueError` for another text."""
    match = _DATE.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        raise ValueError(f"{text[:60]!r} is no date in UTC")
    day, year, hour, minute, second = map(int, match.group(1, 3, 4, 5, 6))
    if hour > 23 or minute > 59 or second > 60 or year < 1970:
        raise ValueError(f"{text[:60]!r} is no date in UTC")
    try:
        days = date(year, _MONTHS.index(match[2]) + 1, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is no date in UTC") from error
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def _files(section: str | None) -> dict[str, File]:
    if section is None:
        raise ValueError("it has no SHA256 digests")
    files: dict[str, File] = {}
    for line in section.split("\n"):
        if not line.strip():
            continue
        match = _DIGEST_LINE.fullmatch(line.rstrip())
        if match is None:
            raise ValueError(f"its SHA256 section holds {line.strip()[:100]!r}")
        path = match[3]
        if path.startswith("/") or "\\" in path or ".." in path.split("/"):
            raise ValueError(f"it lists {path[:100]!r}, which leaves the suite's folder")
        file = File(Digest.from_hex(match[1]), int(match[2]))
        if files.setdefault(path, file) != file:
            raise ValueError(f"it lists {path[:100]!r} twice, with different digests")
    return files


# ---- whether it holds --------------------------------------------------------------------------


def check_release(release: Release, source: Source, freshness: Freshness, what: str) -> None:
    """Refuse a RELEASE that is another suite's, from the future, expired, or older than the lock's."""
    if source.codenames and not set(source.codenames) & set(_own_names(release)):
        says = " or ".join(f'"{name}"' for name in _own_names(release)) or "nothing"
        raise TrustError(
            f'the release calls itself {says}, not "{source.codenames[0]}"',
            where=what,
            hint="the mirror serves another suite under this name",
        )
    if release.date > freshness.now + _CLOCK_SKEW:
        raise TrustError(
            f"the release is dated {_day(release.date)}, in the future",
            where=what,
            hint=f"it is {_day(freshness.now)} here: is the clock right?",
        )
    if is_expired(release.valid_until, freshness.now) and not freshness.accepts_expired:
        raise TrustError(
            f"the release expired on {_day(release.valid_until or 0)}",
            where=what,
            hint="the mirror is out of date: try another one (--mirror), or a dated archive (snapshot:)",
        )
    if freshness.previous is not None and release.date < freshness.previous:
        previous = _day(freshness.previous)
        raise TrustError(
            f"the release is of {_day(release.date)}, older than the lock's of {previous}",
            where=what,
            hint="the mirror lags behind or was rolled back: try another one (--mirror)",
        )


def _own_names(release: Release) -> tuple[str, ...]:
    """Return the names that tell RELEASE from every other of its archive.

    Ubuntu's noble-updates and noble-security both have the codename noble: that would let a mirror
    serve one for the other.
    """
    is_branch = release.suite.startswith(f"{release.codename}-")
    names = (release.suite,) if is_branch else (release.codename, release.suite)
    return tuple(dict.fromkeys(name for name in names if name))


def is_expired(valid_until: int | None, now: int) -> bool:
    """Whether a release whose Valid-Until is given is out of date at NOW."""
    return valid_until is not None and valid_until < now


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


# ---- package lists -----------------------------------------------------------------------------


def index_references(
    release: Release, source: Source, base: str, what: str
) -> tuple[IndexReference, ...]:
    """Return the package lists of SOURCE's components and architectures; BASE is the suite's folder.

    A flat repository has one list for every architecture: it is named once for each.
    """
    if source.suite.endswith("/"):
        return tuple(
            _reference(release, "", architecture, base=base, what=what)
            for architecture in source.architectures
        )
    _check_offered(release, source, what)
    return tuple(
        _reference(release, component, architecture, base=base, what=what)
        for component in source.components
        for architecture in _lists(release, source.architectures)
    )


def _lists(release: Release, architectures: tuple[str, ...]) -> tuple[str, ...]:
    return (*architectures, "all") if release.has_separate_all else architectures


def _check_offered(release: Release, source: Source, what: str) -> None:
    for word, asked, offered in (
        ("component", source.components, release.components),
        ("architecture", source.architectures, release.architectures),
    ):
        missing = next((name for name in asked if name not in offered), None)
        if offered and missing is not None:
            raise TrustError(
                f'the release has no {word} "{missing}"', where=what, hint=f"it has {', '.join(offered)}"
            )


def _reference(
    release: Release, component: str, architecture: str, *, base: str, what: str
) -> IndexReference:
    folder = f"{component}/binary-{architecture}/" if component else ""
    names = (f"{folder}Packages{suffix}" for suffix in _SUFFIXES)
    name = next((name for name in names if name in release.files), None)
    if name is None:
        raise TrustError(f'the release lists no package list "{folder}Packages"', where=what)
    file = release.files[name]
    if file.size > _INDEX_LIMIT:
        raise TrustError(f'the release says that "{name}" has {file.size} bytes', where=what)
    path = f"{folder}by-hash/SHA256/{file.digest.hex}" if release.has_by_hash else name
    return IndexReference(
        component=component,
        architecture=architecture,
        path=base + path,
        size=file.size,
        digest=file.digest,
    )
