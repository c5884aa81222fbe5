import base64
import html
import io
import re
import shutil
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.responses import PlainTextResponse
from streamlit.testing.v1 import AppTest

from mnist_app.data.corrections import keep
from mnist_app.data.dataset import DatasetError
from mnist_app.ink.preprocessing import Step
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import DEFAULT_MODEL, find_model, load_card, load_model, model_folders, save_model
from mnist_app.reading.number import ReadDigit, Reading
from mnist_app.reading.recognition import Glyph, Prediction, Recogniser, load_recogniser
from mnist_app.web import canvas, shared
from mnist_app.web.answer import answer_html, percent
from mnist_app.web.compression import ASSETS, CANVAS, CompressedAssets
from mnist_app.web.live_ink import ink_ahead
from mnist_app.web.notice import plain
from mnist_app.web.pictures import png_url, steps_html

from ..conftest import ONE, SEVEN, TWO, ZERO, Strokes

MAIN = Path(__file__).parents[2] / "mnist_app" / "web" / "main.py"
FIRST_PAD = "pad-1"  # arriving at a page remounts the canvas


def ink(strokes: Strokes) -> dict[str, Any]:
    """Return what the canvas sends: Fabric paths, whose Q commands pass through the samples."""
    return {
        "objects": [
            {
                "type": "Path",
                "strokeWidth": 18,
                "path": [["M", *first], *[["Q", *point, *point] for point in middle], ["L", *last]],
            }
            for first, *middle, last in strokes
        ]
    }


def state(strokes: Strokes) -> dict[str, Any]:
    return {"drawing": {"raw": ink(strokes), "data": None}}


def open_page(name: str) -> AppTest:
    """Open a page as main.py does; AppTest itself runs a page of st.navigation only once."""
    script = f"""
        from mnist_app.web import session
        from mnist_app.web.pages import {name}
        session.arrive_at({name!r})
        {name}.page()
        """
    return AppTest.from_string(textwrap.dedent(script), default_timeout=60)


def html_of(at: AppTest) -> str:
    elements: Any = at.get("html")
    return "".join(element.value for element in elements)


def digit_of(at: AppTest) -> str:
    assert not at.exception, at.exception
    return re.findall('<p class="digit"[^>]*>(.)</p>', html_of(at))[-1]


def draw(at: AppTest, strokes: Strokes) -> AppTest:
    """Put ink on the current canvas."""
    at.session_state[at.session_state["pad"].key] = state(strokes)
    return at


# Draw


def test_a_page_waits_a_limited_time_for_its_turn_and_frees_it_after_an_error() -> None:
    with shared.turn(), ThreadPoolExecutor(2) as pool:
        began = time.monotonic()

        def take() -> float:
            with shared.turn():
                return time.monotonic() - began

        waited = list(pool.map(lambda _: take(), range(2)))
    assert min(waited) >= shared.LONGEST_WAIT
    with pytest.raises(RuntimeError), shared.turn():
        raise RuntimeError("a script that ends early")
    began = time.monotonic()
    assert take() < shared.LONGEST_WAIT, "a script that ends early gives its turn back"


def test_the_draw_page_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "LONGEST_WAIT", 60.0)
    at = open_page("draw").run()
    with ThreadPoolExecutor(1) as pool:
        with shared.turn():
            opened = pool.submit(at.run)
            with pytest.raises(TimeoutError):
                opened.result(timeout=1)
        assert digit_of(opened.result()) == "?"


def test_a_model_requested_by_many_at_once_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(name: str) -> Recogniser:
        loaded.append(name)
        time.sleep(0.1)
        return load_recogniser(name)

    monkeypatch.setattr(shared, "load_recogniser", load)
    shared._model.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(shared.model, ["mnist-cnn"] * 8))
    assert loaded == ["mnist-cnn"] and all(model is given[0] for model in given)


