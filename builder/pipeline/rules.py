"""The rules by which a spec's packages and files are trimmed."""

from __future__ import annotations

from builder.fragments.fragments import Rules
from builder.pipeline.site import Site
from builder.spec.model import ImageSpec


def package_rules(site: Site) -> Rules:
    """Return how the packages of SITE's spec become fragments."""
    spec = site.project.spec
    trim = site.archive.format.trim_rules() if spec.trim == "minimal" else ()
    return Rules(
        patterns=(*trim, *exclusions(spec)),
        moves=site.archive.distro.moves,
        compression=spec.compression,
        clamp=site.epoch,
    )


def exclusions(spec: ImageSpec) -> tuple[str, ...]:
    """Return the rules of ``exclude``: each pattern leaves out what it names, and all below it."""
    rules: list[str] = []
    for pattern in spec.exclude:
        path = pattern.lstrip("/")
        rules += [f"-{path}"] if path.endswith("**") else [f"-{path}", f"-{path}/**"]
    return tuple(rules)
