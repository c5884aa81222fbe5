"""Filters select and describe pictures, orders sort them, and a view can be written to a URL and read back."""

import csv
import io
import string
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_app.data.dataset import Digits
from mnist_app.data.label_errors import DOUBTS
from mnist_app.explore.explorer import LEANS, ORDERS, PANELS, STROKES, VERDICTS, Area, Filters, Readings, View, to_csv
from mnist_app.explore.predictions import Predictions
from mnist_app.explore.projection import METHODS

USUAL = View("mnist-cnn", "test")


@pytest.fixture(scope="module")
def readings() -> Readings:
    """Two hundred invented answers, a tenth of them wrong."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 200)
    logits = rng.normal(size=(200, 10)).astype(np.float32)
    logits[np.arange(200), labels] += 3
    images = np.zeros((200, 28, 28), np.uint8)
    for image in images:
        image[4:24, 8 : 10 + rng.integers(1, 6)] = 255
    return Readings("validation", Digits(images, labels), Predictions(logits, logits))


def one_by_one(filters: Filters, readings: Readings) -> list[int]:
    """Make the same selection by a plain loop that shares no code with the filters."""
    kept = []
    for index in range(len(readings)):
        shares = np.exp(readings.predictions.logits[index].astype(float))
        shares /= shares.sum()
        read, label = int(shares.argmax()), int(readings.digits.labels[index])
        passes = [
            filters.label in (None, label),
            filters.read in (None, read),
            filters.verdict is None or (filters.verdict == "right") == (read == label),
            filters.least <= int(100 * shares.max() + 0.5) <= filters.most,
        ]
        if all(passes):
            kept.append(index)
    return kept


digits = st.none() | st.integers(0, 9)


@given(digits, digits, st.sampled_from([None, *VERDICTS]), st.integers(0, 100), st.integers(0, 100))
def test_filters_select_the_same_pictures_as_a_plain_loop(
    readings: Readings, label: int | None, read: int | None, verdict: str | None, one: int, other: int
) -> None:
    filters = Filters(label, read, verdict, min(one, other), max(one, other))
    assert np.flatnonzero(filters.mask(readings)).tolist() == one_by_one(filters, readings)


SAID = {
    Filters(): (10_000, "10,000 digits"),
    Filters(label=7, read=1): (23, "23 sevens read as ones"),
    Filters(label=6, read=8, verdict="wrong"): (1, "1 six misread as an eight"),
    Filters(label=6): (2, "2 sixes"),
    Filters(verdict="wrong"): (0, "No digits misread"),
    Filters(verdict="right", least=50, most=90): (3, "3 digits read right with 50% to 90% confidence"),
    Filters(most=40): (3, "3 digits with at most 40% confidence"),
    Filters(stroke="thick", lean="left", label=4): (2, "2 thick left-leaning fours"),
    Filters(doubtful=True): (15, "15 digits whose labels are in doubt"),
    Filters(area=Area("pca", ((0, 0), (9, 0), (9, 9)))): (1, "1 digit inside the area marked on the map"),
}


@pytest.mark.parametrize(("filters", "said"), SAID.items())
def test_filters_describe_their_selection(filters: Filters, said: tuple[int, str]) -> None:
    assert filters.describe(said[0]) == said[1]


def test_an_empty_result_says_how_to_widen_it(readings: Readings) -> None:
    nothing = Filters(label=3, least=100)
    assert not nothing.mask(readings).any()
    threes = int((readings.digits.labels == 3).sum())
    assert nothing.advice(readings) == f"Without “100% confidence or more” there are {threes}."
    assert Filters(label=3, least=100, doubtful=True).advice(readings) == (
        "No single filter is to blame: clear them all."
    )


def test_each_filter_that_is_set_can_be_removed_on_its_own() -> None:
    area = Area("tsne", ((0, 0), (9, 0), (9, 9)))
    everything = Filters(1, 7, "wrong", 10, 90, "thin", "right", True, area)
    assert len(everything.each()) == 8
    assert "an eight" in Filters(label=8).each()
    for without in everything.each().values():
        assert len(without.each()) == 7


def test_only_the_test_split_has_labels_in_doubt(readings: Readings) -> None:
    answers = Predictions(np.zeros((10_000, 10), np.float32), np.zeros((10_000, 10), np.float32))
    digits = Digits(np.zeros((10_000, 28, 28), np.uint8), np.zeros(10_000, np.int64))
    for split, expected in (("test", sorted(DOUBTS)), ("train", [])):
        assert np.flatnonzero(Filters(doubtful=True).mask(Readings(split, digits, answers))).tolist() == expected
    short = replace(readings, split="test")
    assert not short.doubtful.any(), "it has 200 pictures, and the first in doubt is number 947"


def test_orders_put_first_what_they_promise(readings: Readings) -> None:
    confidence, right = readings.predictions.confidence, readings.right
    chosen = {order: replace(USUAL, order=order).chosen(readings) for order in ORDERS}
    wrong = int((~right).sum())
    assert not right[chosen["mistakes"][:wrong]].any()
    assert (np.diff(confidence[chosen["mistakes"][:wrong]]) <= 0).all()
    assert (np.diff(confidence[chosen["mistakes"][wrong:]]) >= 0).all()
    assert (np.diff(confidence[chosen["unsure"]]) >= 0).all()
    assert (np.diff(confidence[chosen["sure"]]) <= 0).all()
    assert (np.diff(readings.losses[chosen["loss"]]) <= 0).all()
    assert chosen["index"].tolist() == list(range(200))


def test_an_area_holds_what_lies_inside() -> None:
    lasso = Area("pca", ((0, 0), (100, 0), (100, 100), (50, 50), (0, 100)))
    inside = np.array([[50, 20], [10, 60], [90, 60]], np.float32)
    outside = np.array([[50, 80], [150, 50], [50, -10]], np.float32)
    assert lasso.holds(inside).all()
    assert not lasso.holds(outside).any()


corners = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=3, max_size=64)
areas = st.none() | st.builds(Area, st.sampled_from(list(METHODS)), corners.map(tuple))
ranges = st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted)
filter_sets = ranges.flatmap(
    lambda range_: st.builds(
        Filters,
        digits,
        digits,
        st.sampled_from([None, *VERDICTS]),
        st.just(range_[0]),
        st.just(range_[1]),
        st.sampled_from([None, *STROKES]),
        st.sampled_from([None, *LEANS]),
        st.booleans(),
        areas,
    )
)
views = st.builds(
    View,
    st.text(string.ascii_lowercase, min_size=1),
    st.sampled_from(["train", "validation", "test"]),
    filter_sets,
    st.sampled_from(list(ORDERS)),
    st.integers(1, 999),
    st.none() | st.integers(0, 54_999),
    st.sampled_from(list(PANELS)),
    st.sampled_from(list(METHODS)),
    st.booleans(),
)


@given(views)
def test_a_view_can_be_restored_from_its_url_query(view: View) -> None:
    assert View.from_query(view.to_query(), USUAL) == (view, ())


names = ["split", "label", "read", "verdict", "confidence", "stroke", "lean", "doubt", "area"]
names += ["order", "page", "open", "panel", "method", "matrix", "utm_source"]


@given(st.dictionaries(st.sampled_from(names), st.text(max_size=12)))
def test_any_url_query_gives_a_valid_view(query: dict[str, str]) -> None:
    view, refused = View.from_query(query, USUAL)
    assert set(refused) <= set(query) - {"utm_source"}
    assert View.from_query(view.to_query(), USUAL)[1] == ()


def test_invalid_url_parameters_are_named_and_ignored() -> None:
    query = {"label": "12", "read": "٣", "confidence": "90-10", "area": "pca_1.2", "page": "x", "order": "loss"}
    view, refused = View.from_query(query, USUAL)
    assert refused == ("label", "read", "confidence", "area", "page")
    assert view == replace(USUAL, order="loss")


def test_csv_has_a_line_for_each_picture_in_order(readings: Readings) -> None:
    chosen = replace(USUAL, filters=Filters(verdict="wrong")).chosen(readings)
    rows = list(csv.DictReader(io.StringIO(to_csv(readings, chosen))))
    assert [int(row["index"]) for row in rows] == chosen.tolist()
    for row in rows:
        shares = [float(row[f"probability_{digit}"]) for digit in range(10)]
        assert int(row["read"]) == int(np.argmax(shares)) != int(row["label"])
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert float(row["loss"]) == pytest.approx(-np.log(shares[int(row["label"])]), abs=0.05)
        assert row["label_in_doubt"] == "", "doubts are known for the test split only"
