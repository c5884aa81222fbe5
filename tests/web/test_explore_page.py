"""The Explore page: its numbers equal an independent count, and its parts work together."""

import base64
import io
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal
from PIL import Image
from sklearn.metrics import precision_recall_fscore_support
from starlette.applications import Starlette
from streamlit.testing.v1 import AppTest

from mnist_app.data.dataset import Digits, load_split
from mnist_app.errors import AppError
from mnist_app.explore.explorer import Filters, Readings
from mnist_app.explore.predictions import Predictions, predict
from mnist_app.models import shelf
from mnist_app.models.registry import DEFAULT_MODEL, find_model
from mnist_app.reading.evaluation import evaluate
from mnist_app.reading.recognition import Prediction
from mnist_app.storage import SHIPPED_WEIGHTS, user_models_folder
from mnist_app.web import canvas, session, shared
from mnist_app.web.charts import DIGIT_COLOURS, READ, WRONG, confusion_html
from mnist_app.web.gallery import certainty_sentence, gallery_html, image_sheet, picture_html, sheet_png
from mnist_app.web.thumbnails import thumbnail_routes
from mnist_app.work import Work

from ..conftest import ONE, SEVEN, Strokes, full_mnist
from .test_pages import html_of, ink, open_page


@pytest.fixture(autouse=True)
def fresh_server() -> None:
    """Keep nothing in memory from another test's home."""
    shared._exploring.clear()
    shared._known_tsne.clear()
    shared._pca.clear()


def explore(waits: bool = True, **query: str) -> AppTest:
    at = open_page("explore")
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    return finished(at) if waits else at


def finished(at: AppTest) -> AppTest:
    """Return the page once the split has been read."""
    while at.get("progress"):
        at.run()
    return at


def component(at: AppTest, key: str) -> dict[str, Any]:
    """Return the data that one of our components was given."""
    for element in at.get("bidi_component"):
        proto: Any = element.proto
        if f"-{key}" in proto.id:
            return json.loads(proto.json or proto.mixed.json)
    raise AssertionError(f"no element {key}")


def described(at: AppTest) -> str:
    return re.findall(r'<h2 class="described"[^>]*>([^<]*)<', html_of(at))[0]


@pytest.fixture(scope="module")
def read(said_of_validation: Callable[[str], np.ndarray]) -> np.ndarray:
    """What the shipped model reads in the validation split, computed without the page."""
    return said_of_validation(DEFAULT_MODEL)[:, :10].argmax(axis=1)


def test_the_numbers_equal_an_independent_count(no_mnist: None, validation: Digits, read: np.ndarray) -> None:
    at = explore()
    labels = validation.labels
    wrong = int((labels != read).sum())
    assert not at.exception
    assert f"<strong>{(labels == read).mean():.2%}</strong> of the 5,000 validation digits" in html_of(at)
    assert f"<strong>{wrong}</strong> are misread" in html_of(at)
    matrix = component(at, "confusion")["html"]
    cells = re.findall(r'data-pick="(\d)-(\d)"[^>]*aria-label="\d read as \d: ([\d,]+) of', matrix)
    assert len(cells) == 100
    for label, answer, count in cells:
        assert int(count.replace(",", "")) == int(((labels == int(label)) & (read == int(answer))).sum())
    precision, recall, f1, support = precision_recall_fscore_support(labels, read)
    rows = re.findall(r"<tr><th scope=\"row\">(\d)</th>(.*?)</tr>", html_of(at))
    for digit, row in rows[-10:]:
        n = int(digit)
        figures = [f"{value[n] * 100:.2f}%" for value in (precision, recall, f1)]
        assert re.findall(r"<td>([\d.]+%)</td>", row) == figures
        assert f"</span>{support[n]:,}</td>" in row


def test_a_fresh_machine_shows_the_sample_and_says_so(no_mnist: None, read: np.ndarray) -> None:
    at = explore()
    assert at.info[0].value.startswith("Only the sample that comes with the app is here: the 5,000 digits")
    assert described(at) == "5,000 digits"
    wrong = int((read != load_split("validation").labels).sum())
    assert component(at, "gallery")["html"].count('class="tile wrong"') == wrong


