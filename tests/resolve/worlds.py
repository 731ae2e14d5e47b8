"""Small package lists, a package a line, in the form that the program itself reads.

    a=1; Depends: b (>= 2) | c; Conflicts: d

is version 1 of package a. The same text, as `stanzas`, is what the real apt is given.
"""

from __future__ import annotations

import hashlib
import io

from builder.errors import Position
from builder.formats.deb import version
from builder.formats.deb.index import build_index, open_index
from builder.formats.deb.relations import parse_request
from builder.packages import PackageIndex, Relation
from builder.resolve import Request, Resolution, resolve


class DebVersions:
    """What resolving asks of the deb format."""

    def compare(self, left: str, right: str) -> int:
        return version.compare(left, right)

    def satisfies(self, text: str, relation: Relation) -> bool:
        return version.satisfies(text, relation)

    def is_all(self, architecture: str) -> bool:
        return architecture == "all"


def stanzas(world: str) -> str:
    """Return WORLD as a `Packages` file."""
    found = []
    for line in world.splitlines():
        if not line.strip():
            continue
        head, *fields = [part.strip() for part in line.split(";")]
        name, _, number = head.partition("=")
        given = {field.partition(":")[0] for field in fields}
        defaults = {"Architecture": "amd64", "Priority": "optional", "Section": "misc"}
        fields += [f"{key}: {value}" for key, value in defaults.items() if key not in given]
        digest = hashlib.sha256(line.encode()).hexdigest()
        fields += [f"Filename: pool/{name}_{number}.deb", "Size: 1000", f"SHA256: {digest}"]
        found.append("\n".join([f"Package: {name}", f"Version: {number}", *fields]))
    return "\n\n".join(found) + "\n"


def index(world: str, suite: str = "stable") -> PackageIndex:
    """Return WORLD as an opened list."""
    sink = io.BytesIO()
    build_index(io.BytesIO(stanzas(world).encode()), sink)
    return open_index(f"test/{suite}/main/amd64", memoryview(sink.getvalue()))


def request(text: str, line: int = 3) -> Request:
    """Return TEXT as line LINE of a spec asks for it."""
    return Request(relation=parse_request(text), text=text, where=Position("spec.yaml", line, 5))


def solve(
    world: str | list[str], *texts: str, block: tuple[str, ...] = (), recommends: bool = False
) -> Resolution:
    """Resolve TEXTS in WORLD, a text or one a suite."""
    worlds = [world] if isinstance(world, str) else world
    return resolve(
        DebVersions(),
        [index(text, f"suite{n}") for n, text in enumerate(worlds, 1)],
        [request(text, 3 + n) for n, text in enumerate(texts)],
        architecture="amd64",
        recommends=recommends,
        block=[request(text, 20 + n) for n, text in enumerate(block)],
    )


def names(resolution: Resolution) -> str:
    """Return the result on one line: ``a=1 b=2``."""
    return " ".join(f"{c.package.name}={c.package.version}" for c in resolution.packages)
