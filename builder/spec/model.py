"""The values of a spec (DESIGN §4), after defaults; collections are tuples, maps are sorted pairs.

Positions are not in here, so that two spellings of one spec are equal: they are in
`SpecDocument.positions`, keyed by the path of a value (``packages[2]``, ``config.user``).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from builder.errors import Position

Pairs = tuple[tuple[str, str], ...]


class Distro(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution the image comes from.

    suite       ``trixie``; "" = the distribution's default
    components  () = the distribution's default
    snapshot    ``20250520T000000Z`` or "": the dated archive to use
    mirror      archive roots, best first; () = as the mirror rule finds them
    """

    name: str
    suite: str = ""
    components: tuple[str, ...] = ()
    snapshot: str = ""
    mirror: tuple[str, ...] = ()


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository beside the distribution's.

    suite       ``trixie``, or a flat path that ends in ``/``
    keys        paths of key files, relative to the spec
    is_unsigned ``trust: unsigned``
    """

    name: str
    url: str
    suite: str
    components: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    is_unsigned: bool = False


class PackageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``packages``: the text after the name is the format's (``nginx>=1.22``).

    architectures  () = all of the spec's
    """

    text: str
    architectures: tuple[str, ...] = ()


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account. ``gid`` None: the group GROUP's, or one of the user's own name and number."""

    name: str
    uid: int
    gid: int | None = None
    group: str = ""
    groups: tuple[str, ...] = ()
    home: str = "/nonexistent"
    shell: str = "/usr/sbin/nologin"
    gecos: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group and who belongs to it."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``files``: exactly one of source, text, link, directory or (none) permissions.

    path        absolute, in the image
    source      file or folder beside the spec; copied with what it holds
    text        content as it stands
    link        target of a symbolic link, as it stands (``dash``, ``/usr/bin/dash``)
    is_directory  an empty folder is made
    owner, group  a name or a number as text; "" = root
    mode        permission bits; None = 0644 (0755 where executable, folders and links' targets 0755)
    """

    path: str
    source: str = ""
    text: str | None = None
    link: str = ""
    is_directory: bool = False
    owner: str = ""
    group: str = ""
    mode: int | None = None


class Healthcheck(msgspec.Struct, frozen=True, kw_only=True):
    """Docker's health check; durations in nanoseconds, 0 = the engine's default.

    test  begins with Docker's own word: ``CMD``, ``CMD-SHELL`` or ``NONE``
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What the container runs (image-spec config.md). ``ports`` are like ``80/tcp``."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Pairs = ()
    workdir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Pairs = ()
    healthcheck: Healthcheck | None = None
    stop_signal: str = ""


class Compression(msgspec.Struct, frozen=True, kw_only=True):
    """``zstd``, ``gzip``, ``zstd:19``. ``level`` None = the algorithm's default here."""

    algorithm: str = "zstd"
    level: int | None = None


class ImageSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One image. ``architectures`` are the distribution's own words (deb: ``amd64``, ``arm64``).

    scripts  ``native`` (what imgbuild knows of maintainer scripts' effects) or ``off``
    trim     ``minimal`` or ``none``
    """

    image: str
    distro: Distro
    repositories: tuple[Repository, ...] = ()
    architectures: tuple[str, ...] = ()
    base: str = ""
    packages: tuple[PackageRequest, ...] = ()
    recommends: bool = False
    block: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    trim: str = "minimal"
    scripts: str = "native"
    users: tuple[User, ...] = ()
    groups: tuple[Group, ...] = ()
    files: tuple[FileEntry, ...] = ()
    config: Config = Config()
    annotations: Pairs = ()
    max_layers: int = 20
    compression: Compression = Compression()


class SpecDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded spec and where each of its values stands."""

    spec: ImageSpec
    positions: Mapping[str, Position]

    def position(self, path: str) -> Position | None:
        """Return where the value at PATH stands, or its nearest parent that stands somewhere."""
        while path:
            if path in self.positions:
                return self.positions[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.positions.get("")