def test_a_missing_split_is_replaced_by_the_sample(no_mnist: None) -> None:
    at = explore(split="test")
    assert not at.exception
    assert "validation digits" in html_of(at)


def test_the_address_sets_the_view_and_follows_it(no_mnist: None, validation: Digits, read: np.ndarray) -> None:
    wrong = validation.labels != read
    at = explore(verdict="wrong", order="loss")
    assert described(at) == f"{int(wrong.sum())} digits misread"
    tiles = [int(index) for index in re.findall(r'data-pick="(\d+)"', component(at, "gallery")["html"])]
    assert sorted(tiles) == np.flatnonzero(wrong).tolist()
    at.selectbox("explore_order").select("index").run()
    assert at.query_params["order"] == "index"
    tiles = [int(index) for index in re.findall(r'data-pick="(\d+)"', component(at, "gallery")["html"])]
    assert tiles == np.flatnonzero(wrong).tolist()


def test_an_invalid_part_of_an_address_is_named_and_ignored(no_mnist: None) -> None:
    at = explore(label="12", read="3")
    assert not at.exception
    assert "(label)" in at.warning[0].value.replace("\\", "")
    assert described(at).endswith("digits read as threes")


def test_an_invalid_part_of_an_address_is_reported_until_the_next_press(
    no_mnist: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Work, "result", lambda *_: None)
        patch.setattr(Work, "is_running", True)
        at = explore(waits=False, label="12", read="3")
    assert at.get("progress") and "(label)" in at.warning[0].value.replace("\\", "")
    finished(at)
    assert "(label)" in at.warning[0].value.replace("\\", "")
    at.selectbox("explore_order").select("index").run()
    assert not at.warning


def test_an_unknown_model_is_reported(no_mnist: None) -> None:
    at = explore(model="nobody")
    assert not at.exception
    assert at.warning[0].value.startswith("No model named 'nobody'")


def test_an_empty_result_says_how_to_widen_it(no_mnist: None) -> None:
    at = explore(label="3", confidence="0-1")
    assert described(at) == "No threes with at most 1% confidence"
    assert "Without “at most 1% confidence” there are 500." in at.markdown[0].value
    at.button("explore_clear").click().run()
    assert described(at) == "5,000 digits"


def test_filters_combine_and_are_described(no_mnist: None, validation: Digits, read: np.ndarray) -> None:
    at = explore()
    at.selectbox("explore_label").select("5").run()
    at.selectbox("explore_verdict").select("right").run()
    assert described(at) == f"{int(((validation.labels == 5) & (read == 5)).sum())} fives read right"
    at.slider("explore_confidence").set_range(0, 50).run()
    assert "at most 50% confidence" in described(at)


def test_the_gallery_turns_to_the_next_page(no_mnist: None) -> None:
    at = explore(order="index")
    first = component(at, "gallery")["html"]
    assert at.button("page_left").disabled
    at.button("page_right").click().run()
    second = component(at, "gallery")["html"]
    assert re.findall(r'data-pick="(\d+)"', first)[0] == "0"
    assert re.findall(r'data-pick="(\d+)"', second)[0] == "60"
    assert not at.button("page_left").disabled


def test_an_opened_picture_shows_its_details_and_steps_both_ways(no_mnist: None, validation: Digits) -> None:
    at = explore(order="index", open="7", panel="picture")
    assert "Picture 7 of the validation split" in html_of(at)
    assert html_of(at).count('class="bar') >= 10
    assert "the training pictures are not here" in "".join(caption.value for caption in at.caption)
    at.button("picture_right").click().run()
    assert "Picture 8 of the validation split" in html_of(at)
    at.button("picture_left").click().run()
    at.button("picture_left").click().run()
    assert "Picture 6 of the validation split" in html_of(at)


