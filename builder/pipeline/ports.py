"""What the pipeline is handed: every port to the world, made once by the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from builder.reporting import Reporter
from builder.store.store import Store


class Ports(NamedTuple):
    """The ports of one run.

    store            the cache
    report           where events go
    environment      the process's variables (``SOURCE_DATE_EPOCH``, ``IMGBUILD_MIRROR_…``, proxies)
    now              seconds since 1970, for the freshness of indexes only: never in an image
    root             the host's root folder, whose apt configuration may name a mirror
    mirrors          ``--mirror`` as given: ``URL`` or ``NAME=URL``
    is_offline       nothing may be asked of the network
    accepts_expired  a passed Valid-Until is no reason to refuse
    max_age          seconds for which a verified release is used again without asking; 0 = always ask
    jobs             threads that unpack and compress
    """

    store: Store
    report: Reporter
    environment: Mapping[str, str]
    now: int
    root: str = "/"
    mirrors: tuple[str, ...] = ()
    is_offline: bool = False
    accepts_expired: bool = False
    max_age: int = 0
    jobs: int = 2
