import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mnist_app.data.dataset import Digits
from mnist_app.ink.preprocessing import (
    BOX,
    MAX_PAINTED_POINTS,
    SIDE,
    BlankError,
    centre,
    crop,
    fit,
    pixels_of_drawing,
    prepare_drawing,
    prepare_image,
)
from mnist_app.ink.strokes import MAX_POINTS, Drawing, resampled
from mnist_app.reading.recognition import Recogniser, recognise

from ..conftest import ONE, SEVEN, TWO, ZERO

ALL = [ONE, TWO, SEVEN, ZERO]


def scaled(strokes: list[list[list[float]]], factor: float, right: float = 0, down: float = 0) -> Drawing:
    return Drawing.from_points([[[x * factor + right, y * factor + down] for x, y in stroke] for stroke in strokes])


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The mean absolute difference in grey levels over the pixels with ink in either."""
    inked = (one > 0) | (other > 0)
    return float(np.abs(one.astype(float) - other)[inked].mean())


def centroid(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    rows, columns = np.indices(pixels.shape)
    mass = pixels.sum(dtype=np.float64)
    return float((rows * pixels).sum() / mass), float((columns * pixels).sum() / mass)


@pytest.mark.parametrize("strokes", ALL)
def test_a_drawing_is_sized_and_centred_like_an_mnist_digit(strokes: list[list[list[float]]]) -> None:
    pixels = pixels_of_drawing(Drawing.from_points(strokes))
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    assert pixels.shape == (SIDE, SIDE) and pixels.dtype == np.uint8
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == BOX
    assert pixels.max() == 255
    assert all(13.5 <= at <= 14.5 for at in centroid(pixels))


@pytest.mark.parametrize("strokes", ALL)
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_size_of_a_drawing_makes_almost_no_difference(strokes: list[list[list[float]]], share: float) -> None:
    assert difference(pixels_of_drawing(scaled(strokes, share)), pixels_of_drawing(scaled(strokes, 1))) < 1


@pytest.mark.parametrize(("right", "down"), [(150, 0), (0, -40), (-3000.25, 12345.5)])
def test_the_position_of_a_drawing_makes_no_difference(right: float, down: float) -> None:
    moved = pixels_of_drawing(scaled(SEVEN, 1, right, down))
    np.testing.assert_array_equal(moved, pixels_of_drawing(Drawing.from_points(SEVEN)))


def test_strokes_are_as_thick_as_mnists(validation: Digits) -> None:
    def thickness(pixels: NDArray[np.uint8]) -> float:  # of an upright bar: its ink per row
        rows = pixels[9:19].astype(float).sum(axis=1) / 255
        return float(np.median(rows))

    ones = validation.images[validation.labels == 1]
    ours = thickness(pixels_of_drawing(Drawing.from_points(ONE)))
    assert (
        np.percentile([thickness(one) for one in ones], 5) < ours < np.percentile([thickness(one) for one in ones], 95)
    )


def test_a_corner_dot_ends_up_centred_and_stays_a_dot() -> None:
    pixels = pixels_of_drawing(Drawing.from_points([[[339, 339]]]))
    assert all(13.5 <= at <= 14.5 for at in centroid(pixels))
    assert np.count_nonzero(pixels) <= 16


def test_a_blank_drawing_has_nothing_to_read(blank_drawing: Drawing) -> None:
    with pytest.raises(BlankError, match="no ink"):
        prepare_drawing(blank_drawing)
    with pytest.raises(BlankError, match="no ink"):
        pixels_of_drawing(blank_drawing)


@pytest.mark.parametrize(
    "strokes", [[[[0, 0], [1e-320, 1e-320]]], [[[0, 0], [1e150, 1e150]]], [[[0, 0], [1000, 0]]], [[[5, 5]] * 50]]
)
def test_extreme_drawings_still_give_a_picture(strokes: object) -> None:
    assert pixels_of_drawing(Drawing.from_points(strokes)).max() == 255


def test_the_steps_shown_end_in_the_picture_that_is_read(a_seven: Drawing) -> None:
    prepared = prepare_drawing(a_seven)
    np.testing.assert_array_equal(prepared.pixels, pixels_of_drawing(a_seven))
    np.testing.assert_array_equal(np.round(prepared.steps[-1].picture * 255), prepared.pixels)
    assert [step.name for step in prepared.steps] == ["Your ink", "MNIST's pen", "20 × 20", "28 × 28"]
    assert all(step.picture.min() >= 0 and step.picture.max() <= 1 for step in prepared.steps)


def test_fitting_averages_the_area_that_each_pixel_covers() -> None:
    picture = np.random.default_rng(0).random((60, 45), np.float32)
    by_hand = picture.reshape(20, 3, 15, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(fit(picture), by_hand, atol=1e-6)


def test_centring_moves_by_whole_pixels_and_loses_no_ink() -> None:
    lopsided = np.zeros((20, 20), np.float32)
    lopsided[0, :] = lopsided[:, 0] = 0.1
    lopsided[19, 19] = 1
    paper = centre(lopsided)
    assert np.isclose(paper.sum(), lopsided.sum())
    assert set(np.unique(paper)) == set(np.unique(lopsided))


def pasted(digit: NDArray[np.uint8], rng: np.random.Generator, dark_on_light: bool) -> Image.Image:
    """Enlarge an MNIST digit and place it somewhere on a large sheet."""
    side = int(rng.integers(56, 400))
    sheet = int(side * rng.uniform(1.1, 2))
    paper = Image.new("L", (sheet, sheet))
    enlarged = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    paper.paste(enlarged, (int(rng.integers(0, sheet - side)), int(rng.integers(0, sheet - side))))
    return Image.fromarray(255 - np.asarray(paper)) if dark_on_light else paper


def test_mnist_digits_on_a_large_sheet_are_recovered_and_read_as_well(
    validation: Digits, shipped_model: Recogniser
) -> None:
    rng = np.random.default_rng(0)
    chosen = validation[rng.choice(len(validation), 1000, replace=False)]
    back = np.stack([prepare_image(pasted(image, rng, bool(i % 2))).pixels for i, image in enumerate(chosen.images)])
    off = np.abs(back.astype(float) - chosen.images).mean(axis=(1, 2))
    assert np.median(off) < 8  # of 255; a shift by one pixel is about 24

    def accuracy(images: NDArray[np.uint8]) -> float:
        read = np.array([prediction.digit for prediction in recognise(shipped_model, images)])
        return float((read == chosen.labels).mean())

    assert accuracy(back) >= accuracy(chosen.images) - 0.003


def test_mnist_digits_enlarged_by_whole_factors_come_back_nearly_identical(validation: Digits) -> None:
    rng = np.random.default_rng(1)
    off = []
    for digit in validation.images[rng.choice(len(validation), 200, replace=False)]:
        factor = int(rng.integers(2, 16))
        sheet = np.zeros((28 * factor + 50, 28 * factor + 90), np.uint8)
        sheet[13 : 13 + 28 * factor, 41 : 41 + 28 * factor] = np.kron(digit, np.ones((factor, factor), np.uint8))
        off.append(np.abs(prepare_image(Image.fromarray(sheet)).pixels.astype(float) - digit).mean())
    assert np.median(off) < 1.5


def test_a_hairline_is_redrawn_with_mnists_pen_and_a_thick_line_is_not() -> None:
    thin = np.full((800, 800), 255, np.uint8)
    thin[100:700, 399:402] = 0
    prepared = prepare_image(Image.fromarray(thin))
    assert 2 <= (prepared.pixels[14].astype(float) / 255).sum() <= 3.5
    names = ["Your ink", "Cropped", "MNIST's pen", "20 × 20", "28 × 28"]
    assert [step.name for step in prepared.steps] == names
    redrawn, shrunk = prepared.steps[2].picture, prepared.steps[3].picture
    np.testing.assert_allclose(fit(crop(redrawn)), shrunk, atol=0.01)
    thick = np.full((800, 800), 255, np.uint8)
    thick[100:700, 370:430] = 0
    assert [step.name for step in prepare_image(Image.fromarray(thick)).steps] == [*names[:2], *names[3:]]


def test_real_ink_is_read_with_more_than_97_percent_accuracy(shipped_model: Recogniser) -> None:
    """The collections are not part of the project: INK_COLLECTIONS names their folder if they are available."""
    folder = os.environ.get("INK_COLLECTIONS")
    if not folder:
        pytest.skip("needs real pen strokes: set INK_COLLECTIONS")
    with gzip.open(Path(folder) / "unipen-apb.jsonl.gz") as file:
        records = [json.loads(line) for line in file][::4]
    pictures = np.stack([pixels_of_drawing(Drawing.from_points(record["strokes"])) for record in records])
    right = [p.digit == r["label"] for p, r in zip(recognise(shipped_model, pictures), records, strict=True)]
    assert np.mean(right) > 0.97


def test_painting_only_some_of_very_many_points_makes_almost_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = Drawing(tuple(resampled(stroke, 0.025) for stroke in Drawing.from_points(SEVEN).strokes))
    some, count = pixels_of_drawing(dense), sum(map(len, dense.strokes))
    assert 5 * MAX_PAINTED_POINTS < count <= MAX_POINTS
    monkeypatch.setattr("mnist_app.ink.preprocessing.MAX_PAINTED_POINTS", count)
    assert 0 < difference(some, pixels_of_drawing(dense)) < 1
