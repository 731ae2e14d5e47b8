"""Curated distributions: `builder/distros/NAME.yaml` with the keyring beside it, read when asked for.

>>> load("debian").platform("arm64")
Platform(os='linux', architecture='arm64', variant='v8')

The files are strict: an unknown key in one is our defect and ends in a traceback. What a *user* asks
for and a distribution does not have is a `SpecError` with a near match; the caller, who has the spec,
gives the position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from builder.errors import SpecError
from builder.packages import Source

# Every folder that a merged root may have as a link into /usr (debootstrap, setup_merged_usr).
_MERGED = ("bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin")


class Platform(NamedTuple):
    """A platform as OCI names it (image-spec, image-index.md)."""

    os: str
    architecture: str
    variant: str


class _Architecture(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    architecture: str
    variant: str = ""
    os: str = "linux"


class _Components(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    default: tuple[str, ...]
    known: tuple[str, ...]


class Archive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One archive root of a distribution.

    mirrors        official ones, best first
    snapshot       the dated archive, with ``{timestamp}``
    folders        names the last folder of a mirror's URL has, to know the host's mirrors by
    suites         suites that it holds, with ``{suite}`` for any of the distribution's, likewise
    beside         folder of another archive's mirror → the folder beside it that holds this one
    architectures  that it has; () = all
    """

    mirrors: tuple[str, ...]
    snapshot: str
    folders: tuple[str, ...]
    suites: tuple[str, ...]
    keys: tuple[str, ...]
    beside: dict[str, str] = {}
    architectures: tuple[str, ...] = ()


class _SuiteSource(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    suite: str
    archives: tuple[str, ...]
    is_security: bool = False
    architectures: tuple[str, ...] = ()


class _Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    sources: tuple[_SuiteSource, ...]
    links: dict[str, tuple[str, ...]]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    title: str
    format: str
    keyring: str
    default_suite: str
    components: _Components
    architectures: dict[str, _Architecture]
    archives: dict[str, Archive]
    suites: dict[str, _Suite]


class DistroData:
    """What is known of one distribution."""

    def __init__(self, name: str, file: _File) -> None:
        self.name = name
        self.title = file.title
        self.format = file.format
        self.default_suite = file.default_suite
        self.default_components = file.components.default
        self.known_components = file.components.known
        self.suites = tuple(file.suites)
        self.architectures = tuple(file.architectures)
        self.archives = dict(file.archives)
        self._file = file

    @property
    def keyring(self) -> bytes:
        """The certificates that may sign its releases, binary OpenPGP."""
        return (_folder() / "keys" / self._file.keyring).read_bytes()

    @property
    def moves(self) -> tuple[tuple[str, str], ...]:
        """Folders of the root whose content belongs below /usr: ``("bin", "usr/bin")`` and so on."""
        return tuple((name, f"usr/{name}") for name in _MERGED)

    def links(self, suite: str, architecture: str) -> tuple[tuple[str, str], ...]:
        """Return those of `moves` that are links in the root of SUITE on ARCHITECTURE."""
        links = self._suite(suite).links
        return tuple((name, f"usr/{name}") for name in links.get(architecture, links[""]))

    def platform(self, architecture: str) -> Platform:
        """Return the platform of ARCHITECTURE. `SpecError` if the distribution has none."""
        self.check_architecture(architecture)
        found = self._file.architectures[architecture]
        return Platform(found.os, found.architecture, found.variant)

    def check_architecture(self, architecture: str) -> None:
        """Raise `SpecError` unless the distribution has ARCHITECTURE."""
        _check("architecture", architecture, self._file.architectures, self.title)

    def check_component(self, component: str) -> None:
        """Raise `SpecError` unless the distribution has COMPONENT."""
        _check("component", component, self.known_components, self.title)

    def sources(
        self, suite: str = "", components: Sequence[str] = (), architectures: Sequence[str] = ()
    ) -> tuple[Source, ...]:
        """Return the suites that SUITE is made of: itself, its updates, its security updates.

        Empty words stand for the defaults (architectures: amd64). `SpecError` for unknown ones.
        """
        wanted = tuple(architectures) or ("amd64",)
        for architecture in wanted:
            self.check_architecture(architecture)
        for component in components:
            self.check_component(component)
        return tuple(
            source
            for entry in self._suite(suite or self.default_suite).sources
            for location in entry.archives
            if (source := self._source(entry, location, tuple(components), wanted)).architectures
        )

    def _source(
        self, entry: _SuiteSource, location: str, components: tuple[str, ...], wanted: tuple[str, ...]
    ) -> Source:
        archive = self.archives[location]
        return Source(
            repository=self.name,
            location=location,
            suite=entry.suite,
            codenames=(entry.suite,),
            components=components or self.default_components,
            architectures=tuple(
                architecture
                for architecture in wanted
                if architecture in (archive.architectures or wanted)
                and architecture in (entry.architectures or wanted)
            ),
            keys=archive.keys,
            is_security=entry.is_security,
        )

    def _suite(self, name: str) -> _Suite:
        _check("suite", name, self._file.suites, self.title)
        return self._file.suites[name]


def _near(name: str, known: Sequence[str]) -> str:
    """Return which of KNOWN looks like NAME, or ""."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, n=1, cutoff=0.6)), "")


def _check(word: str, name: str, known: Iterable[str], title: str) -> None:
    names = tuple(known)
    if name in names:
        return
    close = _near(name, names)
    hint = f'did you mean "{close}"?' if close else f"it has {', '.join(names)}"
    raise SpecError(f'{title} has no {word} "{name}"', hint=hint)


def names() -> tuple[str, ...]:
    """Return the names of all curated distributions, sorted."""
    return tuple(
        sorted(
            file.name.removesuffix(".yaml")
            for file in _folder().iterdir()
            if file.name.endswith(".yaml")
        )
    )


@cache
def load(name: str) -> DistroData:
    """Return the distribution NAME. `SpecError` for one that is not curated."""
    known = names()
    if name not in known:
        close = _near(name, known)
        hint = f'did you mean "{close}"?' if close else f"there are {', '.join(known)}"
        raise SpecError(f'there is no distribution "{name}"', hint=hint)
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    return DistroData(name, msgspec.convert(yaml.load(text, loader), _File))  # noqa: S506 - safe loaders


def _folder() -> Path:
    # importlib.resources would cost a tenth of a warm build's start-up.
    return Path(__file__).parent.parent / "distros"
