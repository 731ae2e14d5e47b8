"""The annotations that the image-spec defines, filled in from what is known (annotations.md).

>>> image_annotations(Facts(created=0, title="app"), (("org.opencontainers.image.title", "Mine"),))[-1]
('org.opencontainers.image.title', 'Mine')
"""

from __future__ import annotations

import msgspec

from builder.digests import Digest
from builder.image.config import timestamp
from builder.spec.model import Pairs

_PREFIX = "org.opencontainers.image."


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an image; "" and None are left out.

    created      the epoch
    source       URL of the source repository, ``revision`` the commit in it
    base_name    reference of the base image, ``base_digest`` the digest of its manifest
    """

    created: int
    title: str = ""
    version: str = ""
    source: str = ""
    revision: str = ""
    vendor: str = ""
    authors: str = ""
    url: str = ""
    documentation: str = ""
    licenses: str = ""
    description: str = ""
    base_name: str = ""
    base_digest: Digest | None = None


def image_annotations(facts: Facts, own: Pairs = ()) -> Pairs:
    """Return the annotations of an image, sorted; its OWN, from the spec, override what is known."""
    known = {
        "created": timestamp(facts.created),
        "title": facts.title,
        "version": facts.version,
        "source": facts.source,
        "revision": facts.revision,
        "vendor": facts.vendor,
        "authors": facts.authors,
        "url": facts.url,
        "documentation": facts.documentation,
        "licenses": facts.licenses,
        "description": facts.description,
        "base.name": facts.base_name,
        "base.digest": facts.base_digest,
    }
    filled = {f"{_PREFIX}{name}": str(value) for name, value in known.items() if value}
    return tuple(sorted({**filled, **dict(own)}.items()))
