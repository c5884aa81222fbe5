"""Long work, started once and watched by everybody who waits for it: on a thread, or in a process of its own."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Generic, TypeVar

from mnist_app.errors import AppError

Result = TypeVar("Result")
Progress = Callable[[float], None]


class Work(Generic[Result]):
    """A computation on a thread. It starts at once; visitors who leave or open a page neither stop nor restart it."""

    def __init__(self, compute: Callable[[Progress], Result]) -> None:
        """``compute`` gets a callable to report its progress to, from 0 to 1."""
        self.share = 0.0
        self.problem: str | None = None  # why it ended without a result, if it did
        self._result: Result | None = None
        self._thread = threading.Thread(target=self._run, args=(compute,), name="work", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def result(self, patience: float) -> Result | None:
        """Wait at most ``patience`` seconds for the result; None if it is not ready by then or never will be."""
        self._thread.join(patience)
        return self._result

    def _run(self, compute: Callable[[Progress], Result]) -> None:
        try:
            self._result = compute(self._note)
        except AppError as error:
            self.problem = str(error)
        except Exception:  # unreported, it would keep everybody waiting for ever
            logging.getLogger(__name__).exception("A computation failed")
            self.problem = "That failed for an unexpected reason. See the server's log."

    def _note(self, share: float) -> None:
        self.share = share


class Command:
    """A command of this app in its own process, so that it does not block the server's interpreter. Starts at once."""

    def __init__(self, *arguments: str, niceness: int = 0) -> None:
        self._name = " ".join(arguments)
        # Files, open as long as the process may write to them: a pipe that nobody reads would block it once full.
        self._stdout = tempfile.TemporaryFile()  # noqa: SIM115
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-u", "-m", "mnist_app", *arguments]
        self._process = subprocess.Popen(command, stdout=self._stdout, stderr=self._stderr)
        if niceness:
            os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def problem(self) -> str | None:
        """Why it failed; None while it runs or if it succeeded."""
        if not self._process.poll():
            return None
        return (_content(self._stderr).strip() or f"“{self._name}” failed without an error message.").splitlines()[-1]

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return _content(self._stdout)

    def stop(self) -> None:
        """End it now."""
        self._process.terminate()
        self._process.wait()


def _content(file: IO[bytes]) -> str:
    """Read all of a file without moving its position, which the child process shares and writes at."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")
