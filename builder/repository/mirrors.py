"""Which mirror serves each archive root: the first that is given of (DESIGN §5).

    spec          ``distro.mirror``, a repository's ``url``
    --mirror      as the spec's
    environment   IMGBUILD_MIRROR_DEBIAN, IMGBUILD_MIRROR_DEBIAN_SECURITY: URLs with spaces between
    user config   $XDG_CONFIG_HOME/imgbuild/config.yaml (else ~/.config): ``mirrors: {debian: [URL, …]}``
    snapshot      the distribution's dated archive, where the spec names a date
    host          the host's own apt, where it has that distribution
    default       the distribution's official mirrors

A date is served by dated archives alone, so with ``snapshot:`` neither environment, user config, host
nor default is asked. A mirror is an archive root, e.g. ``http://mirror.example.com/debian``;
``security=URL`` gives that of one archive, ``--mirror NAME=URL`` that of a
repository of the spec. Where a distribution has several (Debian: ``main`` and
``security``), a root's sibling folder is taken for the others (``…/debian-security``), if the root's
last folder is the usual one; else the next rule decides for them.

Names in the environment and in the user config are those of the distribution or of the spec's
repository, with ``-ARCHIVE`` behind for all but ``main``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from builder.errors import UsageError
from builder.repository import apt
from builder.repository.distros import Archive, DistroData
from builder.spec.model import Distro, Repository

MAIN = "main"
_SCHEMES = frozenset({"http", "https", "file"})
_NAMED = re.compile(r"([a-z0-9][a-z0-9.+-]*)=")
# A dated archive is imported some hours after the release that it holds.
_UNTIL_DATED = 12 * 3600
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")


class MirrorList(msgspec.Struct, frozen=True, kw_only=True):
    """Where one archive root is served.

    urls             best first, without a slash at the end
    origin           what gave them: ``spec``, ``--mirror``, ``IMGBUILD_MIRROR_DEBIAN``, a path, …
    accepts_expired  the host's apt, which gave them, does not mind a passed Valid-Until; or the
                     archive is a dated one
    """

    urls: tuple[str, ...]
    origin: str
    accepts_expired: bool = False


Mirrors = dict[tuple[str, str], MirrorList]


class _Rule(NamedTuple):
    """One place mirrors are given in: what it says, and its name for messages."""

    origin: str
    roots: tuple[str, ...]


def find(
    distro: DistroData,
    wanted: Distro,
    repositories: Sequence[Repository] = (),
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str],
    root: Path = Path("/"),
) -> Mirrors:
    """Return the mirrors of each archive of DISTRO and of each of REPOSITORIES.

    WANTED is the spec's ``distro``; OPTIONS are the values of ``--mirror``; files are read below ROOT.
    `UsageError` for a mirror that is none, an unreadable user config.
    """
    config = _user_config(environment, root)
    _check_names(options, {distro.name, *distro.archives, *(each.name for each in repositories)})
    general = [option.removeprefix(f"{distro.name}=") for option in options]
    rules = _given_rules(wanted.mirror, general)
    if wanted.snapshot:
        _check_timestamp(wanted.snapshot)
    found: Mirrors = {}
    for location, archive in distro.archives.items():
        own = _named_rules(distro.name, location, environment, config, archive.beside)
        found[distro.name, location] = (
            _first(rules, location, archive)
            or (_dated(archive, wanted.snapshot) if wanted.snapshot else None)
            or _first_named(own)
            or _host(distro, location, root)
            or MirrorList(urls=archive.mirrors, origin="default")
        )
    for repository in repositories:
        own = _named_rules(repository.name, MAIN, environment, config)
        named = _named_options(repository.name, options)
        given = MirrorList(urls=_clean((repository.url,), "spec"), origin="spec")
        found[repository.name, MAIN] = _first_named((named, *own)) or given
    return found


def with_past(found: Mirrors, distro: DistroData, epoch: int) -> Mirrors:
    """Return FOUND with the dated archive as the last mirror, for a lock of EPOCH (seconds since 1970).

    A distribution's mirrors drop a version soon after its successor has come; its dated archive keeps
    all. Only beside mirrors that nobody chose for this build: who names a mirror means that one.
    """
    chosen = {"host's apt", "default"}
    stamp = datetime.fromtimestamp(epoch + _UNTIL_DATED, UTC).strftime("%Y%m%dT%H%M%SZ")
    past = dict(found)
    for location, archive in distro.archives.items():
        mirror = found[distro.name, location]
        if mirror.origin in chosen and archive.snapshot:
            urls = (*mirror.urls, archive.snapshot.format(timestamp=stamp))
            past[distro.name, location] = msgspec.structs.replace(mirror, urls=urls)
    return past


# ---- rules -------------------------------------------------------------------------------------


def _check_names(options: Iterable[str], known: set[str]) -> None:
    """Refuse an option that names an archive or repository which there is not."""
    for option in options:
        named = _NAMED.match(option)
        if named and named[1] not in known:
            raise UsageError(
                f'there is no repository "{named[1]}"',
                where="--mirror",
                hint=f"it may name {', '.join(sorted(known))}",
            )


def _named_options(name: str, options: Iterable[str]) -> _Rule:
    prefix = f"{name}="
    return _Rule("--mirror", tuple(o.removeprefix(prefix) for o in options if o.startswith(prefix)))


def _given_rules(mirror: Sequence[str], options: Sequence[str]) -> tuple[_Rule, ...]:
    return (_Rule("spec", tuple(mirror)), _Rule("--mirror", tuple(options)))


def _named_rules(
    name: str,
    location: str,
    environment: Mapping[str, str],
    config: Mapping[str, tuple[str, ...]],
    beside: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[_Rule]:
    """Yield what environment and user config say of NAME's archive LOCATION."""
    full = name if location == MAIN else f"{name}-{location}"
    for word in dict.fromkeys((full, name)):
        variable = "IMGBUILD_MIRROR_" + re.sub(r"[^A-Z0-9]", "_", word.upper())
        roots = tuple(environment.get(variable, "").split())
        yield _Rule(variable, roots if word == full else _siblings(roots, beside))
    for word in dict.fromkeys((full, name)):
        roots = config.get(word, ())
        yield _Rule("user config", roots if word == full else _siblings(roots, beside))


