"""The “Why?” panel below an answer, on the pages that have it."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from mnist_app.data.corrections import keep
from mnist_app.data.dataset import find_source
from mnist_app.explain.attribution import Evidence, integrated_gradients
from mnist_app.explain.doctor import MEASURES, Finding
from mnist_app.explain.replay import Frame, Replay
from mnist_app.explore.explorer import View
from mnist_app.models.registry import DEFAULT_MODEL
from mnist_app.reading.number import read_picture
from mnist_app.reading.recognition import Prediction, Recogniser
from mnist_app.web import session, shared
from mnist_app.web.charts import evidence_rgb
from mnist_app.web.why import CHANGE, SEE, WHEN, WHERE, WHY_LAYERS, WHY_PICTURE, _alike, _decided, _part, _unusual

from ..conftest import ONE, SEVEN, ZERO, Strokes
from .test_pages import FIRST_PAD, digit_of, draw, html_of, open_page, state

THREE_AND_SEVEN: Strokes = [
    [[40, 80], [90, 60], [120, 100], [80, 150], [125, 200], [90, 260], [40, 250]],
    [[190, 70], [240, 70], [290, 70], [260, 170], [230, 270]],
]


@pytest.fixture(autouse=True)
def forget(no_mnist: None) -> Iterator[None]:
    """Keep nothing from other tests, which have another home."""
    yield
    shared._exploring.clear()


def asked(question: str, strokes: Strokes = SEVEN) -> AppTest:
    at = open_page("draw")
    at.session_state[FIRST_PAD] = state(strokes)
    at.session_state[session.WHY] = question
    return at.run()


def test_the_panel_is_closed_until_somebody_asks() -> None:
    at = open_page("draw")
    at.session_state[FIRST_PAD] = state(SEVEN)
    at.run()
    assert at.pills[0].options == [SEE, WHERE, WHEN, CHANGE]
    assert at.pills[0].value is None and "sentence" not in re.sub("<style>.*?</style>", "", html_of(at), flags=re.S)


def test_a_blank_pad_offers_no_questions() -> None:
    assert not open_page("draw").run().pills


def ears_of(at: AppTest) -> int:
    """Count the parts of the page that are notified when the pen goes up."""
    return sum("pen_up" in element.proto.id for element in at.get("bidi_component"))


def test_pen_up_is_listened_for_only_while_a_question_about_ink_is_open() -> None:
    at = open_page("draw").run()
    assert ears_of(at) == 0
    assert ears_of(draw(at, SEVEN).run()) == 0
    at.pills[0].set_value(WHERE).run()
    assert ears_of(at) == 1
    at.button("clear").click().run()
    assert ears_of(at) == 1, "the page itself waits for a first stroke"
    at.session_state["picture_input"] = session.PictureInput.of(np.eye(28, dtype=np.uint8), "a picture", None)
    at.session_state[WHY_PICTURE] = WHERE
    draw(at, SEVEN).run()
    assert at.pills[0].value == WHERE and ears_of(at) == 0
    assert ears_of(opened_in_explore(WHERE)) == 0


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The digits for which evidence was computed."""
    sought: list[int] = []

    def count(model: Recogniser, pixels: NDArray[np.uint8], *digits: int) -> tuple[Evidence, ...]:
        sought.extend(digits)
        return integrated_gradients(model, pixels, *digits)

    monkeypatch.setattr("mnist_app.web.why.integrated_gradients", count)
    return sought


