"""What holds for every test."""

from __future__ import annotations

import signal

# Who starts tests in the background hands down an ignored SIGINT, and programs under test would ignore
# it too. A handler of ours becomes the default action in what is executed (execve(2)).
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