def test_a_picture_that_would_be_refused_says_so_and_how_it_counts(
    no_mnist: None, said_of_validation: Callable[[str], np.ndarray]
) -> None:
    logits = said_of_validation(DEFAULT_MODEL).astype(np.float64)
    doubts = np.exp(logits[:, 10] - np.logaddexp.reduce(logits, axis=1))
    at = explore(open=str(doubts.argmax()), panel="picture")
    said = f"The network would answer “not a digit”, {doubts.max():.0%} sure."
    assert any(written.value.startswith(said) for written in at.markdown)
    assert "If it says “not a digit”, the digit it finds likeliest counts." in html_of(at)
    at = explore(open=str(doubts.argmin()), panel="picture")
    assert not any("not a digit" in written.value for written in at.markdown)
    at = explore(open=str(doubts.argmax()), panel="picture", model="mnist-cnn")
    assert not any("not a digit" in written.value for written in at.markdown)
    assert "not a digit" not in html_of(at)


def test_a_picture_can_be_taken_to_the_draw_page_and_is_read_there(no_mnist: None, validation: Digits) -> None:
    at = explore(order="index", open="3600", panel="picture")
    at.button("take").click().run()
    there = open_page("draw")
    there.session_state["picture_input"] = at.session_state["picture_input"]
    there.run()
    assert '<p class="digit" style="--length:1">7</p>' in html_of(there)
    assert np.array_equal(at.session_state["picture_input"].prepared.pixels, validation.images[3600])
    there.button("put_back").click().run()
    assert '<p class="digit" style="--length:1">?</p>' in html_of(there)


def test_a_drawing_lands_on_the_map_among_pictures_of_its_digit(no_mnist: None, validation: Digits) -> None:
    at = open_page("explore")
    at.query_params["panel"] = "map"
    at.session_state["pad"] = canvas.Pad(latest=ink(SEVEN))
    at.session_state["show_drawing"] = True
    finished(at.run())
    assert not at.exception
    drawn = component(at, "digit_map")["drawn"]
    assert len(drawn["near"]) == 5
    assert (validation.labels[drawn["near"]] == 7).all()
    assert any("How your drawing is read: sure of 7" in caption.value for caption in at.caption)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_the_map_holds_every_picture(no_mnist: None, method: str) -> None:
    at = explore(panel="map", method=method)
    data = component(at, "digit_map")
    places = np.frombuffer(base64.b64decode(data["places"]), "<u2").reshape(-1, 2)
    assert places.shape == (5000, 2) and places.max() == 2**16 - 1
    assert np.array_equal(np.frombuffer(base64.b64decode(data["labels"]), np.uint8), load_split("validation").labels)


def test_an_area_marked_on_the_map_is_described_above_the_gallery(no_mnist: None) -> None:
    everything = "tsne_0.0_1000.0_1000.1000_0.1000"
    assert described(explore(area=everything)) == "5,000 digits inside the area marked on the map"
    corner = described(explore(area="tsne_0.0_1.0_1.1_0.1"))
    assert corner.endswith("inside the area marked on the map")