def _siblings(roots: Iterable[str], beside: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sibling for root in roots if (sibling := _sibling(root, beside)))


def _first(rules: Iterable[_Rule], location: str, archive: Archive) -> MirrorList | None:
    """Return the mirrors of the first rule that says where LOCATION is."""
    for rule in rules:
        own = [root.partition("=")[2] for root in rule.roots if root.startswith(f"{location}=")]
        general = [root for root in rule.roots if not _NAMED.match(root)]
        if location != MAIN and not own:
            general = list(_siblings(general, archive.beside))
        if urls := own or general:
            return MirrorList(urls=_clean(urls, rule.origin), origin=rule.origin)
    return None


def _first_named(rules: Iterable[_Rule]) -> MirrorList | None:
    for rule in rules:
        if rule.roots:
            return MirrorList(urls=_clean(rule.roots, rule.origin), origin=rule.origin)
    return None


def _sibling(root: str, beside: Mapping[str, str]) -> str:
    """Return the root beside ROOT that holds another archive, or "" if its folder has an own name."""
    parent, _, folder = root.rstrip("/").rpartition("/")
    return f"{parent}/{beside[folder]}" if folder in beside else ""


def _clean(urls: Iterable[str], origin: str) -> tuple[str, ...]:
    cleaned = []
    for url in urls:
        parts = urlsplit(url)
        if not url.startswith("/") and (
            parts.scheme not in _SCHEMES or (parts.scheme != "file" and not parts.hostname)
        ):
            raise UsageError(
                f"{url[:200]!r} is no mirror",
                where=origin,
                hint="a mirror is the root of an archive, such as http://mirror.example.com/debian",
            )
        cleaned.append(url.rstrip("/"))
    return tuple(dict.fromkeys(cleaned))


