"""Files that are made once a visitor presses for them, and why one could not be made."""

from collections.abc import Callable

import streamlit as st

from mnist_app.errors import AppError
from mnist_app.web.notice import problem_notice

_FAILED = "exports_failed"


def made_on_press(name: str, make: Callable[[], bytes | str]) -> Callable[[], bytes | str]:
    """What a download button is given for a file that ``make`` makes; the button needs ``on_click="ignore"``.

    A run that begins between the press and the answer makes Streamlit forget the file, so that the press may start
    none. Of a failure the button says no more than that it was one; the next run gives the reason.
    """
    failed = _failed()

    def made() -> bytes | str:
        try:
            return make()
        except AppError as error:
            failed.add(f"{name} was not exported: {error}")
            raise

    return made


def say_failed() -> None:
    """Why exports failed since the last run."""
    failed = _failed()
    while failed:
        problem_notice(failed.pop())


def _failed() -> set[str]:
    """One set for the whole session: an export that began before a run may fail after it."""
    sentences: set[str] = st.session_state.setdefault(_FAILED, set())
    return sentences
