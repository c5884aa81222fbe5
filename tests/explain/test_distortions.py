import numpy as np
import pytest
from scipy import ndimage

from mnist_app.data.dataset import Digits
from mnist_app.explain.distortions import (
    DISTORTIONS,
    Distortion,
    closed,
    covered,
    noisy,
    scaled,
    shaken,
    sheared,
    shifted,
    thickened,
    trembled,
    turned,
)
from mnist_app.ink.morphometry import slant
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing, resampled

RING = np.zeros((28, 28), np.uint8)
RING[8:20, 8:20] = 255
RING[11:17, 11:17] = 0


@pytest.mark.parametrize("distortion", DISTORTIONS, ids=lambda distortion: distortion.name)
def test_a_sweep_spans_the_range_and_includes_the_unchanged_picture(distortion: Distortion, validation: Digits) -> None:
    amounts, pictures = distortion.sweep(validation.images[9], 21)
    assert amounts.min() == distortion.least and amounts.max() == distortion.most
    assert (pictures[np.flatnonzero(amounts == distortion.none)[0]] == validation.images[9]).all()
    assert pictures.shape == (21, 28, 28) and pictures.dtype == np.uint8


def test_a_quarter_turn_is_exact(validation: Digits) -> None:
    pixels = validation.images[5]
    assert (turned(pixels, 90) == np.rot90(pixels, -1)).all()


def test_a_shift_by_whole_pixels_is_exact(validation: Digits) -> None:
    pixels = validation.images[5]
    assert (shifted(pixels, 2, -3) == np.roll(pixels, (2, -3), (0, 1))).all()


def test_doubling_the_size_quadruples_the_ink() -> None:
    assert scaled(RING, 2).sum() == pytest.approx(4 * RING.sum(), rel=0.02)


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.8, 0.99])
def test_a_shrunk_digit_has_the_expected_amount_and_centre_of_ink(factor: float, validation: Digits) -> None:
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 13:15] = 255  # thinner than one pixel once scaled by 0.3
    for pixels in (RING, bar, validation.images[700]):
        small = scaled(pixels, factor)
        assert small.sum() == pytest.approx(factor**2 * pixels.sum(), rel=0.1)
        assert ndimage.center_of_mass(small) == pytest.approx(
            np.subtract(ndimage.center_of_mass(pixels), 13.5) * factor + 13.5, abs=0.15
        )


def test_shearing_to_the_right_increases_the_measured_slant(validation: Digits) -> None:
    ones = validation.images[600:603]
    leaned = np.stack([sheared(pixels, 20) for pixels in ones])
    assert (slant(leaned) > slant(ones) + 10).all()


@pytest.mark.parametrize("distance", [-0.5, 0.5, 1.0])
def test_moving_the_outline_changes_the_thickness_by_twice_the_distance(distance: float) -> None:
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 12:16] = 255
    assert thickened(bar, distance)[14].sum() / 255 == pytest.approx(4 + 2 * distance, abs=0.01)


def test_closing_fills_a_gap_in_a_ring_but_not_its_hole() -> None:
    broken = RING.copy()
    broken[12:14, 8:11] = 0
    assert (closed(broken, 1) >= broken).all()
    assert closed(broken, 1)[12:14, 9].all()
    assert not closed(broken, 1)[11:17, 12:16].any()


def test_the_cover_is_a_square_in_the_middle() -> None:
    black = np.full((28, 28), 255, np.uint8)
    assert (255 - covered(black, 6)).sum() == 36 * 255
    assert not covered(black, 6)[11:17, 11:17].any()


def test_noise_has_the_stated_strength_and_noise_and_jitter_are_repeatable() -> None:
    grey = np.full((28, 28), 128, np.uint8)
    assert noisy(grey, 20).std() == pytest.approx(20, rel=0.1)
    assert (noisy(grey, 20) == noisy(grey, 20)).all()
    assert (shaken(RING, 2) == shaken(RING, 2)).all() and (shaken(RING, 2) != RING).any()


def test_jitter_moves_pixels_by_the_stated_distance() -> None:
    """On a ramp of grey levels, a pixel's level tells where it came from; a margin at the edges is left out."""
    slope = np.tile(np.arange(28, dtype=np.uint8) * 9, (28, 1))
    right, down = ((shaken(each, 1).astype(float) - each)[4:-4, 4:-4] / 9 for each in (slope, slope.T))
    assert np.sqrt((right**2 + down**2).mean()) == pytest.approx(1, rel=0.1)


def test_jitter_moves_the_points_of_strokes_by_the_stated_distance(
    a_seven: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def note(drawing: Drawing) -> np.ndarray:
        written.append(drawing)
        return pixels_of_drawing(drawing)

    monkeypatch.setattr("mnist_app.explain.distortions.pixels_of_drawing", note)
    pixel = np.ptp(np.concatenate(a_seven.strokes), axis=0).max() / (20 - 2.6)  # the pen itself is 2.6 pixels wide
    assert (trembled(a_seven, 0) == pixels_of_drawing(a_seven)).all()
    assert (trembled(a_seven, 2) == trembled(a_seven, 2)).all()
    steady = np.concatenate([resampled(stroke, pixel) for stroke in a_seven.strokes])
    off = np.concatenate(written[-1].strokes) - steady
    assert np.sqrt((off**2).sum(axis=1).mean()) == pytest.approx(2 * pixel)
    assert [len(drawing.strokes) for drawing in written] == [2, 2, 2]


def test_a_dot_keeps_its_ink_under_jitter() -> None:
    assert trembled(Drawing.from_points([[[5, 5]]]), 3).max() > 0