@pytest.mark.parametrize(
    ("version", "strokes", "read"),
    [
        (1, [*ONE, *SEVEN], "17"),
        (1, [[[x, y + 20] for x, y in ONE[0]]], "1"),  # no more than the canvas has sent
        (0, [*ONE, *SEVEN], "1"),  # from a canvas that is gone
        (1, [], "1"),
        (1, [[[1, "x"]]] * 2, "1"),
        (1, "ink", "1"),
        (1, None, "1"),
    ],
)
def test_newer_valid_ink_sent_at_pen_up_is_read_before_the_canvas_sends_it(
    monkeypatch: pytest.MonkeyPatch, version: int, strokes: Any, read: str
) -> None:
    at = draw(open_page("draw").run(), [[[x / 2, y] for x, y in ONE[0]]]).run()
    small = [[[x / 2 + 120, y] for x, y in stroke] for stroke in SEVEN]
    ink_then = [[[x / 2, y] for x, y in ONE[0]], *small] if strokes == [*ONE, *SEVEN] else strokes
    said: dict[str, Any] | None = {"version": version, "strokes": ink_then}
    monkeypatch.setattr("mnist_app.web.live_ink.sent", lambda key, name: said)
    at.run()
    assert re.findall('<p class="digit"[^>]*>(.*?)</p>', html_of(at))[-1] == read
    said = None
    assert digit_of(at.run()) == "1", "in any other run, the canvas's ink counts"


def test_points_read_ahead_stay_in_use_when_the_canvas_sends_the_same_strokes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pad, blank, a_seven = canvas.Pad(), Drawing.from_points([]), Drawing.from_points(SEVEN)
    said: dict[str, Any] | None = {"version": 0, "strokes": SEVEN}
    monkeypatch.setattr("mnist_app.web.live_ink.sent", lambda key, name: said)
    ahead = ink_ahead(pad, blank, 18)
    assert (ahead.to_points(), ahead.pen_width) == (SEVEN, 18)
    said = None
    assert ink_ahead(pad, blank, 18) is blank, "the canvas has not sent it, and may have dropped it"
    told = Drawing(tuple(stroke + 2 for stroke in a_seven.strokes), 20)
    assert ink_ahead(pad, told, 18) is ahead
    other = Drawing(tuple(stroke + 20 for stroke in a_seven.strokes), 20)
    assert ink_ahead(pad, other, 18) is other
    one = Drawing(told.strokes[:1], 20)
    assert ink_ahead(pad, one, 18) is one
    said = {"version": 0, "strokes": SEVEN}
    assert ink_ahead(pad, one, 18).pen_width == 20
    pad.show(None)
    assert ink_ahead(pad, blank, 18) is blank, "it was drawn on another canvas"


def come_back_with(*kept: object) -> AppTest:
    """Return a session to which a browser gives back what it kept, once for each argument."""
    script = """
        import streamlit as st
        from mnist_app.web import session
        for kept in st.session_state["given_back"]:
            session.come_back(kept)
        st.session_state["was"] = session.visitor()
        """
    at = AppTest.from_string(textwrap.dedent(script))
    at.session_state["given_back"] = kept
    at.run()
    assert not at.exception, at.exception
    return at


def test_ink_kept_by_the_browser_is_restored_once_even_if_it_comes_late() -> None:
    at = come_back_with(None, {"ink": ink(ONE)}, {"ink": ink(SEVEN)})
    assert len(at.session_state["pad"].strokes) == 1, "what was restored stays"


def test_a_visitor_who_reloads_keeps_their_identity_and_last_correction() -> None:
    first, secret = come_back_with(), "0123456789abcdef" * 2
    again, other = (come_back_with({"secret": secret, "ink": None}) for _ in range(2))
    assert again.session_state["was"] == other.session_state["was"] != first.session_state["was"]
    assert again.session_state["was"] not in secret, "knowing a visitor's name is not enough to be them"
    identity = keep(Drawing.from_points(SEVEN), 1, "7", DEFAULT_MODEL, again.session_state["was"])
    back = come_back_with({"secret": secret, "ink": ink(SEVEN)})
    known = back.session_state["kept_correction"]
    assert (known.id, known.label, known.read) == (identity, 1, "7")
    assert known.drawn == back.session_state["pad"].drawn


