"""Where a page waits for what is computed once for all: how far it has come, or why it came to nothing."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import streamlit as st

from mnist_app.errors import AppError
from mnist_app.web.notice import problem_notice
from mnist_app.work import Work

POLL_EVERY = 0.3  # seconds


def wait_for(work: Work[Any], doing: str, begin: Callable[[], object]) -> None:
    """Show how far some work has come, and the page anew when it is done; where it failed, a way to ``begin`` again.

    ``doing`` says in Markdown what is done, and for whom.
    """
    if work.problem:
        problem_notice(work.problem)
        key = f"try_again_{doing}"  # two may have failed on one page
        st.button("Try again", icon=":material/refresh:", key=key, on_click=_try_again, args=(begin,))
    else:
        _progress(work, doing)


@st.fragment(run_every=POLL_EVERY)
def _progress(work: Work[Any], doing: str) -> None:
    if not work.is_running:
        st.rerun()
    st.progress(work.share, f"{doing}: {work.share:.0%}" if work.share else f"{doing} …")


def _try_again(begin: Callable[[], object]) -> None:
    """Whoever asks for work that has failed makes it forgotten: what is asked for next begins anew."""
    with suppress(AppError):  # the page says it
        begin()
