"""Which spec a lock answers: a digest over the parts of the spec that the choice depends on."""

from __future__ import annotations

import msgspec

from builder.digests import Digest, Json, cache_key
from builder.spec.model import ImageSpec

# Raised when the same spec may lead to other packages.
_VERSION = 1


def answers(spec: ImageSpec) -> Digest:
    """Return the digest of what the choice of packages depends on; a lock with another is stale.

    Not in it: mirrors (a lock works behind every mirror) and whatever comes after the choice: files,
    accounts, config, trimming, compression. ``layers.max`` has its own place, `Lock.max_layers`: another
    number asks for another plan, not for another choice. The order of packages, blocked names and
    architectures has no meaning; that of repositories has.
    """
    distro = spec.distro
    requests: list[tuple[str, list[str]]] = sorted(
        ("".join(request.text.split()), sorted(request.architectures)) for request in spec.packages
    )
    chosen: Json = {
        "distro": [distro.name, distro.suite, list(distro.components), distro.snapshot],
        "repositories": [msgspec.to_builtins(repository) for repository in spec.repositories],
        "architectures": [*sorted(spec.architectures)],
        "base": spec.base,
        "packages": [[text, list(architectures)] for text, architectures in requests],
        "recommends": spec.recommends,
        "block": [*sorted(spec.block)],
    }
    return cache_key("answers", _VERSION, chosen)
