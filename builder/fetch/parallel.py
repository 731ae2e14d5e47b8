"""Work of several threads, given back in the order it is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")

# How long a failure waits for the other threads to end, in seconds.
_GRACE = 2.0


def as_done(
    work: Callable[[Item], None], items: Iterable[Item], jobs: int, cancel: Callable[[], None]
) -> Generator[Item, None, None]:
    """Do WORK on each item, begun now, in their order, JOBS at once; yield each that is done.

    The first failure is raised. Then, and when the caller stops early (Ctrl-C too), CANCEL is called,
    which should make running work end, and no further item is begun. Threads take the items one by
    one, so the waiting ones cost nothing.
    """
    waiting = iter(items)
    lock = threading.Lock()
    done: SimpleQueue[tuple[Item | None, BaseException | None]] = SimpleQueue()
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            with lock:
                item = next(waiting, None)
            if item is None:
                break
            try:
                work(item)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                done.put((None, error))
                return
            done.put((item, None))
        done.put((None, None))

    threads = [
        threading.Thread(target=run, name=f"imgbuild-fetch-{n}", daemon=True) for n in range(jobs)
    ]
    for thread in threads:
        thread.start()

    def stop() -> None:
        is_over.set()
        if any(thread.is_alive() for thread in threads):
            cancel()
            deadline = time.monotonic() + _GRACE
            for thread in threads:
                # One that is connecting cannot be woken; it ends by itself and touches nothing.
                thread.join(max(0.0, deadline - time.monotonic()))

    results = _collect(done, len(threads), stop)
    next(results)  # into its try: closing it stops the threads, even before the first result
    return results


def _collect(
    done: SimpleQueue[tuple[Item | None, BaseException | None]], left: int, stop: Callable[[], None]
) -> Generator[Item, None, None]:
    """Yield nothing once, then each result, until all LEFT threads have ended."""
    try:
        yield None  # type: ignore[misc]  # taken by `as_done`, never seen by its caller
        while left:
            item, error = done.get()
            if error is not None:
                raise error
            if item is None:
                left -= 1
            else:
                yield item
    finally:
        stop()