def _check_timestamp(snapshot: str) -> None:
    if not _TIMESTAMP.fullmatch(snapshot):
        raise UsageError(f'snapshot "{snapshot[:60]}" is no time such as 20250520T000000Z')


def _dated(archive: Archive, snapshot: str) -> MirrorList:
    url = archive.snapshot.format(timestamp=snapshot)
    return MirrorList(urls=(url,), origin="snapshot", accepts_expired=True)


# ---- the host's apt ----------------------------------------------------------------------------


def _host(distro: DistroData, location: str, root: Path) -> MirrorList | None:
    """Return the mirrors of the host's apt that carry LOCATION of DISTRO, whichever of its suites."""
    if distro.format != "deb":
        return None
    matching = [source for source in apt.sources(root) if _carries(source, distro, location)]
    archive = distro.archives[location]
    urls = tuple(
        dict.fromkeys(
            uri.rstrip("/") for source in matching for uri in source.uris if _is_root(uri, archive)
        )
    )
    if not urls:
        return None
    checks = apt.checks_valid_until(root)
    # A single entry that is checked would have to be told apart: then all are.
    accepts = all(
        not (checks if source.checks_valid_until is None else source.checks_valid_until)
        for source in matching
    )
    return MirrorList(urls=urls, origin="host's apt", accepts_expired=accepts)


def _carries(source: apt.AptSource, distro: DistroData, location: str) -> bool:
    """Whether SOURCE is DISTRO's own archive LOCATION and no third party's for that distribution.

    Many third parties have a folder ``debian`` with the suite ``bookworm`` and a component ``main``;
    but they sign with their own keys and say so.
    """
    archive = distro.archives[location]
    suites = {pattern.format(suite=suite) for pattern in archive.suites for suite in distro.suites}
    names = set(suites) & set(source.suites)
    is_own = set(source.components) <= set(distro.known_components) and "main" in source.components
    if not names or not is_own or not any(_is_root(uri, archive) for uri in source.uris):
        return False
    if source.signed_by:
        return f"{distro.name}-archive" in source.signed_by
    if source.file in ("sources.list", f"{distro.name}.list", f"{distro.name}.sources"):
        return True
    return all(urlsplit(uri).path.strip("/") in archive.folders for uri in source.uris)


def _is_root(uri: str, archive: Archive) -> bool:
    parts = urlsplit(uri)
    folder = parts.path.rstrip("/").rpartition("/")[2]
    return parts.scheme in _SCHEMES and folder in archive.folders


# ---- user config -------------------------------------------------------------------------------


def _user_config(environment: Mapping[str, str], root: Path) -> dict[str, tuple[str, ...]]:
    """Return ``mirrors`` of the user's config: name → roots; {} without a file."""
    home = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config"
    if not home.startswith("/"):
        return {}
    path = Path(home) / "imgbuild/config.yaml"
    try:
        text = (root / str(path).lstrip("/")).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"user config is unreadable: {error}", where=str(path)) from error
    return _parse_config(text, str(path))


def _parse_config(text: str, path: str) -> dict[str, tuple[str, ...]]:
    import yaml

    try:
        document = yaml.safe_load(text) or {}
        config = msgspec.convert(document, _Config)
    except yaml.YAMLError as error:
        raise UsageError("user config is no YAML", where=path, hint=str(error)) from error
    except msgspec.ValidationError as error:
        raise UsageError(f"user config: {error}", where=path) from error
    return {
        name: (roots,) if isinstance(roots, str) else roots for name, roots in config.mirrors.items()
    }


class _Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mirrors: dict[str, str | tuple[str, ...]] = {}
