from unittest.mock import Mock

import numpy as np
import pytest

from mnist_app.explain.replay import MAX_REPLAYED_POINTS, Frame, Replay, _prefix, replay
from mnist_app.ink.preprocessing import BlankError, pixels_of_drawing
from mnist_app.ink.strokes import Drawing, distance_along, resampled
from mnist_app.reading.recognition import Glyph, Prediction, Recogniser, recognise_glyphs

from ..conftest import SEVEN


def test_the_replay_ends_with_the_whole_drawing(shipped_model: Recogniser, a_seven: Drawing) -> None:
    last = replay(shipped_model, a_seven).frames[-1]
    assert last.share == 1
    assert (last.pixels == pixels_of_drawing(a_seven)).all()
    assert np.allclose(
        last.prediction.probabilities, recognise_glyphs(shipped_model, [Glyph.of(a_seven)])[0].probabilities
    )


def test_every_frame_is_read_as_if_it_were_alone(shipped_model: Recogniser, a_seven: Drawing) -> None:
    found = replay(shipped_model, a_seven, 7)
    lengths = [float(distance_along(stroke)[-1]) for stroke in a_seven.strokes]
    for frame in found.frames:
        glyph = Glyph.of(_prefix(a_seven, lengths, frame.share * sum(lengths)))
        assert (glyph.pixels == frame.pixels).all()
        alone = recognise_glyphs(shipped_model, [glyph])[0]
        assert np.allclose(alone.probabilities, frame.prediction.probabilities, atol=1e-5)
    assert found.probabilities.shape == (7, 10)


def test_frames_are_evenly_spaced_along_the_pens_path(shipped_model: Recogniser) -> None:
    """After a line of length 100 and half of the pen's path, 100 of the second line's 300 are drawn."""
    drawing = Drawing.from_points([[[0, 0], [100, 0]], [[0, 50], [300, 50]]])
    half = replay(shipped_model, drawing, 2).frames[0]
    assert (half.pixels == pixels_of_drawing(Drawing.from_points([[[0, 0], [100, 0]], [[0, 50], [100, 50]]]))).all()


def test_a_drawing_of_thousands_of_points_replays_like_one_of_few_points(
    shipped_model: Recogniser, a_seven: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = Drawing(tuple(resampled(stroke, 0.05) for stroke in a_seven.strokes))
    assert sum(map(len, dense.strokes)) > 5 * MAX_REPLAYED_POINTS
    painted: list[Drawing] = []

    def paint(drawing: Drawing) -> Glyph:
        painted.append(drawing)
        return Glyph.of(drawing)

    monkeypatch.setattr("mnist_app.explain.replay.Glyph", Mock(of=paint))
    whole = replay(shipped_model, dense, 8)
    for prefix in painted[:-1]:
        assert sum(map(len, prefix.strokes)) <= MAX_REPLAYED_POINTS + len(prefix.strokes)
    assert (whole.frames[-1].pixels == pixels_of_drawing(dense)).all()
    for frame, exact in zip(whole.frames, replay(shipped_model, a_seven, 8).frames, strict=True):
        assert np.abs(frame.pixels.astype(int) - exact.pixels).mean() < 3


def test_dots_and_repeated_points_can_be_replayed(shipped_model: Recogniser) -> None:
    for strokes in ([[[5, 5]]], [[[5, 5], [5, 5]], [[9, 9]]], [SEVEN[0], [[100, 100]]]):
        assert len(replay(shipped_model, Drawing.from_points(strokes)).frames) == 48


def test_a_blank_pad_has_no_replay(shipped_model: Recogniser, blank_drawing: Drawing) -> None:
    with pytest.raises(BlankError):
        replay(shipped_model, blank_drawing)


def frames(*read: int | None) -> Replay:
    """Return a replay in which these digits were read, None for no digit."""
    return Replay(
        tuple(
            Frame(
                at / len(read),
                np.zeros((28, 28), np.uint8),
                Prediction(tuple(np.eye(10)[digit or 0]), "", 0.0, digit is not None),
            )
            for at, digit in enumerate(read, 1)
        )
    )


@pytest.mark.parametrize(
    ("read", "share", "before"),
    [
        ((7, 7, 7, 7), 0.25, None),
        ((1, 1, 3, 8), 1.0, 3),
        ((3, 8, 8, 8), 0.5, 3),
        ((None, None, 2, 2), 0.75, None),
        ((8, 3, 8, 3), 1, 8),
        ((7, 7, None, None), 0.75, 7),
        ((None, None, None, None), 0.25, None),
    ],
)
def test_a_replay_tells_when_the_reading_settled_and_what_was_read_before(
    read: tuple[int | None, ...], share: float, before: int | None
) -> None:
    found = frames(*read)
    assert (found.decided.share, found.before) == (share, before)