def test_restored_ink_does_not_count_as_drawn_over_the_picture() -> None:
    """The ink may arrive when the Draw page already reads a picture."""
    script = """
        import numpy as np
        import streamlit as st
        from mnist_app.ink.preprocessing import Prepared
        from mnist_app.web import session
        picture = st.session_state.setdefault("picture", Prepared(np.zeros((28, 28), np.uint8), ()))
        before = session.is_drawn_over(picture)
        session.come_back(st.session_state["given_back"])
        st.session_state["over"] = before, session.is_drawn_over(picture), len(session.pad().strokes)
        """
    at = AppTest.from_string(textwrap.dedent(script))
    at.session_state["given_back"] = {"ink": ink(SEVEN)}
    at.run()
    assert at.session_state["over"] == (False, False, 2)


@pytest.mark.parametrize("kept", [5, "x", [], {}, {"secret": 5}, {"secret": "ben"}, {"secret": "g" * 32, "ink": 5}])
def test_a_visitor_with_malformed_browser_data_gets_a_new_identity(kept: object) -> None:
    at = come_back_with(kept)
    assert re.fullmatch("[0-9a-f]{32}", at.session_state["was"])
    assert at.session_state["secret"] not in str(kept)
    assert at.session_state["pad"].strokes == []


def test_the_app_opens_on_the_draw_page() -> None:
    at = AppTest.from_file(str(MAIN), default_timeout=60).run()
    assert (at.title[0].value, digit_of(at)) == ("Draw a digit", "?")


def test_an_error_on_a_page_is_shown_as_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn() -> None:
        raise DatasetError("The digits are gone.")

    monkeypatch.setattr(shared, "turn", turn)
    at = AppTest.from_file(str(MAIN), default_timeout=60).run()
    assert not at.exception and [notice.value for notice in at.warning] == ["The digits are gone."]


def test_a_blank_pad_shows_no_answer_and_nothing_to_undo() -> None:
    at = open_page("draw").run()
    assert digit_of(at) == "?"
    assert "%" not in re.sub("<style>.*?</style>", "", html_of(at), flags=re.S)
    assert [button.disabled for button in at.button] == [True, True]
    assert not at.warning


@pytest.mark.parametrize(("strokes", "digit"), [(ZERO, "0"), (ONE, "1"), (TWO, "2"), (SEVEN, "7")])
def test_ink_on_the_canvas_is_read(strokes: Strokes, digit: str) -> None:
    at = open_page("draw")
    at.session_state[FIRST_PAD] = state(strokes)
    assert digit_of(at.run()) == digit
    assert html_of(at).count("<figure>") == 5  # including the pen's trajectory


def test_undo_takes_back_the_last_stroke() -> None:
    at = draw(open_page("draw").run(), [*ONE, [[60, 60], [280, 60]], [[60, 280], [280, 280]]]).run()
    for left in (2, 1):
        at.button("undo").click().run()
        assert len(at.session_state["pad"].strokes) == left
    assert digit_of(at) == "1"
    at.button("undo").click().run()
    assert (digit_of(at), at.button("undo").disabled) == ("?", True)


@pytest.mark.parametrize("nonsense", [5, {"drawing": "x"}, {"drawing": {"raw": 5}}, {"drawing": {"raw": []}}])
def test_undo_survives_malformed_canvas_state_in_the_same_run(nonsense: object) -> None:
    at = draw(open_page("draw").run(), SEVEN).run()
    at.session_state[at.session_state["pad"].key] = nonsense
    assert not at.button("undo").click().run().exception
    assert digit_of(draw(at, TWO).run()) == "2"


def test_undo_in_the_same_run_as_a_new_stroke_takes_back_that_stroke() -> None:
    at = draw(open_page("draw").run(), ONE).run()
    draw(at, [*ONE, [[60, 60], [280, 60]]]).button("undo").click().run()
    assert digit_of(at) == "1"


def test_undo_brings_back_ink_that_was_replaced_or_cleared(a_seven: Drawing) -> None:
    pad = canvas.Pad(latest=ink(TWO))
    before = pad.drawn
    pad.put(a_seven)
    assert len(pad.strokes) == 2
    pad.accept(state([*SEVEN, [[60, 300], [280, 300]]]))
    pad.undo()
    assert len(pad.strokes) == 2, "first the stroke drawn since"
    pad.undo()
    assert pad.drawn == before
    pad.undo()
    assert not pad.strokes
    pad.put(a_seven)
    pad.clear()
    pad.accept(state(SEVEN))
    pad.undo()
    assert len(pad.strokes) == 1, "first the stroke drawn since"
    pad.undo()
    assert pad.can_undo and not pad.strokes
    pad.undo()
    assert pad.drawn == Drawing.from_fabric(ink(SEVEN)).to_points(), "then the ink that was cleared"


