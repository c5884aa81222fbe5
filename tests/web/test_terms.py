"""The glossary: small, complete, and used on the pages."""

import base64
import io
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from mnist_app.data.dataset import Digits
from mnist_app.explain.glossary import GLOSSARY
from mnist_app.models.registry import DEFAULT_MODEL
from mnist_app.reading.recognition import load_recogniser, recognise
from mnist_app.web.terms import PICTURES, SAMPLE, _pooling

from .test_pages import html_of

WEB = Path(__file__).parents[2] / "mnist_app" / "web"


def test_the_glossary_is_small_and_every_term_has_its_picture() -> None:
    assert len(GLOSSARY) <= 25  # if more are needed, the pages are too difficult
    assert set(PICTURES) == set(GLOSSARY)


def test_the_pages_use_every_glossary_term_and_no_other() -> None:
    calls = [call for path in WEB.rglob("*.py") for call in re.findall(r"^ +terms\(([^)]*)\)", path.read_text(), re.M)]
    assert {name for call in calls for name in re.findall(r'"([^"]+)"', call)} == set(GLOSSARY)


def test_the_sample_picture_is_a_seven_and_the_model_is_certain_of_it(validation: Digits) -> None:
    assert validation.labels[SAMPLE] == 7
    assert recognise(load_recogniser(DEFAULT_MODEL), validation.images[SAMPLE][None])[0].is_certain


@pytest.mark.parametrize("name", sorted(GLOSSARY))
def test_the_picture_of_each_term_can_be_made(name: str, no_mnist: None) -> None:
    script = f"""
        import streamlit as st
        from mnist_app.web.terms import PICTURES, _sample
        st.html(PICTURES[{name!r}](_sample()))
        """
    at = AppTest.from_string(textwrap.dedent(script), default_timeout=60).run()
    assert not at.exception, at.exception
    assert re.search("<img|class=.bars|class=.findings", html_of(at))


def test_pooling_keeps_the_highest_of_every_four_values(validation: Digits) -> None:
    encoded = re.findall(r"base64,([^\"]+)", _pooling(validation.images[SAMPLE]))
    before, after = (np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in encoded)
    assert (before.shape, after.shape) == ((28, 28), (14, 14))
    highest = np.max([before[row::2, column::2] for row in (0, 1) for column in (0, 1)], axis=0)
    assert np.abs(highest.astype(int) - after).max() <= 1, "both are scaled to their brightest value"


def test_a_term_makes_no_picture_until_it_is_opened(no_mnist: None) -> None:
    script = "from mnist_app.web.terms import terms\nterms('pixel', 'slant')"
    at = AppTest.from_string(script, default_timeout=60).run()
    assert not at.exception and not at.get("html")
