"""The Break it page."""

import re
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mnist_app.data.dataset import load_split
from mnist_app.explain.attacks import Attack
from mnist_app.explain.distortions import DISTORTIONS, trembled, turned
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import DEFAULT_MODEL, ROBUST_MODEL, find_model, load_model, save_model
from mnist_app.models.shelf import label
from mnist_app.reading.recognition import Prediction, load_recogniser, recognise
from mnist_app.storage import user_models_folder
from mnist_app.web import canvas, shared
from mnist_app.web.charts import perturbation
from mnist_app.web.curves import Plot
from mnist_app.web.pages.break_it import (
    ANYTHING,
    BREAK_DIGIT,
    BREAK_HOW,
    BREAK_LEVELS,
    BREAK_METHOD,
    BREAK_TARGET,
    MAX_LEVELS,
    _attacked,
)

from ..conftest import SEVEN
from .test_explore_page import component
from .test_pages import html_of, ink, open_page


def opened(how: str | None = None) -> AppTest:
    at = open_page("break_it")
    if how:
        at.session_state[BREAK_HOW] = how
    at.run()
    assert not at.exception, at.exception
    return at


@pytest.fixture(autouse=True)
def without_data(no_mnist: None) -> None:
    """The embedded sample is enough for this page."""


def test_every_distortion_is_shown_over_its_whole_range_for_two_models() -> None:
    at = opened()
    for distortion in DISTORTIONS:
        at.pills[0].set_value(distortion.name).run()
        assert not at.exception
        data = component(at, "break_curves")
        assert data["name"] == distortion.name
        assert len(data["labels"]) == 41 and [len(plot["probabilities"]) for plot in data["plots"]] == [41, 41]
        assert data["labels"][data["at"]] == f"{distortion.none:g}{distortion.unit}"


def test_jitter_shakes_the_strokes_of_a_drawing() -> None:
    at = open_page("break_it")
    at.session_state["pad"] = canvas.Pad(latest=ink(SEVEN))
    at.run()
    at.pills[0].set_value("Jitter").run()
    assert not at.exception, at.exception
    plot = component(at, "break_curves")["plots"][0]
    drawing = Drawing.from_fabric(ink(SEVEN))
    read = recognise(load_recogniser(plot["title"]), trembled(drawing, 2)[None])[0]
    assert np.allclose(plot["probabilities"][20], read.probabilities, atol=1e-3)


def test_the_curves_show_what_the_model_reads() -> None:
    """Compare with a loop that reads the pictures one at a time."""
    at = open_page("break_it")
    at.session_state["pad"] = canvas.Pad(latest=ink(SEVEN))
    at.run()
    plot = component(at, "break_curves")["plots"][0]
    model = load_recogniser(plot["title"])
    pixels = pixels_of_drawing(Drawing.from_points(SEVEN))
    for frame in (0, 13, 20, 40):
        read = recognise(model, turned(pixels, -90 + 4.5 * frame)[None])[0]
        assert np.allclose(plot["probabilities"][frame], read.probabilities, atol=1e-3)


def test_a_caption_says_that_only_the_picture_of_a_drawing_is_read() -> None:
    at = open_page("break_it")
    at.session_state["pad"] = canvas.Pad(latest=ink(SEVEN))
    said = "only the picture of your drawing"
    assert any(said in caption.value for caption in at.run().caption)
    assert not any(said in caption.value for caption in opened("Attack it").caption)


def test_an_attack_says_how_far_it_went_and_what_was_read() -> None:
    at = opened("Attack it")
    text = html_of(at)
    assert re.search(r"with no pixel changed by more than 24 of 255 levels it reads", text)
    assert text.count("shown the same picture, reads") == 2
    at.slider(BREAK_LEVELS).set_value(0).run()
    assert "no pixel changed by more than 0 of" in html_of(at)