def test_undo_brings_back_a_stroke_sent_together_with_what_replaced_it() -> None:
    at = draw(open_page("draw").run(), [SEVEN[0]]).run()
    pad, drawing = at.session_state["pad"], Drawing.from_points(TWO)
    press = AppTest.from_string("import streamlit as st\nst.button('Put', on_click=st.session_state.put)")
    press.session_state["put"] = lambda: pad.put(drawing)
    press.session_state[pad.key] = state(SEVEN)
    press.run().button[0].click().run()
    assert not press.exception and len(pad.strokes) == 1
    pad.undo()
    assert pad.drawn == Drawing.from_fabric(ink(SEVEN)).to_points()


def test_a_drawing_put_on_the_pad_lies_within_it(a_seven: Drawing) -> None:
    for scale, shift in ((1, [-100, 0]), (1, [300, 300]), (5, [0, 0])):
        pad = canvas.Pad()
        pad.put(Drawing(tuple(stroke * scale + shift for stroke in a_seven.strokes), pen_width=20))
        points = np.concatenate(Drawing.from_fabric(pad.latest).strokes).round(6)
        assert points.min() >= 10 and points.max() <= canvas.PAD_SIDE - 10
    pad.put(a_seven)
    assert pad.drawn == Drawing.from_fabric(ink(SEVEN)).to_points(), "a drawing that fits already stays where it is"


def test_clear_removes_all_ink_and_can_be_undone() -> None:
    at = draw(open_page("draw").run(), SEVEN).run()
    at.button("clear").click().run()
    assert (digit_of(at), at.session_state["pad"].strokes) == ("?", [])
    assert digit_of(at.button("undo").click().run()) == "7"
    at.button("undo").click().run()
    at.button("undo").click().run()
    assert at.button("undo").disabled and at.button("clear").disabled
    assert digit_of(draw(at, TWO).run()) == "2"


def test_a_stroke_sent_as_the_page_is_left_is_kept() -> None:
    at = draw(open_page("draw").run(), [SEVEN[0]]).run()
    draw(at, SEVEN)
    at.session_state["page"] = "models"
    at.run()
    assert at.session_state["pad"].drawn == Drawing.from_fabric(ink(SEVEN)).to_points()


def test_changing_the_pen_width_keeps_the_answer_and_the_canvas() -> None:
    at = draw(open_page("draw").run(), SEVEN).run()
    before = at.session_state["pad"].key
    assert digit_of(at.slider("pen_width").set_value(30).run()) == "7"
    assert at.session_state["pad"].key == before


def test_ink_survives_a_visit_to_another_page() -> None:
    at = draw(open_page("draw").run(), SEVEN).run()
    at.session_state["page"] = "models"
    assert digit_of(at.run()) == "7"


def path(*commands: object, **more: object) -> dict[str, object]:
    return {"drawing": {"raw": {"objects": [{"type": "Path", "path": commands, **more}]}, "data": None}}


