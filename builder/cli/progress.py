"""Reporters: bars on a terminal, one plain line a stage without, warnings only when quiet.

Stages are put into words here and nowhere else. A reporter may be called from any thread.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from builder.cli.terminal import has_colour, human_size, is_terminal
from builder.reporting import Event, StageAdvanced, StageBegan, StageEnded, Warned

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_WORDS = {
    "snapshot": "checking the archive",
    "index": "reading package lists",
    "resolve": "resolving",
    "fetch": "downloading",
    "unpack": "unpacking",
    "layers": "writing layers",
    "publish": "writing the image",
}


class Console(Protocol):
    """A reporter that has an end: ``with console: …``."""

    def __call__(self, event: Event) -> None:
        """Show EVENT."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take down what still stands on the screen."""


class Plain:
    """One line when a stage ends and a line a warning: for logs, pipes and ``--quiet``."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        """Print what EVENT is worth."""
        with self._lock:
            if isinstance(event, Warned):
                _print_warning(event)
            elif self._quiet:
                return
            elif isinstance(event, StageBegan):
                self._begun[event.stage] = time.monotonic()
            elif isinstance(event, StageEnded):
                spent = time.monotonic() - self._begun.pop(event.stage, time.monotonic())
                summary = f": {event.summary}" if event.summary else ""
                print(f"{_words(event.stage)}{summary} ({spent:.1f} s)", file=sys.stderr, flush=True)


class Bars:
    """A bar a stage, on stderr; a stage that is over leaves one line behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None

    def __call__(self, event: Event) -> None:
        """Draw EVENT."""
        with self._lock:
            if isinstance(event, Warned):
                if self._progress is not None:
                    self._progress.console.print(_warning_text(event), markup=False, highlight=False)
                else:
                    _print_warning(event)
                return
            if self._progress is None:
                self._progress = _new_progress()
            self._draw(self._progress, event)

    def _draw(self, progress: Progress, event: StageBegan | StageAdvanced | StageEnded) -> None:
        if isinstance(event, StageBegan):
            self._tasks[event.stage] = progress.add_task(
                _words(event.stage), total=event.total, unit=event.unit, item=""
            )
        elif isinstance(event, StageAdvanced):
            if (task := self._tasks.get(event.stage)) is not None:
                progress.update(task, advance=event.amount, item=event.item)
        elif (task := self._tasks.pop(event.stage, None)) is not None:
            progress.remove_task(task)
            summary = f": {event.summary}" if event.summary else ""
            progress.console.print(f"{_words(event.stage)}{summary}", markup=False, highlight=False)


def console(*, quiet: bool) -> Console:
    """Return the reporter that suits stderr."""
    if quiet or not is_terminal(sys.stderr):
        return Plain(quiet=quiet)
    return Bars()


def _words(stage: str) -> str:
    return _WORDS.get(stage, stage)


def _warning_text(event: Warned) -> str:
    text = f"warning: {event.where}: {event.message}" if event.where else f"warning: {event.message}"
    return f"{text}\n  hint: {event.hint}" if event.hint else text


def _print_warning(event: Warned) -> None:
    text = _warning_text(event)
    if has_colour(sys.stderr):
        text = text.replace("warning:", "\x1b[1;33mwarning:\x1b[0m", 1)
    print(text, file=sys.stderr, flush=True)


def _new_progress() -> Progress:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Amount(ProgressColumn):
        """How far: bytes in people's units, else a count."""

        def render(self, task: Task) -> Text:
            if task.total is None:
                return Text("")
            if task.fields.get("unit") == "bytes":
                return Text(f"{human_size(int(task.completed))} of {human_size(int(task.total))}")
            return Text(f"{int(task.completed)} of {int(task.total)}")

    progress = Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        Amount(),
        TextColumn("[dim]{task.fields[item]}"),
        console=Terminal(file=sys.stderr, no_color=not has_colour(sys.stderr)),
        transient=True,
    )
    progress.start()
    return progress
