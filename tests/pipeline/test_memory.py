"""Threads of a build share the allocator's arenas."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# An arena of glibc reserves 64 MiB of addresses, most of which may not be touched (malloc/arena.c).
_COUNT = """\
import sys, threading
from builder.pipeline.memory import share_arenas
if sys.argv[1] == "shared":
    share_arenas()
gate = threading.Barrier(5)
def work():
    held = [bytes(9000) for _ in range(99)]
    gate.wait()
    gate.wait()
for _ in range(4):
    threading.Thread(target=work).start()
gate.wait()
reserved = 0
for line in open("/proc/self/maps"):
    span, mode = line.split()[:2]
    begin, end = (int(word, 16) for word in span.split("-"))
    reserved += mode == "---p" and end - begin > 60 << 20
gate.wait()
print(reserved)
"""


def arenas(word: str) -> int:
    """Return how many arenas four threads get."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, word], capture_output=True, text=True, timeout=60, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_two_arenas() -> None:
    assert arenas("apart") >= 3
    assert arenas("shared") == 1  # and the main one