NONSENSE = [
    "x",
    5,
    [],
    {},
    True,
    {"drawing": "x"},
    {"drawing": []},
    {"drawing": {}},
    {"drawing": {"raw": 5}},
    {"drawing": {"raw": None}},
    {"drawing": {"raw": {"objects": 5}}},
    {"drawing": {"raw": {"objects": [5]}}},
    {"drawing": {"raw": {"objects": [{"type": "Circle"}]}}},
    {"drawing": {"raw": {"objects": [{"type": ["Path"]}]}}},
    {"drawing": {"raw": {"objects": [{"type": "Path"}]}}},
    {"drawing": {"raw": {"objects": [{}] * 300}}},
    {"backgroundFit": 3},
    {"backgroundFit": {}},
    {"drawing": None, "backgroundFit": "x"},
    path(),
    path("M"),
    path([]),
    path(["M"]),
    path([5, 1, 2]),
    path(["M", 1]),
    path(["M", "1", "2"]),
    path(["M", None, None]),
    path(["M", float("nan"), 1]),
    path(["M", 1e308, 1], ["L", -1e308, 1]),
    path(["M", 10**400, 1]),
    path(["C", 1, 2, 3, 4, 5, 6]),
    path(["M", 1, 1], ["L", 2, 2], strokeWidth="x"),
    path(["M", 1, 1], ["L", 2, 2], strokeWidth=float("nan")),
    path(["M", 1, 1], ["L", 2, 2], strokeWidth=10**400),
    path(["M", 1, 1], ["L", 2, 2], strokeWidth=-5),
    path(*[["M", 1, 1]] * 20_001),
]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_the_draw_page_survives_malformed_canvas_state(nonsense: object) -> None:
    at = open_page("draw")
    at.session_state[FIRST_PAD] = nonsense
    assert not at.run().exception
    assert len(at.warning) <= 1
    assert digit_of(draw(at.run(), SEVEN).run()) == "7"
    assert not at.warning


def test_invalid_ink_is_taken_back_with_a_reason() -> None:
    at = draw(open_page("draw").run(), SEVEN).run()
    at.session_state[at.session_state["pad"].key] = {"drawing": {"raw": {"objects": [{"type": "Circle"}]}}}
    at.run()
    assert digit_of(at) == "7"  # the previous drawing is still there
    assert at.warning[0].value == (
        "Only pen strokes can be read from a canvas, not an object of type 'Circle'. The last stroke was taken back."
    )
    assert not at.run().warning


# The answer and the pictures


def reading(**shares: float) -> Reading:
    """Return a reading with shares by digit, such as d7=0.9; the rest is spread evenly."""
    rest = (1 - sum(shares.values())) / (10 - len(shares))
    read = Prediction(tuple(shares.get(f"d{digit}", rest) for digit in range(10)), "mnist-cnn")
    return Reading((ReadDigit(read, np.zeros((28, 28), np.uint8)),))


SAID = {0: "0%", 1e-12: "<1%", 0.00499: "<1%", 0.005: "1%", 0.125: "13%", 0.285: "28%", 0.5: "50%", 0.994: "99%"} | {
    0.9949999: "99%",
    0.995: ">99%",
    1 - 2**-53: ">99%",
    1: "100%",
}


@pytest.mark.parametrize(("share", "said"), SAID.items())
def test_a_share_is_shown_in_whole_percent(share: float, said: str) -> None:
    assert html.unescape(percent(share)) == said


@given(st.floats(0, 1))
def test_no_share_is_rounded_to_certainty_or_to_zero(share: float) -> None:
    said = html.unescape(percent(share))
    assert (said == "100%", said == "0%") == (share == 1, share == 0)
    assert said in ("<1%", ">99%") or abs(float(said[:-1]) - 100 * share) <= 0.5 + 1e-9


def test_the_answer_shows_the_digit_its_confidence_and_ten_bars() -> None:
    said = answer_html(reading(d7=0.8, d1=0.19))
    assert '<p class="digit" style="--length:1">7</p><p class="words">7, perhaps 1 · 80%</p>' in said
    assert re.findall('class="bar( read)?" style="--share:([0-9.]+)"', said)[7] == (" read", "0.8000")
    assert re.findall('class="share">([^<]*)<', said) == ["&lt;1%", "19%", *["&lt;1%"] * 5, "80%", *["&lt;1%"] * 2]


def test_only_one_bar_is_marked_as_read_even_in_a_tie() -> None:
    assert answer_html(reading(d3=0.5, d5=0.5)).count("bar read") == 1
    assert "bar read" not in answer_html(None)


def test_steps_are_captioned_and_escaped() -> None:
    shown = steps_html([Step("<b>", 'a "quoted" & b', np.eye(20, 8, dtype=np.float32))])
    assert "<strong>&lt;b&gt;</strong>" in shown
    assert 'alt="a &quot;quoted&quot; &amp; b"' in shown


