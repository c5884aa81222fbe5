"""Waiting for other processes, and freezing them."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

DYING = 20  # seconds that a killed process may take to end on a busy machine


def until(condition: Callable[[], object], seconds: float = 240) -> None:
    """Wait until a condition holds, and fail if it takes too long: a low-priority child is slow on a busy machine."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return _state(Path(f"/proc/{pid}")) != "Z"
    except OSError:
        return False


def freeze(pid: int) -> None:
    """Stop a process until it receives SIGCONT or SIGKILL, and wait until none of its threads runs any more."""
    os.kill(pid, signal.SIGSTOP)  # returns while the threads still run: a busy one may stop only much later
    until(lambda: _is_frozen(pid), 60)


def _is_frozen(pid: int) -> bool:
    try:
        return all(_state(thread) == "T" for thread in Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # a thread has just ended
        return False


def _state(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[0]