@pytest.fixture
def no_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that ships predictions but no maps."""
    (tmp_path / "shipped").mkdir()
    for path in SHIPPED_WEIGHTS.glob("*.predictions.*"):
        (tmp_path / "shipped" / path.name).symlink_to(path)
    monkeypatch.setattr("mnist_app.explore.disk_cache.SHIPPED_WEIGHTS", tmp_path / "shipped")


def test_an_area_of_a_missing_map_is_ignored_and_reported(no_mnist: None, no_maps: None) -> None:
    at = explore(area="tsne_0.0_1.0_1.1_0.1")
    assert described(at) == "5,000 digits"
    assert any("a map that is not here" in info.value for info in at.info)
    assert "area" not in at.query_params


def test_a_drawing_of_a_number_is_not_placed_on_the_map(no_mnist: None) -> None:
    at = open_page("explore")
    at.query_params["panel"] = "map"
    at.session_state["pad"] = canvas.Pad(latest=ink([*small(ONE, 40), *small(SEVEN, 160)]))
    at.session_state["show_drawing"] = True
    finished(at.run())
    assert not at.exception
    assert any("as the number 17" in caption.value for caption in at.caption)
    assert component(at, "digit_map")["drawn"] is None


def test_a_missing_tsne_map_is_offered_and_pca_is_shown_meanwhile(no_mnist: None, own_home: Path) -> None:
    (own_home / "models").mkdir(parents=True)
    shutil.copytree(find_model(DEFAULT_MODEL), own_home / "models" / "mine")
    path = own_home / "models" / "mine" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\x00\x00\x00\x00")  # other weights: another key
    at = open_page("explore")
    at.query_params.update({"model": "mine", "panel": "map"})
    shared.exploring("mine", "validation").result(60)
    at.run()
    assert not at.exception
    assert at.button("lay_out").label.startswith("Compute the t-SNE map")
    assert len(component(at, "digit_map")["places"]) > 5000


class EndlessLayout:
    """A map whose computation runs until a test ends it."""

    begun: ClassVar[list[tuple[str, str]]] = []
    share, problem, is_running = 0.5, None, True

    def __init__(self, model: str, split: str) -> None:
        time.sleep(0.05)  # starting a process takes as long, and others may ask meanwhile
        self.begun.append((model, split))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """The maps whose computation has begun; none of them ends by itself."""
    monkeypatch.setattr(shared, "Layout", EndlessLayout)
    EndlessLayout.begun.clear()
    shared.layouts.clear()
    yield EndlessLayout.begun
    shared.layouts.clear()


def test_only_one_map_is_computed_at_a_time_however_many_ask(begun: list[tuple[str, str]]) -> None:
    asked = [(model, split) for model in ("ink-cnn", "mnist-cnn") for split in ("validation", "test")] * 3
    with ThreadPoolExecutor(len(asked)) as visitors:
        list(visitors.map(lambda each: shared.lay_out(*each), asked))
    assert len(begun) == 1 and shared.running_layout() == begun[0]
    shared.layouts()[begun[0]].is_running = False  # type: ignore[misc]
    shared.lay_out("mnist-cnn", "train")
    assert begun[1:] == [("mnist-cnn", "train")]


def test_a_second_visitor_is_told_which_map_is_being_computed(
    no_mnist: None, no_maps: None, begun: list[tuple[str, str]]
) -> None:
    shared.lay_out("mnist-cnn", "test")
    at = explore(panel="map")
    assert any(caption.value.startswith("One map at a time: the map of the test split") for caption in at.caption)
    assert "lay_out" not in [button.key for button in at.button]


def test_visitors_share_one_computation(no_mnist: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("mnist_app.explore.disk_cache.SHIPPED_WEIGHTS", tmp_path / "empty")
    asked: list[int] = []
    go = threading.Event()

    def slow(graph: Any, images: Any, progress: Any) -> Predictions:
        asked.append(len(images))
        progress(0.4)
        go.wait(30)
        return predict(graph, images, progress)

    monkeypatch.setattr("mnist_app.explore.predictions.predict", slow)
    waiting = explore(waits=False)
    assert not waiting.exception
    others = [explore(waits=False) for _ in range(2)]
    works = {id(shared.exploring(DEFAULT_MODEL, "validation")) for _ in range(10)}
    go.set()
    shared.exploring(DEFAULT_MODEL, "validation").result(60)
    assert "5,000 validation digits" in html_of(others[0].run())
    assert asked == [5000] and len(works) == 1


def test_failed_work_says_why() -> None:
    def fail(progress: object) -> int:
        raise AppError("The disk is on fire.")

    work = Work(fail)
    assert work.result(5) is None
    assert work.problem == "The disk is on fire."


def test_work_that_fails_unexpectedly_says_so() -> None:
    def fail(progress: object) -> int:
        raise RuntimeError("a bug")

    work = Work(fail)
    assert work.result(5) is None
    assert work.problem and "unexpected reason" in work.problem


def test_a_failed_reading_can_be_tried_again(no_mnist: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("mnist_app.web.shared.evaluate", lambda *_: 1 / 0)
        at = explore(waits=False)
        while not at.button:
            at.run()
    assert "unexpected reason" in at.warning[0].value
    next(button for button in at.button if button.label == "Try again").click().run()
    assert described(finished(at)) == "5,000 digits"


# Colours and pictures


def small(digit: Strokes, left: float) -> Strokes:
    """Return a digit at half its size."""
    return [[[x / 2 + left, y / 2 + 80] for x, y in stroke] for stroke in digit]


def made_up(count: int = 13) -> Readings:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, 10)).astype(np.float32)
    images = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
    return Readings("test", Digits(images, rng.integers(0, 10, count)), Predictions(logits, logits))


def pixels_of(style_or_html: str) -> np.ndarray:
    content = re.findall(r"data:image/png;base64,([^)\"]+)", style_or_html)[0]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_gallery_page_is_one_image_with_every_picture_in_its_place() -> None:
    readings = made_up()
    shown = np.array([3, 1, 12, *range(10)])
    page = gallery_html(readings, shown, opened=12)
    sheet = pixels_of(page)
    assert page.count("data:image/png") == 1
    assert sheet.shape == (56, 280)
    positions = re.findall(r"background-position:([\d.]+)% ([\d.]+)%", page)
    for (x, y), index in zip(positions, shown, strict=True):
        column, row = round(float(x) / 100 * 9), round(float(y) / 100)
        tile = sheet[row * 28 : row * 28 + 28, column * 28 : column * 28 + 28]
        assert np.array_equal(tile, readings.digits.images[index])
    assert re.findall(r'data-pick="(\d+)" aria-current="true"', page) == ["12"]


def test_pictures_are_laid_out_in_a_square_sheet_for_download() -> None:
    images = made_up().digits.images
    sheet = np.asarray(Image.open(io.BytesIO(sheet_png(images))))
    assert sheet.shape == (4 * 28, 4 * 28)
    assert np.array_equal(sheet[28:56, :28], images[4])
    assert image_sheet(images[:0]).shape == (28, 280)


def test_a_model_is_listed_by_its_title(no_mnist: None) -> None:
    shutil.copytree(find_model(DEFAULT_MODEL), user_models_folder() / "network-2")
    shelf.label("network-2", "Моя сеть", "")
    at = explore(model="network-2")
    assert at.selectbox("explore_model").value == "network-2" and "Моя сеть" in at.selectbox("explore_model").options


def more(at: AppTest) -> str:
    """Return the label of the button that shows the hidden filters."""
    (found,) = [each.proto.popover.label for each in at.get("popover") if "More" in each.proto.popover.label]
    return str(found)


def test_the_more_button_counts_only_the_active_filters_behind_it(no_mnist: None) -> None:
    at = explore(area="pca_100.100_900.100_900.900_100.900")
    assert more(at) == "More"
    assert not [toggle for toggle in at.toggle if toggle.label == "Label in doubt"], (
        "the labels of validation were not reviewed"
    )
    at = explore(confidence="50-90", doubt="yes")
    assert more(at) == "More (2)"
    assert [toggle.value for toggle in at.toggle if toggle.label == "Label in doubt"] == [True]


@pytest.mark.parametrize(
    ("seven", "one", "words"),
    [
        (0.97, 0.01, "Sure of 7 (97%); next comes 1 (1%)."),
        (0.8, 0.12, "Fairly sure of 7 (80%); next comes 1 (12%)."),
        (0.8, 0.16, "Torn between 7 (80%) and 1 (16%)."),
        (0.3, 0.14, "Hardly sure of 7 (30%); next comes 1 (14%)."),
    ],
)
def test_the_words_for_certainty_follow_the_probabilities(seven: float, one: float, words: str) -> None:
    rest = (1 - seven - one) / 8
    probabilities = tuple({7: seven, 1: one}.get(digit, rest) for digit in range(10))
    assert certainty_sentence(Prediction(probabilities, "a model")) == words


def test_a_picture_number_beyond_the_split_is_reported_and_opens_nothing(no_mnist: None) -> None:
    at = explore(open="5000", panel="picture")
    assert "of the validation split" not in html_of(at)
    assert "This split has 5,000 pictures, and none with that number." in [info.value for info in at.info]


def test_a_doubtful_label_has_a_badge_and_a_reason() -> None:
    full_mnist()
    digits = load_split("test")
    logits = np.zeros((10_000, 10), np.float32)
    readings = Readings("test", digits, Predictions(logits, logits))
    assert "Label in doubt" in gallery_html(readings, np.array([947]), None)
    assert "none agreed with the label 8 and all five saw a 9." in picture_html(readings, 947)
    assert "in doubt" not in gallery_html(readings, np.array([0]), None)


def test_the_confusion_matrix_marks_mistakes_and_the_current_filter() -> None:
    labels, read = np.array([4, 4, 4, 9]), np.array([4, 9, 9, 9])
    counted = confusion_html(evaluate(labels, read), False, Filters(label=4, read=9))
    shared = confusion_html(evaluate(labels, read), True, Filters())
    cell = re.findall(
        r'<button type="button" class="(\w+)" data-pick="4-9"[^>]*aria-current="(\w+)"[^>]*>([^<]*)<', counted
    )
    assert cell == [("mistake", "true", "2")]
    assert re.findall(r'class="(\w+)" data-pick="4-4"', counted) == ["right"]
    assert ">66.7<" in shared and 'aria-current="true"' in confusion_html(
        evaluate(labels, read), True, Filters(label=4)
    )


def test_the_confusion_matrix_never_rounds_a_share_to_none_or_all() -> None:
    read = np.full(5_000, 4)
    read[0] = 9
    shared = confusion_html(evaluate(np.full(5_000, 4), read), True, Filters())
    cells = [re.findall(rf'data-pick="4-{digit}"[^>]*>([^<]*)<', shared) for digit in (4, 9, 5)]
    assert cells == [["&gt;99.9"], ["&lt;0.1"], ["·"]]


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


# Normal vision, then protanopia, deuteranopia and tritanopia: Machado, Oliveira and Fernandes (2009), severity 1.
SIGHT = [
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
]


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Oklab, by Ottosson (2020): distances as the eye perceives them."""
    cones = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
    cones += [[0.0883024619, 0.2817188376, 0.6299787005]]
    axes = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
    axes += [[0.0259040371, 0.7827717662, -0.8086757660]]
    return np.array(axes) @ np.cbrt(np.array(cones) @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("sight", SIGHT)
def test_no_two_colours_look_alike_in_normal_or_colour_blind_vision(sight: Any) -> None:
    seen = np.array([oklab(np.array(sight) @ linear(colour)) for colour in (*DIGIT_COLOURS, READ, WRONG)])
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=2) + np.eye(len(seen))
    assert distances[:10, :10].min() > 0.11
    assert distances.min() > 0.055