def test_a_picture_url_holds_its_pixels() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    content = base64.b64decode(png_url(pixels).removeprefix("data:image/png;base64,"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)


def test_the_trajectory_is_not_shown_for_more_strokes_than_a_digit_has() -> None:
    at = open_page("draw")
    at.session_state[FIRST_PAD] = state([[[60.0 + 9 * at, 60.0], [62.0 + 9 * at, 260.0]] for at in range(6)])
    assert html_of(at.run()).count("<figure>") == 4


# Models and data


def test_a_model_is_loaded_again_when_its_pen_network_changes(own_home: Path) -> None:
    folder = own_home / "models" / "mine"
    shutil.copytree(model_folders()["ink-cnn"], folder)
    before = shared.stamp_of("mine")
    model, drawn = load_model(folder), Glyph.of(Drawing.from_points(SEVEN))
    assert model.pen
    told = shared.read_by("mine", drawn).probabilities
    with torch.no_grad():
        model.pen.classifier.bias[3] += 9
    save_model(own_home / "other", model.network, model.card, model.pen)
    shutil.copy(own_home / "other" / "pen.safetensors", folder)  # no other file changes
    assert shared.stamp_of("mine") != before
    assert shared.read_by("mine", drawn).probabilities[3] > told[3]


def test_the_models_page_shows_every_model_with_its_figures() -> None:
    at = open_page("models").run()
    assert any("Everybody starts with **ink-cnn**" in text.value for text in at.markdown)
    figures = [metric.value for metric in at.metric if metric.label == "read right of 10,000 test digits"]
    cards = [load_card(folder) for folder in model_folders().values()]
    assert figures == [f"{card.metrics['test']['accuracy']:.2%}" for card in cards]
    assert not at.exception and not at.warning
    following = [metric.value for metric in at.metric if metric.label == "parameters of the pen network"]
    assert following == [f"{card.pen.parameters:,}" for card in cards if card.pen] and len(following) == 2
    commands = [code.value for code in at.code]
    assert all(card.pen.command in commands for card in cards if card.pen)


@pytest.mark.parametrize("card", [None, "", "[1]", "{}", "\ud800"])
def test_a_broken_model_shows_a_warning_and_hides_no_other(own_home: Path, card: str | None) -> None:
    folder = own_home / "models" / "broken"
    folder.mkdir(parents=True)
    if card is not None:
        (folder / "card.json").write_bytes(card.encode(errors="surrogatepass"))
    at = open_page("models").run()
    assert not at.exception
    assert [heading.value for heading in at.header] == ["All models", "Compare"]
    assert [heading.value for heading in at.subheader] == ["ink-cnn", "ensemble", "mnist-cnn", "robust-cnn", "broken"]
    assert "card.json" in at.warning[0].value and at.warning[0].value.endswith(".")


def test_a_visitor_whose_choice_cannot_be_loaded_keeps_their_model(own_home: Path) -> None:
    folder = own_home / "models" / "cut"
    shutil.copytree(find_model("mnist-cnn"), folder)
    (folder / "model.safetensors").write_bytes(b"")
    at = open_page("models").run()
    at.button("use_mnist-cnn").click().run()
    at.button("use_cut").click().run()
    assert not at.exception and "model.safetensors" in at.warning[0].value
    assert at.session_state["model"] == "mnist-cnn"


def test_the_data_page_shows_the_sample_and_says_what_is_missing(no_mnist: None) -> None:
    at = open_page("data").run()
    assert not at.exception
    assert at.info[0].value == (
        "Only the sample that comes with the app is here: 5,000 digits. The splits train and test are missing."
    )
    assert at.button[0].label == "Fetch all of MNIST (11 MB)"
    assert "The validation split has 5,000 digits, from the embedded sample." in at.caption[-1].value
    assert 'class="sheet"' in html_of(at)


def wait_until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_plain_escapes_markdown_and_html() -> None:
    assert plain("![x](a.example) $5$ <b> &lt;") == r"!\[x\](a.example) \$5\$ \<b\> \&lt;"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("http://a.example", "http:color[:]//a.example"),
        ("www.a.example", ":color[www].a.example"),
        ("WWW.a.example", ":color[WWW].a.example"),
        ("mailto:b@a.example", "mailto:color[:]b:color[@]a.example"),
        (":smile: :material/home:", ":color[:]smile:color[:] :color[:]material/home:color[:]"),
        ("a -> b -- c", r"a :color[-]\> b :color[-]- c"),
        ("- x", r"\- x"),
        ("1. x", r"1\. x"),
        ("99.5% - 1", "99.5% - 1"),
        ("  head\n---", "head :color[-]:color[-]-"),
    ],
)
def test_plain_disarms_links_emoji_arrows_and_lists(text: str, markdown: str) -> None:
    assert plain(text) == markdown  # tests/browser/test_models.py checks how that is rendered


