from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from mnist_app.data.dataset import find_source
from mnist_app.explore.explorer import Filters, View
from mnist_app.web import session
from mnist_app.web.tour import STOPS

from .test_pages import MAIN

PAGES = {"Draw": "Draw a digit", "Explore": "Explore", "Break it": "Break it on purpose"}


def opened() -> AppTest:
    """Return the tour as main.py shows it, on the Draw page."""
    return AppTest.from_string("from mnist_app.web.tour import *\ntour('Draw')\noffer_tour()", default_timeout=60).run()


def text_of(at: AppTest) -> str:
    assert not at.exception, at.exception
    return " ".join(element.value for element in at.markdown)


def test_the_tour_is_offered_and_begins_only_when_asked_for() -> None:
    at = opened()
    assert STOPS[0].text not in text_of(at)
    at.button("tour_take").click().run()
    assert STOPS[0].text in text_of(at)
    assert "tour_take" not in [button.key for button in at.button]


def test_the_tour_can_be_left_at_every_stop_on_the_draw_page() -> None:
    for number in range(4):
        at = opened()
        at.button("tour_take").click().run()
        for _ in range(number):
            at.button("tour_next").click().run()
        at.button("tour_leave").click().run()
        assert STOPS[number].text not in text_of(at)
        assert at.button("tour_take")


def test_back_and_next_go_stop_by_stop() -> None:
    at = opened()
    at.button("tour_take").click().run()
    assert at.button("tour_back").disabled
    for stop in STOPS[1:4]:
        at.button("tour_next").click().run()
        assert stop.text in text_of(at)
    at.button("tour_back").click().run()
    assert STOPS[2].text in text_of(at)


@pytest.mark.parametrize(("kept", "at"), [({"tour": 3}, 3), ({"tour": 7}, None), ({"tour": "x"}, None), (5, None)])
def test_a_reload_resumes_the_tour_if_the_kept_stop_is_valid(kept: object, at: int | None) -> None:
    app = AppTest.from_string(f"from mnist_app.web.tour import *\nresume({kept})\ntour('Draw')", default_timeout=60)
    assert text_of(app.run()) == (STOPS[at].text if at else "")


def test_the_stop_at_explore_resets_the_view() -> None:
    at = opened()
    at.session_state["view"] = View("mnist-cnn", "train", Filters(verdict="right"))
    at.button("tour_take").click().run()
    for _ in range(4):
        at.button("tour_next").click().run()
    assert at.session_state["view"] == View("ink-cnn", find_source().splits[-1])


def test_every_stop_is_on_a_page_and_the_last_on_the_draw_page() -> None:
    assert {stop.page for stop in STOPS} == set(PAGES)
    assert STOPS[-1].page == "Draw"


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (session.KeptCorrection(1, 4, "9", []), "You have found one:** you drew a 4, and the network read 9."),
        (
            session.KeptCorrection(1, 8, None, []),
            "You have found one:** you drew an 8, and the network saw no digit in it.",
        ),
    ],
)
def test_the_last_stop_announces_a_misread_digit_until_it_is_taken_back(
    kept: session.KeptCorrection, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = opened()
    at.session_state[session.TOUR] = len(STOPS) - 1
    monkeypatch.setattr(session, "kept_correction", lambda: kept)
    monkeypatch.setattr(session, "is_still_kept", lambda found: found == kept)
    assert said in text_of(at.run())
    monkeypatch.setattr(session, "kept_correction", lambda: None)
    assert said in text_of(at.run()), "even with another drawing on the pad"
    assert at.button("tour_done").label == "Finish"
    with monkeypatch.context() as patch:
        patch.setattr(session, "is_still_kept", lambda _: False)
        assert STOPS[-1].text in text_of(at.run()), "it was taken back"
    at.button("tour_done").click().run()
    assert at.button("tour_take")


@pytest.mark.parametrize("kept", [None, session.KeptCorrection(1, 4, "4", [])])
def test_the_last_stop_can_be_left_without_finding_a_misread_digit(
    kept: session.KeptCorrection | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "kept_correction", lambda: kept)
    at = opened()
    at.session_state[session.TOUR] = len(STOPS) - 1
    assert STOPS[-1].text in text_of(at.run())
    at.button("tour_done").click().run()
    assert at.button("tour_take")


def test_the_controls_that_the_tour_asks_to_press_exist() -> None:
    code = "".join(path.read_text() for path in (Path(MAIN).parent).rglob("*.py") if path.stem != "tour")
    panels = ("What did it see?", "Where did it look?", "When did it decide?")
    for words in (*panels, "Attack it", "That was a …", '"Undo"', '"Clear"'):
        assert words in code