def test_the_style_sheet_and_the_charts_use_the_same_colours() -> None:
    style = (Path(session.__file__).parent / "style.css").read_text()
    assert re.findall(r"--read: (#\w+);", style) == [READ]
    assert re.findall(r"--wrong: (#\w+);", style) == [WRONG]


def get(path: str, digits: Digits) -> httpx.Response:
    def load(split: str) -> Digits:
        if split != "test":
            raise AppError("There is no such split.")
        return digits

    app = Starlette(routes=list(thumbnail_routes("/digits", load)))

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.get(path)

    with start_blocking_portal() as portal:
        return portal.call(send)


def test_a_thumbnail_shows_its_picture_and_is_cacheable(tiny_digits: Digits) -> None:
    answer = get("/digits/test/5.png", tiny_digits)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), tiny_digits.images[5])
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        *("/digits/test/64.png", "/digits/nothing/1.png", "/digits/test/-1.png", "/digits/test/x.png"),
        *(f"/digits/test/{'9' * length}.png" for length in (6, 7, 20, 5000)),
        *(f"/digits/test/{index}.png" for index in ("1e3", "0x1", "+5", "1_0", "%20", "5%20", "%D9%A5", "%C2%B2")),
        *("/digits/test/.png", "/digits/test/1.0.png", "/digits/test/%00.png", "/digits/%00/1.png"),
    ],
)
def test_a_thumbnail_that_does_not_exist_is_a_404(tiny_digits: Digits, path: str) -> None:
    assert get(path, tiny_digits).status_code == 404
