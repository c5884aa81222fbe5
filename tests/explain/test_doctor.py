from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.explain import doctor
from mnist_app.explain.doctor import (
    MAX_CHANGED_POINTS,
    MEASURES,
    Change,
    Norms,
    changes_of_drawing,
    changes_of_picture,
    examine,
    smallest_change,
)
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing, resampled
from mnist_app.reading.recognition import Glyph, Recogniser, recognise, recognise_glyphs

from ..conftest import ONE, SEVEN

NAMES = [measure.name for measure in MEASURES]
# What people write in a hurry: a one with a bar, a one with a long flag, a six whose loop is open.
BARRED_ONE = [[[170, 50], [170, 290]], [[120, 170], [220, 170]]]
FLAGGED_ONE = [[[60, 150], [200, 60], [190, 290]]]
OPEN_SIX = [[[200, 60], [140, 110], [105, 180], [110, 250], [160, 285], [215, 265], [225, 215]]]


@pytest.fixture(scope="module")
def norms(validation: Digits) -> Norms:
    return Norms.of(validation)


def measured(name: str, pixels: np.ndarray) -> float:
    return float(MEASURES[NAMES.index(name)].of(pixels[None].astype(np.uint8))[0])


def test_aspect_ink_and_enclosed_paper_of_a_frame_are_exact() -> None:
    frame = np.zeros((28, 28))
    frame[4:24, 9:19] = 255
    frame[6:22, 11:17] = 0
    assert measured("aspect", frame) == 10 / 20
    assert measured("closed in", frame) == 16 * 6
    assert measured("ink", frame) == 20 * 10 - 16 * 6
    frame[6, 9:11] = 0  # open the frame
    assert measured("closed in", frame) == 0


def test_the_spread_is_the_standard_deviation_of_the_ink() -> None:
    bar = np.zeros((28, 28))
    bar[4:24, 14] = 255
    assert measured("size", bar) == pytest.approx(np.arange(20).std())


def test_every_measure_of_blank_paper_is_0() -> None:
    assert [measured(name, np.zeros((28, 28))) for name in NAMES] == [0] * len(NAMES)


def test_a_percentile_is_the_share_of_real_digits_below(norms: Norms, validation: Digits) -> None:
    sevens = validation.images[validation.labels == 7]
    for at, measure in enumerate(MEASURES):
        values = measure.of(sevens)
        value = float(values[17])
        slow = 100 * (np.mean(values < value) + np.mean(values == value) / 2)
        assert norms.percentile(7, at, value) == pytest.approx(slow)


def test_each_measure_but_closed_in_calls_about_nine_in_ten_real_digits_usual(norms: Norms, validation: Digits) -> None:
    found = [examine(norms, validation.images[index], int(validation.labels[index])) for index in range(0, 5000, 25)]
    for at in range(len(MEASURES)):
        assert (
            0.04 <= np.mean([findings[at].is_unusual for findings in found]) <= 0.16 or MEASURES[at].name == "closed in"
        )


def test_the_average_picture_of_a_digit_is_the_mean_of_its_images(norms: Norms, validation: Digits) -> None:
    assert np.abs(norms.averages[3] - validation.images[validation.labels == 3].mean(axis=0)).max() <= 0.5


def test_a_very_fat_digit_is_called_thick(norms: Norms) -> None:
    fat = pixels_of_drawing(Drawing.from_points(ONE), pen=7)
    unusual = {finding.measure.name: finding.word for finding in examine(norms, fat, 1) if finding.is_unusual}
    assert unusual["thickness"] == "thick"


def sizes_by_hand(model: Recogniser, pixels: NDArray[np.uint8], changes: Iterable[Change], digit: int) -> list[float]:
    """Return the size of each change that makes the picture read as the digit; each is read on its own."""
    sizes = []
    for change in changes:
        read = recognise_glyphs(model, [change.glyph])[0]
        if read.digit == digit and read.is_digit and read.confidence >= 0.5:
            sizes.append(float(np.abs(change.pixels.astype(int) - pixels).sum() / pixels.sum()))
    return sizes


def test_the_smallest_change_to_a_picture_is_found(shipped_model: Recogniser, validation: Digits) -> None:
    for index in (100, 700, 1300):
        pixels = validation.images[index]
        runner_up = recognise(shipped_model, pixels[None])[0].runner_up
        sizes = sizes_by_hand(shipped_model, pixels, changes_of_picture(pixels), runner_up)
        found = smallest_change(shipped_model, pixels, None, runner_up)
        assert (found.size if found else None) == (pytest.approx(min(sizes)) if sizes else None)


