"""Download files that are made when a visitor presses the button, and why one could not be made."""

from collections.abc import Callable

import streamlit as st

from mnist_app.errors import AppError
from mnist_app.web.notice import problem_notice

_FAILED = "exports_failed"


def made_on_press(name: str, make: Callable[[], bytes | str]) -> Callable[[], bytes | str]:
    """The ``data`` of a download button whose file ``make`` creates; the button needs ``on_click="ignore"``.

    If a script run starts between the press and the answer, Streamlit forgets the file, so the press must not start
    one. The button only says that the export failed; the next script run shows the reason.
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
    """Show why exports failed since the last script run."""
    failed = _failed()
    while failed:
        problem_notice(failed.pop())


def _failed() -> set[str]:
    """One set for the whole session, because an export that began before a script run may fail after it."""
    sentences: set[str] = st.session_state.setdefault(_FAILED, set())
    return sentences