def test_an_answer_is_not_computed_again_for_the_same_ink_and_model(
    worked_out: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole page reruns when the canvas sends ink that the panel has already answered about."""
    at = asked(WHERE)
    before = html_of(at)
    assert html_of(at.run()) == before and len(worked_out) == 2
    draw(at, ONE).run()
    assert len(worked_out) == 4
    monkeypatch.setattr(shared, "stamp_of", lambda model: (1, 2))
    at.run()
    assert len(worked_out) == 6, "the model has other weights now"


def test_two_runs_that_need_the_same_answer_compute_it_once() -> None:
    answers, done = session.Answers(), list[str]()

    def work() -> str:
        time.sleep(0.1)
        done.append("once")
        return "an answer"

    with ThreadPoolExecutor(2) as pool:
        given = list(pool.map(lambda _: answers.once(WHERE, "a seven", work), range(2)))
    assert given == ["an answer"] * 2 and done == ["once"]


def test_the_panel_shows_what_the_network_saw() -> None:
    at = asked(SEE)
    assert digit_of(at) == "7"
    assert "the average seven" in html_of(at)
    for _ in range(100):
        if "finds most similar" in html_of(at):
            break
        at.run()
    assert html_of(at).count('class="tile"') == 5
    at.toggle(WHY_LAYERS).set_value(True).run()
    assert html_of(at).count('type="radio"') == 8 * 6 and "among all 5,000 pictures of the sample" in html_of(at)
    assert shared.maps_favourites(DEFAULT_MODEL).result(60)
    assert html_of(at.run()).count("--likes:") == 8
    assert "16 × 28 × 28" in html_of(at) and "96 numbers" in html_of(at) and "96 → 11 numbers" in html_of(at)


def test_the_last_layers_show_what_the_image_and_pen_networks_read() -> None:
    at = asked(SEE)
    at.toggle(WHY_LAYERS).set_value(True).run()
    shown = html_of(at)
    assert "how it was written" in shown
    assert "By its look" in shown and "By how it was written" in shown and "10 probabilities, from both" in shown
    assert shown.count('<span class="reads">7</span>') == 3
    assert "By its look alone it is" not in shown  # they agree
    at.session_state[session._MODEL] = "mnist-cnn"  # it has no pen network
    shown = html_of(at.run())
    assert "By its look" not in shown and "how it was written" not in shown.lower()


def test_a_disagreement_of_image_and_pen_network_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    def apart(*_: object) -> list[Prediction]:
        return [Prediction(tuple(np.eye(10)[digit]), "any", is_digit=digit != 8) for digit in (1, 8)]

    monkeypatch.setattr("mnist_app.web.why.opinions", apart)
    said = "By its look alone it is a 1; by how it was written, no digit."
    assert said in html_of(asked(SEE)) and said in html_of(asked(WHERE))


def test_evidence_is_called_half_of_the_answer_only_if_the_pen_was_followed() -> None:
    assert "How it was written is half of the answer" in html_of(asked(WHERE))
    assert "half of the answer" not in html_of(opened_in_explore(WHERE))


def test_a_training_picture_is_not_its_own_neighbour() -> None:
    source = find_source()
    name = source.splits[0]
    digits = shared.split(name, source)
    at = open_page("draw")
    at.session_state["picture_input"] = session.PictureInput.of(digits.images[17], "a picture", int(digits.labels[17]))
    at.session_state[WHY_PICTURE] = SEE
    assert shared.sketch(DEFAULT_MODEL).result(60)
    shown = html_of(at.run())
    distances = [float(found) for found in re.findall(r"distance ([\d.]+)", shown)]
    assert len(distances) == 5 and min(distances) > 0, distances


def test_the_panel_shows_where_the_network_looked() -> None:
    at = asked(WHERE)
    assert "half of what speaks for 7 lies in" in html_of(at)
    assert "for 7</figcaption>" in html_of(at)


def test_the_panel_shows_when_the_network_decided() -> None:
    at = asked(WHEN)
    assert not at.exception
    assert "it was a 7 and stayed one" in html_of(at) or "became a 7" in html_of(at)


def test_a_digit_read_as_meant_shows_what_is_unusual_and_needs_no_change() -> None:
    at = asked(CHANGE)
    assert html_of(at).count("usually ") >= len(MEASURES)
    assert "It is read as a 7 already" in html_of(at)


def test_a_correction_sets_the_digit_that_was_meant() -> None:
    at = asked(CHANGE)
    label, drawing = 1, at.session_state["pad"].drawing
    at.session_state["secret"] = "me"
    identity = keep(drawing, label, "7", DEFAULT_MODEL, session.visitor_of("me"))
    at.session_state["kept_correction"] = session.KeptCorrection(identity, label, "7", at.session_state["pad"].drawn)
    at.run()
    assert [group.value for group in at.segmented_control] == [label]


def test_the_change_towards_another_digit_can_be_put_on_the_pad() -> None:
    """At least one of the ten digits can be reached by a single change."""
    slashed: Strokes = [*ZERO, [[235, 95], [110, 250]]]
    at = asked(CHANGE, slashed)
    for digit in range(10):
        [group] = at.segmented_control
        group.set_value(digit).run()
        if any(button.key == "put_remedy" for button in at.button):
            break
    else:
        pytest.fail("no digit can be reached by a single change")
    before = at.session_state["pad"].version
    at.button("put_remedy").click().run()
    assert at.session_state["pad"].version == before + 1
    assert digit_of(at) == str(digit)


def test_the_panel_claims_no_digit_for_a_refused_drawing() -> None:
    lattice: Strokes = [[[60 + 45 * at, 50], [60 + 45 * at, 280]] for at in range(5)]
    lattice += [[[50, 60 + 45 * at], [260, 60 + 45 * at]] for at in range(5)]
    at = asked(SEE, lattice)
    assert digit_of(at) == "?"
    assert "the average" not in html_of(at)
    at.toggle(WHY_LAYERS).set_value(True).run()
    assert "no digit: " in html_of(at) and 'class="reads"' not in html_of(at)
    shared.maps_favourites(DEFAULT_MODEL).result(60)
    assert "It is no digit to the network" in html_of(asked(WHERE, lattice))
    assert "was no longer a digit" in html_of(asked(WHEN, lattice))  # its first line reads as a one
    assert "It is read as" not in html_of(asked(CHANGE, lattice))


def opened_in_explore(question: str) -> AppTest:
    at = open_page("explore")
    at.query_params["open"] = "301"
    at.query_params["panel"] = "picture"
    at.session_state[WHY_PICTURE] = question
    for _ in range(100):
        at.run()
        assert not at.exception, at.exception
        if at.pills:
            return at
    raise AssertionError("the picture never came")


def test_a_picture_in_explore_is_asked_every_question_but_when() -> None:
    at = opened_in_explore(SEE)
    assert at.pills[0].options == [SEE, WHERE, CHANGE]
    assert html_of(at).count('type="radio"') == 8 * 6
    shared.maps_favourites(DEFAULT_MODEL).result(60)


def test_a_picture_in_explore_is_meant_to_be_its_label() -> None:
    at = opened_in_explore(CHANGE)
    label = shared.split("validation", find_source()).labels[301]
    assert f"It is read as a {label} already" in html_of(at)


def test_the_digit_chosen_as_meant_is_forgotten_with_its_picture() -> None:
    at = opened_in_explore(CHANGE)
    labels = shared.split("validation", find_source()).labels
    first, second = np.flatnonzero(labels == labels[301])[:2]
    for picture in (first, second):
        at.session_state["view"] = View(DEFAULT_MODEL, "validation", opened=int(picture), panel="picture")
        at.session_state["answered"] = True
        [group] = [group for group in at.run().segmented_control if group.label == "If it was meant to be"]
        assert group.value == labels[301]
        group.set_value((int(labels[301]) + 1) % 10).run()


def test_a_changed_picture_goes_to_the_draw_page_with_its_original_label() -> None:
    at = opened_in_explore(CHANGE)
    label = int(shared.split("validation", find_source()).labels[301])
    for digit in range(10):
        [group] = [group for group in at.segmented_control if group.label == "If it was meant to be"]
        group.set_value(digit).run()
        if any(button.key == "take_remedy" for button in at.button):
            break
    else:
        pytest.fail("no digit can be reached by a single change")
    at.button("take_remedy").click().run()
    taken = at.session_state["picture_input"]
    assert taken.label == label
    assert read_picture(shared.model(DEFAULT_MODEL), taken.prepared.pixels).text == str(digit)


def test_a_picture_with_a_known_label_is_meant_to_be_that_digit() -> None:
    at = open_page("draw")
    pixels = shared.split("validation", find_source()).images[301]
    at.session_state["picture_input"] = session.PictureInput.of(pixels, "a picture", 5)
    at.session_state[WHY_PICTURE] = CHANGE
    assert [group.value for group in at.run().segmented_control] == [5]


def test_the_part_of_the_picture_with_most_marks_is_named_in_words() -> None:
    marked = np.zeros((28, 28), bool)
    marked[2:6, 20:24] = True
    assert _part(marked) == ", mostly at the top right"
    assert _part(marked | marked[:, ::-1]) == ", mostly at the top"
    assert _part(marked | marked[::-1, ::-1]) == ""


def test_by_default_a_question_is_about_the_first_digit_of_a_number() -> None:
    at = asked(WHERE, THREE_AND_SEVEN)
    assert "speaks for 3" in html_of(at)


def test_nearest_pictures_are_counted_in_words() -> None:
    assert _alike(np.array([7] * 5), "x") == "The five x that the network finds most similar are all sevens."
    assert _alike(np.array([6, 6, 1, 6, 6]), "x").endswith("similar: four sixes and one one.")


def replayed(*read: int | None) -> Replay:
    """Return a replay in which these digits were read, None for no digit."""
    count = len(read)
    one = [Prediction(tuple(np.eye(10)[digit or 0]), "", is_digit=digit is not None) for digit in read]
    return Replay(tuple(Frame((at + 1) / count, np.zeros((28, 28), np.uint8), p) for at, p in enumerate(one)))


def test_the_moment_of_decision_is_put_into_a_sentence() -> None:
    assert _decided(replayed(3, 3, 8, 8)) == "With 75% of the ink on paper, your 3 became an 8."
    assert _decided(replayed(7, 7)) == "From 50% of the ink on, it was a 7 and stayed one."
    assert _decided(replayed(7, 7, None, None)) == "With 75% of the ink on paper, your 7 was no longer a digit."
    assert _decided(replayed(None, None)) == "It never became a digit that the network knows."


def test_unusual_measures_are_put_into_a_sentence() -> None:
    thin, fat = (Finding(MEASURES[0], value, (1.5, 3.5), share) for value, share in ((1.0, 1.0), (5.0, 99.0)))
    assert _unusual([thin], 8) == "For an 8, it is unusually thin."
    assert _unusual([fat, Finding(MEASURES[1], -40, (-10, 10), 0.0)], 6).endswith(
        "unusually thick and leaning to the left."
    )
    nothing = "Compared with real sixes, nothing about it is unusual."
    assert _unusual([Finding(MEASURES[0], 2, (1.5, 3.5), 50.0)], 6) == nothing
    assert _unusual([Finding(MEASURES[0], 1.46, (1.5, 3.5), 2.0)], 6) == nothing, "1.5 px, usually 1.5 to 3.5"


def test_evidence_is_blue_for_amber_against_and_paper_is_white() -> None:
    values = np.zeros((28, 28), np.float32)
    values[0, :2] = 1, -1
    pixels = np.zeros((28, 28), np.uint8)
    pixels[0, :3] = 255
    rgb = evidence_rgb(values, pixels, 1.0)
    assert rgb[0, :4].tolist() == [[0, 114, 178], [230, 159, 0], [200, 200, 200], [255, 255, 255]]