def test_the_smallest_change_to_strokes_is_found_and_works(shipped_model: Recogniser) -> None:
    for strokes, digit in ((OPEN_SIX, 6), (BARRED_ONE, 1), (FLAGGED_ONE, 7)):
        drawing = Drawing.from_points(strokes)
        pixels = pixels_of_drawing(drawing)
        before = recognise_glyphs(shipped_model, [Glyph.of(drawing)])[0]
        assert before.digit != digit or not before.is_digit
        sizes = sizes_by_hand(shipped_model, pixels, changes_of_drawing(drawing), digit)
        found = smallest_change(shipped_model, pixels, drawing, digit)
        assert found is not None and found.size == pytest.approx(min(sizes))
        assert found.change.drawing is not None
        again = recognise_glyphs(shipped_model, [Glyph.of(found.change.drawing)])[0]
        assert again.digit == digit and again.is_digit


def test_an_invisible_change_is_never_suggested(shipped_model: Recogniser, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = Drawing.from_points(ONE)
    pixels = pixels_of_drawing(drawing)
    unseen = Change("lift the pen", pixels, Drawing.from_points(SEVEN))
    seen = Change("draw a seven", pixels_of_drawing(Drawing.from_points(SEVEN)), Drawing.from_points(SEVEN))
    monkeypatch.setattr(doctor, "changes_of_drawing", lambda _: [unseen, seen])
    monkeypatch.setattr(doctor, "recognise_glyphs", lambda *_: recognise_glyphs(shipped_model, [seen.glyph] * 2))
    found = smallest_change(shipped_model, pixels, drawing, 7)
    assert found and found.change is seen


def test_closing_the_gap_of_an_open_six_encloses_paper() -> None:
    drawing = Drawing.from_points(OPEN_SIX)
    assert measured("closed in", pixels_of_drawing(drawing)) == 0
    changes = [change for change in changes_of_drawing(drawing) if change.what.startswith("close the gap at the end")]
    assert max(measured("closed in", change.pixels) for change in changes) > 5


def test_stroke_ends_are_shortened_and_lengthened_by_shares_of_the_height() -> None:
    extents: dict[str, list[int]] = {}  # alternately top and bottom
    for change in changes_of_drawing(Drawing.from_points([[[50, 0], [50, 100]]])):
        assert change.drawing
        heights = np.concatenate(change.drawing.strokes)[:, 1]
        extents.setdefault(change.what, []).extend((round(heights.min()), round(heights.max())))
    assert extents["shorten the end of your stroke"] == [0, 95, 0, 90, 0, 80, 0, 70, 0, 60]
    assert extents["shorten the beginning of your stroke"] == [5, 100, 10, 100, 20, 100, 30, 100, 40, 100]
    assert extents["lengthen the end of your stroke"] == [0, 105, 0, 110, 0, 120, 0, 130]
    assert extents["lengthen the beginning of your stroke"] == [-5, 100, -10, 100, -20, 100, -30, 100]


def test_a_leaning_digit_can_be_straightened(validation: Digits) -> None:
    pixels = validation.images[500]
    assert abs(measured("slant", pixels)) > 20
    for changes in (changes_of_picture(pixels), changes_of_drawing(Drawing.from_points([[[90, 20], [20, 300]]]))):
        upright = next(change for change in changes if change.what == "straighten it")
        assert abs(measured("slant", upright.pixels)) < 1


def test_fewer_than_200_changes_are_tried_for_a_scribble_of_40_strokes() -> None:
    rng = np.random.default_rng(0)
    scribble = Drawing.from_points([rng.uniform(0, 300, (6, 2)).tolist() for _ in range(40)])
    assert len(list(changes_of_drawing(scribble))) < 200


def test_changes_to_a_drawing_of_thousands_of_points_use_fewer_points(a_seven: Drawing) -> None:
    dense = Drawing(tuple(resampled(stroke, 0.05) for stroke in a_seven.strokes))
    for change in changes_of_drawing(dense):
        assert change.drawing and sum(map(len, change.drawing.strokes)) < 1.2 * MAX_CHANGED_POINTS


def test_every_change_to_a_drawing_comes_with_the_strokes_that_paint_it() -> None:
    for strokes in (SEVEN, [[[5, 5]], [[9, 9]]], ONE):
        for change in changes_of_drawing(Drawing.from_points(strokes)):
            assert change.drawing is not None
            assert (pixels_of_drawing(change.drawing) == change.pixels).all()


def test_no_change_is_suggested_for_a_dot(shipped_model: Recogniser) -> None:
    dot = Drawing.from_points([[[5, 5]]])
    assert smallest_change(shipped_model, pixels_of_drawing(dot), dot, 3) is None
