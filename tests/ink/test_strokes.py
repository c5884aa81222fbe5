import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_app.ink.strokes import MAX_POINTS, MAX_STROKES, Drawing, DrawingError, resampled

from ..conftest import ONE, SEVEN, Strokes

FABRIC_PATH = {
    "type": "Path",
    "strokeWidth": 18,
    "path": [["M", 10, 20], ["Q", 10, 20, 15, 25], ["Q", 20, 30, 25, 35], ["L", 30, 40]],
}


def test_points_survive_the_round_trip_through_json() -> None:
    strokes = [[[0.5, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    assert Drawing.from_points(json.loads(json.dumps(strokes))).to_points() == strokes


def test_a_canvas_path_gives_the_samples_of_the_pointer() -> None:
    drawing = Drawing.from_fabric({"objects": [FABRIC_PATH]})
    assert drawing.to_points() == [[[10, 20], [10, 20], [20, 30], [30, 40]]]
    assert drawing.pen_width == 18


def test_a_tap_on_the_canvas_is_one_point() -> None:
    tap = {"type": "Path", "strokeWidth": 20, "path": [["M", 99.98, 50], ["L", 100.02, 50]]}
    assert Drawing.from_fabric({"objects": [tap]}).to_points() == [[[99.98, 50]]]


def test_a_tap_that_slips_by_less_than_half_the_pens_width_is_one_point() -> None:
    def spanned(length: float) -> int:
        path = [["M", 50, 50], ["Q", 50, 50 + length / 2, 50, 50 + length / 2], ["L", 50, 50 + length]]
        slip = {"type": "Path", "strokeWidth": 20, "path": path}
        return len(Drawing.from_fabric({"objects": [slip]}).strokes[0])

    assert [spanned(length) for length in (0, 3, 9.9, 10, 40)] == [1, 1, 1, 3, 3]


@pytest.mark.parametrize("width", [1e9, float("inf"), -5, None, "18"])
def test_an_impossible_pen_width_is_ignored(width: object) -> None:
    drawing = Drawing.from_fabric({"objects": [{**FABRIC_PATH, "strokeWidth": width}]})
    assert len(drawing.strokes[0]) == 4 and drawing.pen_width is None


def test_an_empty_canvas_is_a_blank_drawing() -> None:
    assert Drawing.from_fabric({"objects": [], "background": "#fff"}).is_blank
    assert Drawing.from_fabric({}).is_blank


def test_strokes_without_points_are_skipped() -> None:
    assert Drawing.from_points([[], [[1, 2]], []]).to_points() == [[[1, 2]]]


@pytest.mark.parametrize(
    ("strokes", "says"),
    [
        ("abc", "list"),
        (None, "list"),
        ({"a": 1}, "list"),
        ([5], "A stroke must be a list of points, not int"),
        ([[1, 2]], "pair of numbers"),
        ([[[1, 2, 3]]], "pair of numbers"),
        ([[[1]]], "pair of numbers"),
        ([[[1, 2], [3]]], "pair of numbers"),
        ([[["1", "2"]]], "pair of numbers"),
        ([[[None, 2]]], "pair of numbers"),
        ([[[True, False]]], "pair of numbers"),
        ([[[True, 1.5], [2, 3]]], "pair of numbers"),
        ([[[[1, 2], [3, 4]]]], "pair of numbers"),
        ([[[10**400, 1]]], "pair of numbers"),
        ([[[float("nan"), 1]]], "finite"),
        ([[[float("inf"), 1]]], "finite"),
        ([[[-1.7e308, 0], [1.7e308, 0]]], "finite"),
        ([[[0, 0]]] * (MAX_STROKES + 1), "200 strokes"),
        ([[[0, 0]] * (MAX_POINTS + 1)], "20,000 points"),
        ([[[0, 0]] * (MAX_POINTS // 2 + 1)] * 2, "20,000 points"),
    ],
)
def test_points_that_are_not_a_drawing_are_refused_with_the_reason(strokes: object, says: str) -> None:
    with pytest.raises(DrawingError, match=says):
        Drawing.from_points(strokes)


@pytest.mark.parametrize(
    "canvas",
    [
        "x",
        [],
        {"objects": "x"},
        {"objects": ["x"]},
        {"objects": [{}]},
        {"objects": [{"type": "Circle", "radius": 3}]},
        {"objects": [{"type": "Path"}]},
        {"objects": [{"type": "Path", "path": "M 1 2"}]},
        {"objects": [{"type": "Path", "path": [["M"]]}]},
        {"objects": [{"type": "Path", "path": [["M", 1]]}]},
        {"objects": [{"type": "Path", "path": [["M", "a", "b"]]}]},
        {"objects": [{"type": "Path", "path": [["Z"]]}]},
        {"objects": [{"type": "Path", "path": [[[], 1, 2]]}]},
        {"objects": [{"type": 7, "path": []}]},
    ],
)
def test_a_malformed_canvas_is_refused(canvas: object) -> None:
    with pytest.raises(DrawingError):
        Drawing.from_fabric(canvas)


def test_a_long_text_among_points_takes_little_memory() -> None:
    """NumPy would reserve the text's length for every number: a request of 240 kB took 18 GB."""
    points = [["a" * 30_000, 0], *([[0, 0]] * 2_000)]
    tracemalloc.start()
    with pytest.raises(DrawingError, match="pair of numbers"):
        Drawing.from_points([points])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_drawings_at_the_limits_are_accepted() -> None:
    assert len(Drawing.from_points([[[i, i]] for i in range(MAX_STROKES)]).strokes) == MAX_STROKES
    assert len(Drawing.from_points([[[i, i] for i in range(MAX_POINTS)]]).strokes[0]) == MAX_POINTS


def test_a_subsampled_drawing_keeps_the_ends_of_its_strokes(a_seven: Drawing) -> None:
    dense = Drawing(tuple(resampled(stroke, 0.05) for stroke in a_seven.strokes))
    few = dense.subsampled(100)
    assert sum(map(len, few.strokes)) <= 100 + len(few.strokes) < sum(map(len, dense.strokes))
    for stroke, whole in zip(few.strokes, dense.strokes, strict=True):
        assert (stroke[[0, -1]] == whole[[0, -1]]).all()
    assert few.subsampled(1000) is few


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=30,
)


@given(json_values)
def test_any_json_value_gives_a_drawing_or_a_drawing_error(value: object) -> None:
    for read in (Drawing.from_points, Drawing.from_fabric):
        try:
            drawing = read(value)
        except DrawingError:
            continue
        assert all(stroke.dtype == np.float64 and np.isfinite(stroke).all() for stroke in drawing.strokes)


@pytest.mark.parametrize("strokes", [[], SEVEN, ONE, [[[5, 5]]], [[[1, 2], [30, 4]], [[7, 7], [80, 8], [9, 9]]]])
def test_a_drawing_put_on_the_canvas_comes_back_unchanged(strokes: Strokes) -> None:
    drawing = Drawing.from_points(strokes)
    again = Drawing.from_fabric(drawing.to_fabric(18, "#000"))
    assert again.to_points() == drawing.to_points()
    assert again.pen_width == (18 if strokes else None)
