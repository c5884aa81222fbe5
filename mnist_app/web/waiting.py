"""How a page waits for what is computed once for all: a progress bar, or why it failed and a way to try again."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import streamlit as st

from mnist_app.errors import AppError
from mnist_app.web.notice import problem_notice
from mnist_app.work import Work

POLL_EVERY = 0.3  # seconds


def wait_for(work: Work[Any], doing: str, begin: Callable[[], object]) -> None:
    """Show the progress of some work, and rerun the page when it is done. If it failed, offer to ``begin`` it again.

    ``doing`` says in Markdown what is being done, and for whom.
    """
    if work.problem:
        problem_notice(work.problem)
        key = f"try_again_{doing}"  # there may be two failures on one page
        st.button("Try again", icon=":material/refresh:", key=key, on_click=_try_again, args=(begin,))
    else:
        _progress(work, doing)


@st.fragment(run_every=POLL_EVERY)
def _progress(work: Work[Any], doing: str) -> None:
    if not work.is_running:
        st.rerun()
    st.progress(work.share, f"{doing}: {work.share:.0%}" if work.share else f"{doing} …")


def _try_again(begin: Callable[[], object]) -> None:
    """Ask for the failed work once, which drops it from its cache: the rerun that follows starts it again."""
    with suppress(AppError):  # the page reports it
        begin()
