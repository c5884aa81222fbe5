"""Where the digits come from, what they look like, and what is missing."""

import subprocess
import sys
import tempfile
import time

import numpy as np
import streamlit as st

from mnist_app.dataset import SPLITS, Digits, find_source
from mnist_app.errors import AppError
from mnist_app.fetch import COMPRESSED_BYTES, bytes_fetched
from mnist_app.web import session
from mnist_app.web.pictures import png_url

PER_DIGIT = 20  # pictures of each digit in the sheet


def page() -> None:
    st.title("The digits", anchor=False)
    source = find_source()
    if source.folder is None:
        _offer_download()
    split = st.segmented_control("Split", source.splits, default=source.splits[-1], required=True)
    try:
        digits = session.split(split, source)
    except AppError as error:
        st.warning(str(error), icon=":material/error:")
        return
    st.caption(f"{len(digits):,} digits of the {split} split, from {source.name}. The first {PER_DIGIT} of each:")
    st.html(_sheet_html(digits))


def _offer_download() -> None:
    missing = ", ".join(split for split in SPLITS if split != "validation")
    st.info(
        f"Only the sample that comes with the app is here: 5,000 digits. The splits {missing} are missing.",
        icon=":material/info:",
    )
    if st.button("Fetch all of MNIST (11 MB)", icon=":material/download:"):
        _fetch_with_progress()


def _fetch_with_progress() -> None:
    command = [sys.executable, "-m", "mnist_app", "data", "fetch"]
    # A process of its own: torchvision takes seconds to import and sets a time limit for all sockets.
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stderr=said) as child:
        bar = st.progress(0.0, "Fetching MNIST")
        while child.poll() is None:
            done = min(1.0, bytes_fetched() / COMPRESSED_BYTES)
            bar.progress(done, f"Fetching MNIST: {done:.0%}")
            time.sleep(0.2)
        bar.empty()
        said.seek(0)
        last_line = (said.read().strip() or "The download ended without a word.").splitlines()[-1]
    if child.returncode == 0:
        st.rerun()
    st.warning(last_line, icon=":material/error:")


def _sheet_html(digits: Digits) -> str:
    """One picture for the whole sheet: a row for each digit."""
    rows = [np.hstack(digits.images[digits.labels == digit][:PER_DIGIT]) for digit in range(10)]
    return f'<img class="sheet" src="{png_url(np.vstack(rows))}" alt="Ten rows of handwritten digits, 0 to 9">'
