"""One long computation on a thread of its own, for all who wait for it."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from mnist_app.errors import AppError

Result = TypeVar("Result")
Progress = Callable[[float], None]


class Work(Generic[Result]):
    """Begins at once. Nobody who leaves the page stops it, and nobody who comes starts it again."""

    def __init__(self, compute: Callable[[Progress], Result]) -> None:
        """``compute`` is given a callable that it tells how far it has come, 0 to 1."""
        self.share = 0.0
        self.problem: str | None = None  # why there is no result, once it has ended without
        self._result: Result | None = None
        self._thread = threading.Thread(target=self._run, args=(compute,), daemon=True)
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
