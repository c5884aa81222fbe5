"""What went wrong, as a person is told."""

import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from mnist_app.errors import AppError

P = ParamSpec("P")

# What Streamlit makes links, emoji and arrows of once Markdown has been read, escapes and all.
_FOUND_LATER = re.compile(r"www(?=\.)|[:@]|\\?[<>=~-](?=\\?[<>=~-])", re.IGNORECASE)


def problem_notice(sentence: str) -> None:
    """Show a sentence as it stands: file names and the like in it may not act as Markdown."""
    st.warning(plain(sentence), icon=":material/error:")


def noticing(fragment: Callable[P, None]) -> Callable[P, None]:
    """Below ``st.fragment``: an AppError is a sentence there, where Streamlit would end the page in red."""

    @wraps(fragment)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            fragment(*args, **kwargs)
        except AppError as error:
            problem_notice(str(error))

    return told


def plain(text: str) -> str:
    """Text as Markdown that shows just that text, in one line."""
    line = re.sub(r"([\\`*_{}\[\]<>$~#|&])", r"\\\1", " ".join(text.split()))
    line = re.sub(r"^(\d*)([-+.)])(?!\S)", r"\1\\\2", line)  # no list
    # No escape helps against what is looked for in the text itself, so that it is parted: in a colour that is none.
    return _FOUND_LATER.sub(r":color[\g<0>]", line)


def without_traceback(record: logging.LogRecord) -> bool:
    """A filter of Streamlit's log: an export that an AppError forbids is a line, for nothing is wrong with the code."""
    error = record.exc_info[1] if record.exc_info else None
    if error and isinstance(error.__cause__, AppError):
        record.msg, record.args, record.exc_info = "An export was not made: %s", (str(error.__cause__),), None
    return True
