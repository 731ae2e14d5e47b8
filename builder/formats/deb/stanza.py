"""One stanza of a package list → `Package`, refused with a clear error where it does not hold."""

from __future__ import annotations

from builder.digests import Digest
from builder.errors import TrustError
from builder.formats.deb.deb822 import parse_paragraph
from builder.formats.deb.relations import (
    parse_conflicts,
    parse_dependencies,
    parse_provides,
    parse_relations,
)
from builder.packages import Conflict, Control, Dependency, Package
from builder.tree.entries import clean_path

# More than any archive lists; a package list is a claim until its bytes are here.
_SIZE_LIMIT = 64 << 30
_MULTI_ARCH = frozenset({"no", "same", "foreign", "allowed"})


def parse_package(text: bytes, key: str) -> Package:
    """Return the package that the stanza TEXT of the index KEY describes.

    `TrustError`, naming package and index, for a stanza that apt would not take a package from, or
    that names a file out of the archive, no SHA256, or a size that cannot be.
    """
    name = _quick_name(text)
    try:
        return _package(dict(_fields(text)), key)
    except ValueError as error:
        raise TrustError(f"package {name} of index {key}: {error}") from error


def package_of_control(control: Control, key: str, filename: str, size: int, digest: Digest) -> Package:
    """Return the package with CONTROL as a list would have it. `TrustError` as of `parse_package`."""
    fields = {name.lower(): value for name, value in control.fields}
    fields |= {"filename": filename, "size": str(size), "sha256": digest.hex}
    try:
        return _package(fields, key)
    except ValueError as error:
        raise TrustError(f"package {control.field('Package')} of {key}: {error}") from error


def _quick_name(text: bytes) -> str:
    for line in text.split(b"\n"):
        if line[:8].lower() == b"package:":
            return line[8:].strip().decode(errors="backslashreplace")[:100] or "without a name"
    return "without a name"


def _fields(text: bytes) -> tuple[tuple[str, str], ...]:
    try:
        lines = text.decode()
    except UnicodeDecodeError as error:
        raise ValueError("the stanza is not UTF-8") from error
    return tuple([(name.lower(), value) for name, value in parse_paragraph(lines.strip("\n"))])


def _package(fields: dict[str, str], key: str) -> Package:
    name = _needed(fields, "Package")
    version = _needed(fields, "Version")
    source, source_version = _source(fields.get("source", ""), name, version)
    multi_arch = fields.get("multi-arch", "no").lower()
    if multi_arch not in _MULTI_ARCH:
        raise ValueError(f'Multi-Arch is "{multi_arch[:60]}", not no, same, foreign or allowed')
    return Package(
        name=name,
        version=version,
        architecture=_needed(fields, "Architecture"),
        repository=key,
        source=source,
        source_version=source_version,
        filename=_filename(_needed(fields, "Filename")),
        size=_number(_needed(fields, "Size"), "Size", _SIZE_LIMIT),
        digest=_digest(_needed(fields, "SHA256")),
        # deb-control(5): an estimate in KiB
        installed_size=_number(fields.get("installed-size", "0"), "Installed-Size", _SIZE_LIMIT) * 1024,
        section=fields.get("section", ""),
        priority=fields.get("priority", ""),
        essential=fields.get("essential", "no").lower() == "yes",
        multi_arch=multi_arch,
        dependencies=_dependencies(fields),
        conflicts=_conflicts(fields),
        provides=parse_provides(_unfolded(fields, "provides")),
        replaces=parse_relations(_unfolded(fields, "replaces")),
    )


def _needed(fields: dict[str, str], name: str) -> str:
    value = fields.get(name.lower(), "")
    if not value:
        raise ValueError(f"the stanza has no {name}")
    if "\n" in value or " " in value:
        raise ValueError(f"{name} is {value[:100]!r}, which is not one word")
    return value


def _unfolded(fields: dict[str, str], name: str) -> str:
    return fields.get(name, "").replace("\n", "")


def _dependencies(fields: dict[str, str]) -> tuple[Dependency, ...]:
    return (
        parse_dependencies(_unfolded(fields, "pre-depends"), "pre-depends")
        + parse_dependencies(_unfolded(fields, "depends"), "depends")
        + parse_dependencies(_unfolded(fields, "recommends"), "recommends")
    )


def _conflicts(fields: dict[str, str]) -> tuple[Conflict, ...]:
    return parse_conflicts(_unfolded(fields, "conflicts"), "conflicts") + parse_conflicts(
        _unfolded(fields, "breaks"), "breaks"
    )


def _source(value: str, name: str, version: str) -> tuple[str, str]:
    """Return name and version of the source: ``glibc (2.36-9)``, or as the binary's (policy §5.6.1)."""
    source, _, rest = value.partition("(")
    return source.strip() or name, rest.rstrip(") ").strip() or version


def _filename(value: str) -> str:
    if value.startswith("/"):
        raise ValueError(f"Filename {value[:200]!r} is absolute")
    try:
        path = clean_path(value)
    except ValueError as error:
        raise ValueError(f"Filename {value[:200]!r} leaves the archive: {error}") from error
    if not path or not value.isprintable() or "://" in value or "\\" in value:
        raise ValueError(f"Filename {value[:200]!r} is no path below the archive")
    return path


def _number(value: str, name: str, limit: int) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise ValueError(f"{name} is {value[:60]!r}, which is no number of bytes")
    number = int(value)
    if number > limit:
        raise ValueError(f"{name} is {value}, more than the {limit} that is accepted")
    return number


def _digest(value: str) -> Digest:
    try:
        return Digest.from_hex(value.lower())
    except ValueError as error:
        raise ValueError(f"SHA256 is {value[:100]!r}, which is no sha256 digest") from error
