"""dpkg's database: one package's own files, or the whole of ``/var/lib/dpkg``.

Without dpkg in the image, each package brings ``var/lib/dpkg/status.d/NAME`` (its control paragraph)
and ``NAME.md5sums``, which add up over layers and which scanners read. With it, the image gets what
dpkg itself would have written: ``status``, ``info/*`` (deb(5) calls them control files) in format 1,
and what apt keeps of who asked for a package (``extended_states``).

Lists and sums name only what is in the image, so that ``dpkg --verify`` holds after trimming.
They name it where it lies on the merged root: ``dpkg -S /usr/bin/bash`` answers, where dpkg on
bookworm would have kept the archive's ``/bin/bash`` (a package installed over it does so again).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.formats.deb.archive import CONFFILE_SUMS
from builder.formats.deb.relations import parse_relations
from builder.formats.deb.version import satisfies
from builder.packages import Control, Identity, InstalledPackage
from builder.tree.entries import DIRECTORY, Entry, NewFile

_ROOT = "var/lib/dpkg"
_SCRIPTS = frozenset({"config", "postinst", "postrm", "preinst", "prerm"})
# Written here; a package's own would be a forgery (dpkg: "package contained list as info file").
_OWN = frozenset({"list", "md5sums", "control"})
_FOLDERS = (
    "var", "var/cache", "var/cache/apt", "var/cache/apt/archives", "var/cache/apt/archives/partial",
    "var/lib", "var/lib/apt", "var/lib/apt/lists", "var/lib/apt/lists/partial", "var/lib/dpkg",
    "var/lib/dpkg/alternatives", "var/lib/dpkg/info", "var/lib/dpkg/parts", "var/lib/dpkg/triggers",
    "var/lib/dpkg/updates",
)  # fmt: skip
# A status paragraph begins with these, in this order (dpkg, lib/dpkg/parse.c `fieldinfos`).
_STATUS_ORDER = ("Package", "Essential", "Protected", "Status", "Priority", "Section", "Installed-Size",
    "Maintainer", "Architecture", "Multi-Arch", "Source", "Version", "Replaces", "Provides",
    "Depends", "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances", "Conffiles",
    "Description")  # fmt: skip

TRIM_RULES: tuple[str, ...] = (
    "-usr/share/doc/*/",
    "+usr/share/doc/*/copyright*",
    "-usr/share/doc-base/**",
    "-usr/share/man/**",
    "-usr/share/info/**",
    "-usr/share/gtk-doc/**",
    "-usr/share/help/**",
    "-usr/share/gnome/help/**",
    "-usr/share/omf/**",
    "-usr/share/groff/**",
    "-usr/share/linda/**",
    "-usr/share/lintian/**",
    "-usr/share/bug/**",
    "-usr/share/reportbug/**",
    "-usr/share/locale/**",
    "+usr/share/locale/locale.alias",
)
"""What ``trim: minimal`` leaves out: documentation and translations, never licences.

``usr/share/doc/NAME`` may be a link to another package's folder; it stays, so that the copyright is
reachable. ``locale.alias`` is read by the C library.
"""


def has_manager(names: Iterable[str]) -> bool:
    """Whether NAMES include dpkg itself."""
    return "dpkg" in names


def may_replace(winner: Control, loser: Identity) -> bool:
    """Whether WINNER's ``Replaces`` names LOSER, and in its version (Policy §7.6.1)."""
    return any(
        relation.name == loser.name and satisfies(loser.version, relation)
        for relation in parse_relations(winner.field("Replaces"))
    )


def package_database(package: InstalledPackage) -> tuple[NewFile, ...]:
    """Return the ``status.d`` files of PACKAGE."""
    path = f"{_ROOT}/status.d/{package.identity.name}"
    files = [NewFile.regular(path, _paragraph(_status_fields(package, is_full=False)))]
    if sums := _md5sums(package):
        files.append(NewFile.regular(f"{path}.md5sums", sums))
    return tuple(files)


def image_database(packages: Sequence[InstalledPackage], architecture: str) -> tuple[NewFile, ...]:
    """Return the whole database of an image of PACKAGES, its folders first; sorted by path."""
    ordered = sorted(packages, key=lambda package: _sort_key(package.identity))
    status = b"\n".join(_paragraph(_status_fields(package, is_full=True)) for package in ordered)
    files = [
        NewFile.regular(f"{_ROOT}/arch", f"{architecture}\n".encode()),
        NewFile.regular(f"{_ROOT}/available", b""),
        NewFile.regular(f"{_ROOT}/diversions", b""),
        NewFile.regular(f"{_ROOT}/info/format", b"1\n"),
        NewFile.regular(f"{_ROOT}/statoverride", b""),
        NewFile.regular(f"{_ROOT}/status", status + b"\n" if status else b""),
        NewFile.regular(f"{_ROOT}/triggers/File", _file_triggers(ordered)),
        NewFile.regular(f"{_ROOT}/triggers/Unincorp", b""),
        NewFile.regular("var/lib/apt/extended_states", _extended_states(ordered, architecture)),
    ]
    files += _named_triggers(ordered)
    for package in ordered:
        files += _info_files(package)
    folders = [NewFile(Entry(path, DIRECTORY, 0o755)) for path in _FOLDERS]
    return tuple(folders + sorted(files, key=lambda file: file.entry.path))


# ---- status --------------------------------------------------------------------------------------


