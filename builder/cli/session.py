"""The ports of one run, opened as options and environment say."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.pipeline.ports import Ports
    from builder.reporting import Reporter
    from builder.store.store import Store

RECENT = 3600
"""Seconds for which a verified release serves ``build`` and ``lock`` again; ``update`` always asks."""


@contextmanager
def open_ports(
    report: Reporter,
    *,
    cache: str | None,
    mirrors: tuple[str, ...] = (),
    offline: bool = False,
    accept_expired: bool = False,
    max_age: int = RECENT,
) -> Iterator[Ports]:
    """Give the ports that the options ask for, the store opened where CACHE says, and close it."""
    from builder.store.place import place
    from builder.store.store import Store

    with Store(place(cache, os.environ)) as store:
        yield ports_of(
            store,
            report,
            mirrors=mirrors,
            offline=offline,
            accept_expired=accept_expired,
            max_age=max_age,
        )


def ports_of(
    store: Store,
    report: Reporter,
    *,
    mirrors: tuple[str, ...] = (),
    offline: bool = False,
    accept_expired: bool = False,
    max_age: int = RECENT,
) -> Ports:
    """Return the ports that the options ask for, with STORE."""
    from builder.pipeline.ports import Ports

    return Ports(
        store=store,
        report=report,
        environment=dict(os.environ),
        now=int(time.time()),
        mirrors=mirrors,
        is_offline=offline,
        accepts_expired=accept_expired,
        max_age=max_age,
        jobs=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2,
    )
