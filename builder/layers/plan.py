"""The layer plan: which source packages share a layer, kept from build to build.

The *unit* is the source package, since all binary packages of one source version change together.
The plan lives in the lock. Stability is worth more than cleverness (docs/adr/0002-layer-plan.md):

- as long as the units are the same, so is the plan, whatever their versions and sizes;
- a unit that vanishes leaves its layer, and an empty layer vanishes;
- new units join the tail, the last layer; while there is room they become a new tail instead;
- anew only when that pays: *bytes to pull now + `HORIZON` times what one update is expected to pull*
  of a plan made anew is below that of the kept one. Asked only when the units differ.

Cost model. A unit changes in an update of the image with a probability (`change_rate`); a layer is
downloaded whole when one of its units changes, and is worth a request of its own (`REQUEST` bytes).
The first plan sorts units by bytes per change and cuts that row where the sum of *bytes by changes*
of the layers and of their requests is least: big units that never change end up alone, small busy
ones together in the tail, and an image of a few hundred kilobytes is one or two layers.

>>> plan({"glibc": 3_000_000, "openssl": 2_000_000, "tzdata": 400_000}, max_layers=4)
(('glibc',), ('openssl', 'tzdata'))
>>> plan({"glibc": 3_000_000, "tzdata": 1000, "zlib": 9}, (("glibc",), ("tzdata",)), max_layers=3)
(('glibc',), ('tzdata', 'zlib'))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import exp, inf

Plan = tuple[tuple[str, ...], ...]

HORIZON = 25
"""Updates that a plan made anew has to pay for itself in: about those of a stable release's life."""

REQUEST = 256_000
"""What one more layer costs who pulls the image first: as many bytes as come in a round trip of 40 ms
at 50 Mbit/s."""

_USUAL_RATE = 0.005
_BUSY_RATE = 0.2
# Sources with many security and point updates in one stable release, or that follow their upstream's
# releases; prefixes end in "*". Counted in bookworm's package lists, see docs/adr/0002-layer-plan.md.
_BUSY = (
    "apache2", "base-files", "bind9", "chromium", "cups", "curl", "exim4", "firefox*", "ghostscript",
    "git", "glib2.0", "glibc", "gnutls28", "gst-plugins-*", "imagemagick", "krb5", "libpng1.6",
    "libreoffice", "libvpx", "libxml2", "linux", "mariadb", "nginx", "nodejs", "openjdk-*", "openssh",
    "openssl", "php8*", "postgresql-1*", "python3.*", "qemu", "redis", "rsync", "samba", "squid",
    "systemd", "thunderbird", "tzdata", "webkit2gtk", "xorg-server",
)  # fmt: skip


def plan(
    units: Mapping[str, int], previous: Plan = (), *, max_layers: int, base_layers: int = 0
) -> Plan:
    """Return the plan for UNITS (source package → compressed bytes), bottom first, names sorted.

    MAX_LAYERS is the spec's ``layers.max``: it counts the layers of the base (BASE_LAYERS of them)
    and the top layer with what is generated too, but there is always one layer for packages.
    """
    room = max(1, max_layers - 1 - base_layers)
    kept = _keep(units, previous, room)
    if kept is None:
        return _anew(units, room)
    if {name for layer in previous for name in layer} == units.keys():
        return kept
    anew = _anew(units, room)
    return anew if _total_cost(anew, previous, units) < _total_cost(kept, previous, units) else kept


def change_rate(unit: str) -> float:
    """Return how probable it is that source package UNIT changes in one update of an image."""
    for name in _BUSY:
        if unit == name or (name.endswith("*") and unit.startswith(name[:-1])):
            return _BUSY_RATE
    return _USUAL_RATE


def expected_download(layers: Iterable[Sequence[str]], units: Mapping[str, int]) -> float:
    """Return the bytes that one update of an image with these LAYERS is expected to pull."""
    return sum(
        sum(units[name] for name in layer) * (1 - exp(-sum(map(change_rate, layer)))) for layer in layers
    )


def _keep(units: Mapping[str, int], previous: Plan, room: int) -> Plan | None:
    """Return PREVIOUS brought up to UNITS; None if there is none or it has too many layers."""
    layers = [tuple(sorted(name for name in layer if name in units)) for layer in previous]
    layers = [layer for layer in layers if layer]
    if not layers or len(layers) > room:
        return None
    placed = {name for layer in layers for name in layer}
    new = tuple(sorted(units.keys() - placed))
    if not new:
        return tuple(layers)
    if len(layers) < room:
        return (*layers, new)
    return (*layers[:-1], tuple(sorted((*layers[-1], *new))))


def _total_cost(layers: Plan, previous: Plan, units: Mapping[str, int]) -> float:
    """Return the bytes to pull now by who has PREVIOUS, and in the next `HORIZON` updates."""
    present = set(previous)
    now = sum(units[name] for layer in layers if layer not in present for name in layer)
    return now + HORIZON * expected_download(layers, units) + REQUEST * len(layers)


def _anew(units: Mapping[str, int], room: int) -> Plan:
    """Return the plan for UNITS as if there were none; one layer of ROOM is left for a new tail."""
    order = sorted(units, key=lambda name: (-units[name] / change_rate(name), name))
    sizes, rates = [units[name] for name in order], [change_rate(name) for name in order]
    cuts = _cut(sizes, rates, max(1, room - 1), REQUEST / HORIZON)
    return tuple(tuple(sorted(order[start:end])) for start, end in pairwise(cuts))


def _cut(sizes: Sequence[int], rates: Sequence[float], parts: int, each: float = 0.0) -> list[int]:
    """Return where to cut a row into PARTS at most so that the sum of bytes by changes is least.

    EACH is added for every part.

    Dynamic programming by divide and conquer: the cost of a stretch is a product of two sums of
    positive numbers, so it satisfies the quadrangle inequality and the best cut never moves back.
    O(parts * n * log n).
    """
    count = len(sizes)
    size_sums, rate_sums = _sums(sizes), _sums(rates)
    best = [0.0, *([inf] * count)]
    chosen: list[list[int]] = []
    costs: list[float] = []
    for _ in range(min(parts, count)):
        following = [inf] * (count + 1)
        choice = [0] * (count + 1)
        pending = [(1, count, 0, count - 1)]
        while pending:
            low, high, first, last = pending.pop()
            if low > high:
                continue
            end = (low + high) // 2
            found, at = min(
                (best[cut] + (size_sums[end] - size_sums[cut]) * (rate_sums[end] - rate_sums[cut]), cut)
                for cut in range(first, min(last, end - 1) + 1)
            )
            following[end], choice[end] = found, at
            pending += [(low, end - 1, first, at), (end + 1, high, at, last)]
        best = following
        chosen.append(choice)
        costs.append(best[count] + each * len(chosen))
    few = min(range(len(costs)), key=lambda number: (costs[number], -number), default=-1)
    cuts = [count]
    for choice in reversed(chosen[: few + 1]):
        cuts.append(choice[cuts[-1]])
    return cuts[::-1]


def _sums(values: Iterable[float]) -> list[float]:
    total, sums = 0.0, [0.0]
    for value in values:
        total += value
        sums.append(total)
    return sums