def _status_fields(package: InstalledPackage, *, is_full: bool) -> list[tuple[str, str]]:
    """Return the fields of PACKAGE's paragraph; the full one as dpkg sorts them."""
    given = dict(package.control.fields)
    known = {name.lower(): name for name in _STATUS_ORDER}
    fields = {known.get(name.lower(), name): value for name, value in given.items()}
    if is_full:
        fields["Status"] = "install ok installed"
        if conffiles := _conffile_lines(package):
            fields["Conffiles"] = conffiles
        first = [name for name in _STATUS_ORDER if name in fields]
        return [
            (name, fields[name]) for name in (*first, *(n for n in fields if n not in known.values()))
        ]
    return list(fields.items())


def _conffile_lines(package: InstalledPackage) -> str:
    there = _files(package)
    lines = []
    for file in package.control.files:
        if file.name == CONFFILE_SUMS:
            for line in file.content.decode().splitlines():
                digest, _, path = line.partition("  ")
                if path in there:
                    lines.append(f"\n /{path} {digest}")
    return "".join(lines)


def _paragraph(fields: Iterable[tuple[str, str]]) -> bytes:
    lines = (f"{name}:{value if value[:1] == chr(10) else f' {value}'}\n" for name, value in fields)
    return "".join(lines).encode()


# ---- info ----------------------------------------------------------------------------------------


def _info_files(package: InstalledPackage) -> list[NewFile]:
    prefix = f"{_ROOT}/info/{_info_name(package)}"
    files = [NewFile.regular(f"{prefix}.list", _list(package))]
    if sums := _md5sums(package):
        files.append(NewFile.regular(f"{prefix}.md5sums", sums))
    for file in package.control.files:
        # dpkg passes over names with a dot (src/main/unpack.c).
        if file.name in _OWN or "." in file.name:
            continue
        content = file.content
        if file.name == "conffiles":
            content = _conffiles(package, content)
        mode = 0o755 if file.name in _SCRIPTS else 0o644
        files.append(NewFile.regular(f"{prefix}.{file.name}", content, mode=mode))
    return files


def _info_name(package: InstalledPackage) -> str:
    name = package.identity.name
    is_same = package.control.field("Multi-Arch") == "same"
    return f"{name}:{package.identity.architecture}" if is_same else name


def _list(package: InstalledPackage) -> bytes:
    """Return the list file: ``/.`` and every path, folders above their content as they are packed."""
    paths = {entry.path for entry in package.entries}
    return "".join(["/.\n", *(f"/{path}\n" for path in sorted(paths))]).encode()


def _md5sums(package: InstalledPackage) -> bytes:
    """Return the package's own sums of the files that are there, by the paths they have there."""
    there = _files(package)
    by_packed = _packed_names(there)
    lines = []
    for file in package.control.files:
        if file.name == "md5sums":
            for line in file.content.decode(errors="replace").splitlines():
                digest, _, name = line.partition(" ")
                path = by_packed.get(name.strip().removeprefix("./").lstrip("/"))
                if path is not None and len(digest) == 32:
                    lines.append(f"{digest}  {path}\n")
    return "".join(lines).encode()


def _packed_names(there: frozenset[str]) -> dict[str, str]:
    """Return path by packed path: usr-merge has moved ``bin/x`` to ``usr/bin/x``."""
    names = {path[4:]: path for path in there if path.startswith("usr/")}
    return names | {path: path for path in there}


def _conffiles(package: InstalledPackage, content: bytes) -> bytes:
    there = _files(package)
    lines = content.decode(errors="replace").splitlines()
    return "".join(f"{line}\n" for line in lines if line.strip().lstrip("/") in there).encode()


def _files(package: InstalledPackage) -> frozenset[str]:
    return frozenset(entry.path for entry in package.entries if entry.kind != DIRECTORY)


# ---- triggers and apt ----------------------------------------------------------------------------


def _interests(package: InstalledPackage) -> list[tuple[str, str]]:
    """Return (trigger, how this package is awaited) for each trigger it is interested in."""
    interests = []
    name = _info_name(package)
    for file in package.control.files:
        if file.name == "triggers":
            for line in file.content.decode(errors="replace").splitlines():
                words = line.partition("#")[0].split()
                if len(words) == 2 and words[0].startswith("interest"):
                    suffix = "/noawait" if words[0].endswith("-noawait") else ""
                    interests.append((words[1], name + suffix))
    return interests


def _file_triggers(packages: Sequence[InstalledPackage]) -> bytes:
    """Return ``triggers/File``: file triggers, a path and a package a line."""
    lines = [
        f"{trigger} {who}\n"
        for package in packages
        for trigger, who in _interests(package)
        if trigger.startswith("/")
    ]
    return "".join(lines).encode()


def _named_triggers(packages: Sequence[InstalledPackage]) -> list[NewFile]:
    """Return ``triggers/NAME`` for each explicit trigger: who is interested, a line each."""
    by_trigger: dict[str, list[str]] = {}
    for package in packages:
        for trigger, who in _interests(package):
            if "/" not in trigger and not trigger.startswith("."):
                by_trigger.setdefault(trigger, []).append(who)
    return [
        NewFile.regular(f"{_ROOT}/triggers/{trigger}", "".join(f"{who}\n" for who in whos).encode())
        for trigger, whos in sorted(by_trigger.items())
        if trigger not in ("File", "Unincorp", "Lock")
    ]


def _extended_states(packages: Sequence[InstalledPackage], architecture: str) -> bytes:
    """Return apt's marks of what it installed of itself (apt's pkgDepCache::writeStateFile)."""
    marks = []
    for package in packages:
        if not package.requested:
            own = package.identity.architecture
            # apt says the architecture it runs on for packages of all architectures.
            shown = architecture if own == "all" else own
            marks.append(
                f"Package: {package.identity.name}\nArchitecture: {shown}\nAuto-Installed: 1\n\n"
            )
    return "".join(marks).encode()


def _sort_key(identity: Identity) -> tuple[str, str]:
    return identity.name, identity.architecture
