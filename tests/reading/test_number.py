from collections.abc import Sequence

import numpy as np
import pytest

from mnist_app.ink.preprocessing import MAX_PAINTED_POINTS, BlankError, pixels_of_drawing
from mnist_app.ink.strokes import Drawing, DrawingError, resampled
from mnist_app.models.registry import DEFAULT_MODEL
from mnist_app.reading import number as number_module
from mnist_app.reading.number import ReadDigit, Reading, read_drawing, read_each, read_picture
from mnist_app.reading.recognition import Glyph, Prediction, Recogniser, load_recogniser

from ..compositions import heart, line_across, number, one_dot, scribble
from ..conftest import ONE, SEVEN, TWO, ZERO

DIGITS = {0: ZERO, 1: ONE, 2: TWO, 7: SEVEN}


@pytest.fixture(scope="module")
def model() -> Recogniser:
    return load_recogniser(DEFAULT_MODEL)


def written(digits: str, seed: int = 0) -> Drawing:
    """Return a number: digits side by side."""
    drawings = [Drawing.from_points(DIGITS[int(digit)]) for digit in digits]
    return number(drawings, np.random.default_rng(seed))


@pytest.mark.parametrize("digits", ["20", "72", "2027", "70712", "100", "12"])
def test_digits_side_by_side_are_read_as_one_number(model: Recogniser, digits: str) -> None:
    reading = read_drawing(model, written(digits))
    assert reading.text == digits
    assert reading.is_number


@pytest.mark.parametrize(("digit", "strokes"), DIGITS.items())
def test_a_single_digit_is_not_read_as_two(model: Recogniser, digit: int, strokes: list[list[list[float]]]) -> None:
    reading = read_drawing(model, Drawing.from_points(strokes))
    assert (reading.text, reading.is_number) == (str(digit), False)


@pytest.mark.parametrize(("apart", "text"), [(300, "11"), (40, "0")])
def test_a_number_that_reads_hardly_better_wins_only_if_the_drawing_is_wide(
    model: Recogniser, monkeypatch: pytest.MonkeyPatch, apart: float, text: str
) -> None:
    def answers(_: Recogniser, glyphs: Sequence[Glyph]) -> list[Prediction]:
        if len(glyphs) == 1:  # the whole drawing
            return [Prediction((0.9, 0.1, *[0.0] * 8), "model", doubt=0.3)]
        return [Prediction((0.1, 0.9, *[0.0] * 8), "model", doubt=0.1) for _ in glyphs]

    monkeypatch.setattr(number_module, "recognise_glyphs", answers)
    drawing = Drawing.from_points([[[0, 0], [0, 100]], [[apart, 0], [apart, 100]]])
    assert read_drawing(model, drawing).text == text


def test_the_order_of_writing_does_not_matter(model: Recogniser) -> None:
    drawing = written("2071")
    assert read_drawing(model, Drawing(drawing.strokes[::-1])).text == "2071"


def test_the_digits_of_a_number_have_boxes_from_left_to_right(model: Recogniser) -> None:
    drawing = written("207")
    boxes = [read.box for read in read_drawing(model, drawing).digits]
    lefts = [box[0] for box in boxes if box]
    assert len(lefts) == 3
    assert lefts == sorted(lefts)
    points = np.concatenate(drawing.strokes)
    assert lefts[0] == points[:, 0].min()
    assert boxes[-1] and boxes[-1][2] == points[:, 0].max()


def test_a_number_is_as_confident_as_its_weakest_digit(model: Recogniser) -> None:
    reading = read_drawing(model, written("2027"))
    said = reading.to_json()
    assert said["confidence"] == min(read.prediction.confidence for read in reading.digits)
    assert (said["text"], said["digit"]) == ("2027", reading.weakest.digit)


def test_a_refused_digit_has_no_text_unless_it_is_part_of_a_number() -> None:
    one = Prediction((0.4, *[0.6 / 9] * 9), "any", doubt=0.7, is_digit=False)
    two = Prediction((0, 0, 1, *[0] * 7), "any")
    blank = np.zeros((28, 28), np.uint8)
    said = [Reading(tuple(ReadDigit(each, blank) for each in digits)).to_json() for digits in ((one, two), (one,))]
    assert [(each["text"], each["is_digit"]) for each in said] == [("02", True), (None, False)]
    digits = said[0]["digits"]
    assert isinstance(digits, list) and [digit["is_digit"] for digit in digits] == [False, True]


@pytest.mark.parametrize(
    ("read", "words"),
    [
        ([(2, 0.99), (7, 0.97)], "I am sure, even of the 7"),
        ([(1, 0.99), (1, 0.97)], "I am sure"),
        ([(2, 0.6), (7, 0.97)], "Least sure of the 2"),
    ],
)
def test_a_numbers_words_name_its_least_sure_digit(read: list[tuple[int, float]], words: str) -> None:
    pixels = np.zeros((28, 28), np.uint8)
    digits = [
        ReadDigit(Prediction(tuple(sure if at == digit else (1 - sure) / 9 for at in range(10)), "a model"), pixels)
        for digit, sure in read
    ]
    assert Reading(tuple(digits)).words == words


@pytest.mark.parametrize("kind", [heart, line_across, one_dot, scribble])
def test_drawings_that_are_not_digits_are_refused_in_words(model: Recogniser, kind: object) -> None:
    assert callable(kind)
    readings = [read_drawing(model, kind([], np.random.default_rng(seed))) for seed in range(20)]
    assert sum(reading.text is None for reading in readings) >= 19
    assert {reading.words for reading in readings if reading.text is None} == {"Not a digit I know"}


def test_a_batch_of_drawings_pictures_and_errors_is_read_in_order(model: Recogniser) -> None:
    blank, broken = Drawing.from_points([]), DrawingError("broken")
    picture = pixels_of_drawing(Drawing.from_points(TWO))
    readings = read_each(model, [written("72"), blank, picture, broken, Drawing.from_points(SEVEN)])
    texts = [reading.text if isinstance(reading, Reading) else type(reading) for reading in readings]
    assert texts == ["72", BlankError, "2", DrawingError, "7"]


def test_a_picture_is_read_as_one_digit_without_a_box(model: Recogniser) -> None:
    reading = read_picture(model, pixels_of_drawing(Drawing.from_points(TWO)))
    assert (reading.text, reading.digits[0].box) == ("2", None)


def test_reading_a_blank_drawing_raises_blank_error(model: Recogniser) -> None:
    with pytest.raises(BlankError):
        read_drawing(model, Drawing.from_points([]))


def test_a_drawing_of_more_than_20_strokes_is_read_as_one_digit(model: Recogniser) -> None:
    for sevens, digits in ((10, 10), (11, 1)):
        drawing = written("7" * sevens)
        assert len(drawing.strokes) == 2 * sevens
        assert len(read_drawing(model, drawing).digits) == digits


def test_a_number_of_thousands_of_points_is_split_using_fewer_points(model: Recogniser) -> None:
    """Painting all of them many times would delay everybody's live answers."""
    dense = Drawing(tuple(resampled(each, 0.05) for each in written("17").strokes))
    assert sum(map(len, dense.strokes)) > 3 * MAX_PAINTED_POINTS
    reading = read_drawing(model, dense)
    assert reading.text == "17"
    parts = [digit.drawing.strokes for digit in reading.digits if digit.drawing]
    assert len(parts) == 2 and sum(len(stroke) for strokes in parts for stroke in strokes) <= MAX_PAINTED_POINTS + 3
