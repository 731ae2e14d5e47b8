"""The keys of a spec (DESIGN §4): shape, meaning, default and example of each.

The reader (`builder.spec.loader`), the JSON Schema (`builder.spec.schema`) and the check of
``docs/reference/spec.md`` all go by this table.
"""

from __future__ import annotations

from typing import Any

from builder.spec import values
from builder.spec.model import Distro, ImageSpec
from builder.spec.records import (
    ARCHITECTURES,
    CONFIG,
    DISTRO,
    FILE,
    GROUP,
    HEALTHCHECK,
    PACKAGE,
    REPOSITORY,
    USER,
    texts,
)
from builder.spec.shapes import Choice, Either, Field, Flag, ListOf, Record, Text, Whole

# Overlay file systems of container engines stop near 127; base layers count too.
_MAX_LAYERS = 120


_NO_SANDBOX = (
    '"sandbox" is not available in this version',
    "use native: effects of maintainer scripts that imgbuild knows are made without running them",
)


_ACCOUNTS = Record(
    {
        "users": Field(ListOf(USER, "a list of maps with name and uid"), "Users.", default=[]),
        "groups": Field(ListOf(GROUP, "a list of maps with name and gid"), "Groups.", default=[]),
    },
    dict,
)
_LAYERS = Record(
    {"max": Field(Whole(1, _MAX_LAYERS), "How many layers there may be.", example=20, default=20)}, dict
)

_FIELDS = {
    "image": Field(
        Text(values.image, values.REFERENCE),
        "The image's name, with registry and tag if you like. Default: the file's name.",
        example="registry.example.com/team/app",
    ),
    "distro": Field(
        Either(
            Text(values.distro, values.DISTRO),
            keyed=DISTRO,
            noun="NAME/SUITE or a map",
        ),
        "The distribution the packages come from: NAME/SUITE, or a map.",
        example="debian/trixie",
        is_needed=True,
    ),
    "repositories": Field(
        ListOf(REPOSITORY, "a list of maps with name, url, suite and keys"),
        "Repositories beside the distribution's own.",
        default=[],
    ),
    "architectures": Field(
        ARCHITECTURES,
        "The architectures to build for, in the distribution's words. Default: amd64.",
        example=["amd64", "arm64"],
    ),
    "base": Field(
        Text(values.beside),
        "Another spec, relative to this one, whose layers come first, byte for byte its own.",
        example="../base/spec.yaml",
    ),
    "packages": Field(
        ListOf(PACKAGE, "[python3]"),
        "The packages to install, with all that they depend on.",
        example=["python3", "nginx>=1.22"],
        default=[],
    ),
    "recommends": Field(Flag(), "Install recommended packages too.", example=True, default=False),
    "block": Field(
        ListOf(Text(values.package_name, values.PACKAGE_NAME), "[systemd]"),
        "Packages that must never be installed, not even as a dependency.",
        example=["systemd"],
        default=[],
    ),
    "exclude": Field(
        ListOf(Text(values.pattern, values.IMAGE_PATH), '["/usr/share/doc/**"]'),
        "Patterns of paths of packages to leave out, beside what trim leaves out.",
        example=["/usr/share/doc/**"],
        default=[],
    ),
    "trim": Field(
        Choice(["minimal", "none"]),
        "What is left out of every package: documentation, manuals, translations (minimal), or nothing.",
        example="none",
        default="minimal",
    ),
    "scripts": Field(
        Choice(["native", "off"], {"sandbox": _NO_SANDBOX}),
        "What stands in for the packages' maintainer scripts: what imgbuild knows of their effects "
        "(native), or nothing (off).",
        example="off",
        default="native",
    ),
    "accounts": Field(
        _ACCOUNTS,
        "Users and groups to add to those of the packages.",
        example={"users": [{"name": "app", "uid": 10001}]},
    ),
    "files": Field(
        ListOf(FILE, "a list of maps with path and source, text, link or directory"),
        "Files, directories, links and permissions of your own, put over those of the packages.",
        example=[{"path": "/etc/motd", "text": "hello\n"}],
        default=[],
    ),
    "config": Field(CONFIG, "What the container runs, and how."),
    "annotations": Field(
        texts(values.any_text, values.line, r"^[^\n]+$", "{name: value}"),
        "Annotations of the image's manifest and index.",
        example={"org.opencontainers.image.title": "app"},
        default={},
    ),
    "layers": Field(
        _LAYERS,
        "How packages are cut into layers.",
        example={"max": 20},
    ),
    "compression": Field(
        Text(values.compression, values.COMPRESSION),
        "How layers are compressed: zstd, gzip, or either with a level.",
        example="zstd:19",
        default="zstd",
    ),
}


def _spec(given: dict[str, Any]) -> ImageSpec:
    accounts = given.pop("accounts", {})
    layers = given.pop("layers", {})
    if "max" in layers:
        given["max_layers"] = layers["max"]
    return ImageSpec(**{"image": "", **given, **accounts})


SPEC = Record(_FIELDS, _spec, stand_ins={"distro": Distro(name="")})

# Where a key belongs, for who writes it at the wrong level.
_RECORDS: tuple[tuple[str, Record], ...] = (
    ("", SPEC),
    ("distro", DISTRO),
    ("repositories[]", REPOSITORY),
    ("accounts", _ACCOUNTS),
    ("files[]", FILE),
    ("config", CONFIG),
    ("config.healthcheck", HEALTHCHECK),
    ("layers", _LAYERS),
)
HOMES = {
    key: tuple(path for path, record in _RECORDS if key in record.fields)
    for _, any_record in _RECORDS
    for key in any_record.fields
}
