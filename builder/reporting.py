"""Events that the rooms report and the command line puts into words.

Nothing below `builder.cli` prints. A room is handed a `Reporter` and calls it with one of these
values; it may be called from several threads, so a reporter locks for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias


class StageBegan(NamedTuple):
    """A stage starts. ``total`` is in ``unit`` (``bytes``, ``packages``); None where unknown."""

    stage: str
    total: int | None = None
    unit: str = ""


class StageAdvanced(NamedTuple):
    """A stage has come ``amount`` units further, with ``item`` (a package, a path)."""

    stage: str
    amount: int
    item: str = ""


class StageEnded(NamedTuple):
    """A stage is done; ``summary`` is a phrase for people (``41 packages, 38 from the cache``)."""

    stage: str
    summary: str = ""


class Warned(NamedTuple):
    """Something a user should know, that does not stop the build."""

    message: str
    where: str = ""
    hint: str = ""


Event: TypeAlias = StageBegan | StageAdvanced | StageEnded | Warned
Reporter: TypeAlias = Callable[[Event], None]


def counted(count: int, noun: str) -> str:
    """Return COUNT and NOUN as a phrase: ``1 package``, ``41 packages``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def silent(event: Event) -> None:
    """Report nothing: the reporter of tests and of library use."""
