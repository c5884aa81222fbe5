"""What takes long, begun once and watched by all who wait for it: on a thread, or in a process of its own."""

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
    """A computation on a thread. Begins at once; nobody who leaves the page stops it, nor starts it again who comes."""

    def __init__(self, compute: Callable[[Progress], Result]) -> None:
        """``compute`` is given a callable that it tells how far it has come, 0 to 1."""
        self.share = 0.0
        self.problem: str | None = None  # why there is no result, once it has ended without
        self._result: Result | None = None
        self._thread = threading.Thread(target=self._run, args=(compute,), name="work", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def result(self, patience: float) -> Result | None:
        """The result, waited for at most ``patience`` seconds; None where it is not there by then or never will be."""
        self._thread.join(patience)
        return self._result

    def _run(self, compute: Callable[[Progress], Result]) -> None:
        try:
            self._result = compute(self._note)
        except AppError as error:
            self.problem = str(error)
        except Exception:  # without a word, those who wait would wait for ever
            logging.getLogger(__name__).exception("A computation failed")
            self.problem = "That failed for a reason nobody foresaw; the server's log has it."

    def _note(self, share: float) -> None:
        self.share = share


class Command:
    """A command of this app in a process of its own, for what would hold the server's interpreter. Begins at once."""

    def __init__(self, *arguments: str, niceness: int = 0) -> None:
        self._name = " ".join(arguments)
        # Open for as long as the process may write to them; a pipe that nobody empties would stop it.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._blamed = tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-u", "-m", "mnist_app", *arguments]
        self._process = subprocess.Popen(command, stdout=self._said, stderr=self._blamed)
        if niceness:
            os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def problem(self) -> str | None:
        """Why it failed; None while it runs and when all went well."""
        if not self._process.poll():
            return None
        return (_content(self._blamed).strip() or f"“{self._name}” ended without a word.").splitlines()[-1]

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return _content(self._said)

    def stop(self) -> None:
        """End it now."""
        self._process.terminate()
        self._process.wait()


def _content(file: IO[bytes]) -> str:
    """All of a file that a child process writes to, by whose position it goes on writing."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")