def test_an_attack_turns_a_five_into_a_three() -> None:
    at = opened("Attack it")
    at.slider(BREAK_LEVELS).set_value(48)
    at.selectbox(BREAK_TARGET).set_value(3).run()
    assert not at.exception
    assert f"{DEFAULT_MODEL} read a 5" in html_of(at)
    assert "levels it reads a 3" in html_of(at)


def test_the_target_is_reset_when_the_chosen_picture_shows_that_digit() -> None:
    at = opened("Attack it")
    at.selectbox(BREAK_TARGET).set_value(3).run()
    assert not at.selectbox(BREAK_DIGIT).set_value(3).run().exception
    assert at.selectbox(BREAK_TARGET).value == ANYTHING


def test_an_attack_on_a_misread_digit_leads_away_from_the_misreading() -> None:
    model, digits = load_recogniser(ROBUST_MODEL), load_split("validation")
    read = recognise(model, digits.images)
    misread = [at for at, label in enumerate(digits.labels) if read[at].digit != label]
    at = min(misread, key=lambda at: read[at].confidence)
    pixels, label = digits.images[at], int(digits.labels[at])
    changed = [_attacked(pixels, model, Attack(MAX_LEVELS), target)[None] for target in (None, label)]
    away = Attack(MAX_LEVELS).run(model, pixels[None], np.array([read[at].digit]), is_target=False)
    assert (changed[0] == away).all() and recognise(model, away)[0].digit != read[at].digit
    assert recognise(model, changed[1])[0].digit == label


def test_the_words_of_a_curve_never_round_up_to_100_percent() -> None:
    words = Plot.of("", [Prediction((share, 1 - share, *[0.0] * 8), "") for share in (0.9951, 0.9949, 1.0)]).words
    assert words == ["0, >99%", "0, 99%", "0, 100%"]


def test_the_share_still_read_right_under_attack_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "ATTACKED", 20)
    at = opened("Attack it")
    at.multiselect[0].set_value(["mnist-cnn"])
    at.segmented_control(BREAK_METHOD).set_value("FGSM").run()
    at.toggle[0].set_value(True).run()
    share = shared.under_attack("mnist-cnn", Attack(24, 1)).result(60)
    assert share is not None
    at.run()
    assert not at.exception
    assert f"still reads **{share:.1%}** of 20 digits right" in at.markdown[-1].value
    shared._under_attack.clear()


def test_two_models_are_preselected_the_one_in_use_first() -> None:
    at = opened("Attack it")
    assert at.multiselect[0].value == [DEFAULT_MODEL, ROBUST_MODEL]
    at = open_page("break_it")
    at.session_state["model"] = ROBUST_MODEL
    assert at.run().multiselect[0].value == [ROBUST_MODEL, DEFAULT_MODEL]


def test_with_no_model_chosen_the_model_in_use_is_shown() -> None:
    at = opened()
    at.multiselect[0].set_value([]).run()
    assert len(component(at, "break_curves")["plots"]) == 1
    assert "No model is chosen, so ink-cnn, the model you use, is shown." in [caption.value for caption in at.caption]


def test_a_model_is_shown_by_its_title() -> None:
    model = load_model(find_model("mnist-cnn"))
    save_model(user_models_folder() / "network-2", model.network, replace(model.card, name="network-2"))
    label("network-2", "Моя сеть", "")
    at = opened()
    at.multiselect[0].set_value(["network-2"]).run()
    assert [plot["title"] for plot in component(at, "break_curves")["plots"]] == ["Моя сеть"]
    assert "Моя сеть" in at.multiselect[0].options and "network-2" not in html_of(at)


def test_a_perturbation_is_shown_at_full_contrast() -> None:
    moved = np.zeros((28, 28), np.int64)
    moved[0, :2] = 8, -8
    assert perturbation(moved)[0, :3].tolist() == [255, 1, 128]
    assert (perturbation(np.zeros((28, 28), np.int64)) == 128).all()
