"""The Data page: where the digits come from, what they look like, and what is missing."""

from contextlib import suppress

import numpy as np
import streamlit as st

from mnist_app.data.dataset import SPLITS, Digits, find_source
from mnist_app.data.fetch import is_fetched
from mnist_app.errors import AppError
from mnist_app.web import session, shared
from mnist_app.web.notice import problem_notice
from mnist_app.web.pictures import png_url
from mnist_app.web.sign_in import access_notice

PER_DIGIT = 20  # pictures of each digit in the sheet


def page() -> None:
    st.title("The digits", anchor=False)
    source = find_source()
    if source.folder is None:
        missing = " and ".join(split for split in SPLITS if split not in source.splits)
        st.info(
            f"Only the sample that comes with the app is here: 5,000 digits. The splits {missing} are missing.",
            icon=":material/info:",
        )
        access_notice()
        _download()
    split = st.segmented_control("Split", source.splits, default=source.splits[-1], required=True)
    try:
        digits = shared.split(split, source)
    except AppError as error:
        problem_notice(str(error))
        if source.is_ours:
            access_notice()
            _download()
        return
    st.caption(
        f"The first {PER_DIGIT} pictures of each digit. The {split} split has {len(digits):,} digits, from "
        f"{source.name}."
    )
    st.html(_sheet_html(digits))


@st.fragment(run_every=0.5)
def _download() -> None:
    """Offer to fetch MNIST, or show how far that has come; it is the same for all visitors."""
    downloads = shared.downloads()
    if downloads and downloads[-1].is_running:
        st.progress(downloads[-1].share, f"Fetching MNIST: {downloads[-1].share:.0%}")
        return
    if downloads and downloads[-1].problem is None and is_fetched():
        st.rerun()
    if downloads and downloads[-1].problem:
        problem_notice(downloads[-1].problem)
    label, why_not = "Fetch all of MNIST (11 MB)", session.why_not()
    st.button(
        label, icon=":material/download:", key="fetch", on_click=_fetch, disabled=why_not is not None, help=why_not
    )


def _fetch() -> None:
    with suppress(AppError):  # only for a press that the disabled button rules out
        session.require_teacher()
        shared.download()


def _sheet_html(digits: Digits) -> str:
    """The whole sheet as one picture: a row for each digit."""
    rows = [np.hstack(digits.images[digits.labels == digit][:PER_DIGIT]) for digit in range(10)]
    return f'<img class="sheet" src="{png_url(np.vstack(rows))}" alt="Ten rows of handwritten digits, 0 to 9">'