def test_fetching_mnist_offline_ends_with_one_warning(no_mnist: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    at = open_page("data").run()
    shared.downloads.clear()
    at.button[0].click().run()
    wait_until(lambda: not shared.downloads()[-1].is_running)
    at.run()
    assert not at.exception
    assert len(at.warning) == 1
    assert "cannot be reached. Check the network connection." in at.warning[0].value
    assert at.button[0].label.startswith("Fetch")


def test_a_data_folder_without_its_files_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MNIST_APP_DATA", str(tmp_path))
    at = open_page("data").run()
    assert not at.exception and not at.info
    assert r"is missing. Put the original there, or unset MNIST\_APP\_DATA." in at.warning[0].value


# Streamlit's own files


@pytest.fixture(scope="module")
def assets() -> Iterator[httpx.ASGITransport]:
    async def others(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("passed on")(scope, receive, send)

    yield httpx.ASGITransport(CompressedAssets(others))


def get(assets: httpx.ASGITransport, path: str, accepted: str = "br, gzip, deflate") -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=assets, base_url="http://here") as client:
            return await client.get(path, headers={"Accept-Encoding": accepted})

    with start_blocking_portal() as portal:  # a loop of its own: the tests' thread runs Playwright's
        return portal.call(send)


@pytest.mark.parametrize("suffix", ["js", "css"])
@pytest.mark.parametrize("base", ["", "/some/base"])
def test_streamlits_files_are_served_compressed_and_intact(assets: httpx.ASGITransport, suffix: str, base: str) -> None:
    file = max(ASSETS.glob(f"{suffix}/*.{suffix}"), key=lambda path: path.stat().st_size)
    for _ in range(2):
        answer = get(assets, f"{base}/static/{suffix}/{file.name}")
        assert answer.content == file.read_bytes()
        assert answer.headers["content-encoding"] == "gzip" and answer.headers["vary"] == "Accept-Encoding"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.num_bytes_downloaded < len(answer.content) / 2


def test_the_canvas_files_are_served_compressed_and_cacheable(assets: httpx.ASGITransport) -> None:
    kept = {}
    place = "/_stcore/bidi-components/streamlit-drawable-canvas.streamlit_drawable_canvas"
    for file in CANVAS.iterdir():
        answer = get(assets, f"{place}/{file.name}")
        assert answer.content == file.read_bytes() and answer.headers["content-encoding"] == "gzip"
        kept[file.suffix] = answer.headers["cache-control"]
    assert "immutable" in kept[".js"]
    assert kept[".css"] == "public, max-age=86400", "its name stays the same when it changes"


@pytest.mark.parametrize("accepted", ["", "identity", "br"])
def test_a_request_that_does_not_accept_gzip_is_passed_on(assets: httpx.ASGITransport, accepted: str) -> None:
    file = next(ASSETS.glob("js/*.js"))
    assert get(assets, f"/static/js/{file.name}", accepted).text == "passed on"


NO_ASSETS = ["/", "/api/predict", "/static/", "/static/js/no-such.js", "/static/media/x.woff2", "/index.html"]
OUTSIDE = ["/static/%2e%2e/%2e%2e/__init__.py", "/static/%2e%2e%2findex.html", "/static//etc/passwd"]


@pytest.mark.parametrize("path", NO_ASSETS + OUTSIDE)
def test_requests_for_other_paths_are_passed_on(assets: httpx.ASGITransport, path: str) -> None:
    assert get(assets, path).text == "passed on"
