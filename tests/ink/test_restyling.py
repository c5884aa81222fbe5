import itertools

import numpy as np
import pytest

from mnist_app.ink import restyling
from mnist_app.ink.restyling import COMMON_HABITS, HABITS, Restyling, deform, reordered, restyle, unit
from mnist_app.ink.strokes import Drawing, Stroke, distance_along

from ..conftest import ONE, SEVEN, TWO, ZERO

STILL = Restyling(rotation=0, slant=0, aspect=0, warp=0, loosening=0, tremor=0, habits=0)
DIGITS = {0: ZERO, 1: ONE, 2: TWO, 7: SEVEN}


def strokes_of(digit: int) -> list[Stroke]:
    return unit(Drawing.from_points(DIGITS[digit]).strokes)


def bends(stroke: Stroke) -> int:
    """Count the points at which the pen turns by more than 30 degrees."""
    ways = np.diff(stroke, axis=0)
    ways = ways[np.hypot(*ways.T) > 0]
    cross = ways[:-1, 0] * ways[1:, 1] - ways[:-1, 1] * ways[1:, 0]
    return int((np.abs(np.arctan2(cross, (ways[:-1] * ways[1:]).sum(axis=1))) > np.radians(30)).sum())


@pytest.mark.parametrize("digit", DIGITS)
def test_the_same_seed_gives_the_same_drawing(digit: int) -> None:
    drawing = Drawing.from_points(DIGITS[digit])
    once, again, other = (restyle(drawing, digit, Restyling(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert once.to_points() == again.to_points() != other.to_points()


def test_restyling_with_everything_off_leaves_the_ends_of_strokes_in_place() -> None:
    drawing = Drawing.from_points(TWO)
    for seed in range(10):
        restyled = restyle(drawing, 2, STILL, np.random.default_rng(seed))
        ends = [stroke[[0, -1]] for stroke in restyled.strokes]
        np.testing.assert_allclose(ends, [stroke[[0, -1]] for stroke in unit(drawing.strokes)], atol=1e-12)


def test_a_drawing_at_unit_size_is_centred_and_a_dot_stays_a_dot() -> None:
    points = np.concatenate(unit(Drawing.from_points(SEVEN).strokes))
    np.testing.assert_allclose(points.min(axis=0) + points.max(axis=0), 0, atol=1e-12)
    assert np.ptp(points, axis=0).max() == pytest.approx(1)
    assert unit([np.array([[5.0, 5.0]])])[0].tolist() == [[0.0, 0.0]]
    far_off = unit([np.array([[1e308, 0.0], [1.2e308, 1e307]])])[0]
    np.testing.assert_allclose(far_off, [[-0.5, -0.25], [0.5, 0.25]])


def test_a_slash_runs_through_the_middle_of_a_zero() -> None:
    for seed in range(20):
        *zero, slash = restyling._slashed(strokes_of(0), np.random.default_rng(seed))
        assert len(zero) == 1
        assert np.abs(slash.mean(axis=0)).max() < 0.2
        assert np.hypot(*(slash[1] - slash[0])) > 0.3


def test_a_bar_is_added_only_to_a_seven_without_one() -> None:
    plain = unit(strokes_of(7)[:1])
    barred = restyling._barred(plain, np.random.default_rng(0))
    assert len(barred) == 2
    assert np.ptp(barred[1], axis=0)[0] > np.ptp(barred[1], axis=0)[1]
    assert restyling._barred(barred, np.random.default_rng(0)) == barred


def test_a_flag_is_added_only_to_a_plain_line() -> None:
    for seed in range(20):
        (flagged,) = restyling._flagged(strokes_of(1), np.random.default_rng(seed))
        assert bends(flagged) == 1
        assert flagged[0, 0] < flagged[2, 0], "the flag hangs to the left"
        assert flagged[0, 1] > flagged[2, 1], "and downwards"
    two = strokes_of(2)
    assert restyling._flagged(two, np.random.default_rng(0)) is two


def test_a_new_flag_replaces_an_existing_one() -> None:
    (plain,) = strokes_of(1)
    for seed in range(20):
        (once,) = restyling._flagged([plain], np.random.default_rng(seed))
        (again,) = restyling._flagged([once], np.random.default_rng(seed + 100))
        assert bends(again) == 1 and not np.allclose(again[0], once[0])
        assert np.array_equal(again[-len(plain) :], plain), "the stem stays as it was"


def test_a_bent_one_gets_no_flag() -> None:
    bent = [np.array([[0.3, -0.5], [-0.1, -0.2], [0.2, 0.0], [-0.2, 0.5]])]
    assert restyling._flagged(bent, np.random.default_rng(0)) is bent


def test_a_one_drawn_upwards_gets_its_flag_at_the_top() -> None:
    upwards = [strokes_of(1)[0][::-1]]
    (flagged,) = restyling._flagged(upwards, np.random.default_rng(0))
    assert flagged[2, 1] == pytest.approx(flagged[:, 1].min())


def test_a_foot_lies_under_a_one() -> None:
    stem, foot = restyling._footed(strokes_of(1), np.random.default_rng(0))
    assert abs(foot.mean(axis=0)[1] - stem[:, 1].max()) < 0.2


def test_joining_makes_one_stroke_of_two_and_lifting_makes_two_of_one() -> None:
    seven = strokes_of(7)
    (joined,) = restyling._joined(seven, np.random.default_rng(0))
    assert len(joined) == len(seven[0]) + len(seven[1])
    assert len(restyling._lifted(strokes_of(2), np.random.default_rng(0))) == 2


@pytest.mark.parametrize("digit", DIGITS)
def test_every_habit_gives_valid_strokes_from_any_drawing(digit: int) -> None:
    dot = [np.array([[0.0, 0.0]])]
    for habit, _ in HABITS.get(digit, ()) + COMMON_HABITS:
        for strokes in (strokes_of(digit), dot, [*strokes_of(digit), *dot]):
            for seed in range(10):
                changed = habit(strokes, np.random.default_rng(seed))
                changed = deform(changed, Restyling(), np.random.default_rng(seed))
                assert changed
                assert all(stroke.ndim == 2 and len(stroke) and np.isfinite(stroke).all() for stroke in changed)


def test_reordering_may_reverse_shuffle_or_cut_strokes_but_never_bends_them() -> None:
    strokes = [np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[5.0, 0.0]])]
    outcomes = [reordered(strokes, np.random.default_rng(seed)) for seed in range(400)]
    as_written = sum(len(outcome) == 3 and all(map(np.array_equal, outcome, strokes)) for outcome in outcomes)
    cut = sum(len(outcome) > 3 for outcome in outcomes)
    backwards = sum(stroke[0, 0] > stroke[-1, 0] for outcome in outcomes for stroke in outcome)
    first_is_last = sum(len(outcome[0]) == 1 for outcome in outcomes)
    assert 100 < as_written < 250 and 130 < cut < 230 and 40 < backwards < 150 and 3 < first_is_last < 30
    for outcome in outcomes:
        assert {(float(x), float(y)) for x, y in strokes[0]} <= {tuple(point) for stroke in outcome for point in stroke}
        lengths = sum(float(distance_along(stroke)[-1]) for stroke in outcome)
        assert lengths == pytest.approx(2)


def test_a_piece_of_a_stroke_begins_where_the_last_one_ended() -> None:
    stroke = np.array([[0.0, 0.0], [1.0, 0.0]])
    outcomes = [reordered([stroke], np.random.default_rng(seed)) for seed in range(40)]
    assert {len(pieces) for pieces in outcomes} == {1, 2, 3}
    for pieces in outcomes:
        assert all(np.array_equal(last[-1], following[0]) for last, following in itertools.pairwise(pieces))
