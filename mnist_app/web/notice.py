"""How people are told what went wrong."""

import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from mnist_app.errors import AppError

P = ParamSpec("P")

# What Streamlit turns into links, emoji and arrows after it has parsed the Markdown, escaped or not.
_FOUND_LATER = re.compile(r"www(?=\.)|[:@]|\\?[<>=~-](?=\\?[<>=~-])", re.IGNORECASE)


def problem_notice(sentence: str) -> None:
    """Show a sentence literally: file names and the like in it must not act as Markdown."""
    st.warning(plain(sentence), icon=":material/error:")


def noticing(fragment: Callable[P, None]) -> Callable[P, None]:
    """A decorator below ``st.fragment``: shows an AppError as a sentence, not as Streamlit's red traceback."""

    @wraps(fragment)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            fragment(*args, **kwargs)
        except AppError as error:
            problem_notice(str(error))

    return told


def plain(text: str) -> str:
    """Markdown that shows exactly this text, on one line."""
    line = re.sub(r"([\\`*_{}\[\]<>$~#|&])", r"\\\1", " ".join(text.split()))
    line = re.sub(r"^(\d*)([-+.)])(?!\S)", r"\1\\\2", line)  # or it would be a list
    # Escapes do not protect what is replaced after parsing. A colour directive without a colour splits it instead.
    return _FOUND_LATER.sub(r":color[\g<0>]", line)


def without_traceback(record: logging.LogRecord) -> bool:
    """A filter for Streamlit's log: one line for an export stopped by an AppError, because the code is not at fault."""
    error = record.exc_info[1] if record.exc_info else None
    if error and isinstance(error.__cause__, AppError):
        record.msg, record.args, record.exc_info = "An export was not made: %s", (str(error.__cause__),), None
    return True
