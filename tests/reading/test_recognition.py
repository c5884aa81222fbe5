import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.ink.preprocessing import BlankError, pixels_of_drawing
from mnist_app.ink.strokes import Drawing, DrawingError, resampled
from mnist_app.models.networks import logits_of
from mnist_app.models.registry import DEFAULT_MODEL, GRAPH, ModelError, find_model, load_model
from mnist_app.reading.recognition import (
    Glyph,
    Prediction,
    Recogniser,
    follows,
    load_recogniser,
    opinions,
    product_of_experts,
    readable,
    recognise,
    recognise_each,
    recognise_glyphs,
    recogniser_in,
    warm_up,
)

from ..conftest import ONE, SEVEN, TWO, ZERO

DIGITS = {7: SEVEN, 2: TWO, 0: ZERO, 1: ONE}


def prediction(**probabilities: float) -> Prediction:
    """Return a prediction with named shares, such as ``_4=0.7``; the rest is spread over the other digits."""
    shares = {int(name[1:]): share for name, share in probabilities.items()}
    rest = (1 - sum(shares.values())) / (10 - len(shares))
    return Prediction(tuple(shares.get(digit, rest) for digit in range(10)), "any")


def test_sureness_is_the_probability_of_the_digit_or_of_the_refusal() -> None:
    probabilities = (0.6, *[0.4 / 9] * 9)
    assert Prediction(probabilities, "m", doubt=0.2).sureness == 0.6
    assert Prediction(probabilities, "m", doubt=0.9, is_digit=False).sureness == 0.9


def test_drawn_digits_are_read_right_from_their_pictures(shipped_model: Recogniser) -> None:
    pictures = np.stack([pixels_of_drawing(Drawing.from_points(strokes)) for strokes in DIGITS.values()])
    assert [prediction.digit for prediction in recognise(shipped_model, pictures)] == list(DIGITS)


def test_a_prediction_has_probabilities_that_sum_to_1_and_its_models_name(
    shipped_model: Recogniser, a_seven: Drawing
) -> None:
    (read,) = recognise(shipped_model, pixels_of_drawing(a_seven)[None])
    assert len(read.probabilities) == 10
    assert sum(read.probabilities) == pytest.approx(1, abs=1e-12)
    assert read.confidence == read.probabilities[7] == max(read.probabilities)
    assert read.model == DEFAULT_MODEL


def test_an_empty_batch_gives_no_answers(shipped_model: Recogniser) -> None:
    assert recognise(shipped_model, np.empty((0, 28, 28), np.uint8)) == []
    assert recognise_each(shipped_model, []) == []


def test_a_batch_is_read_like_its_pictures_one_by_one(shipped_model: Recogniser) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)
    together = [read.probabilities for read in recognise(shipped_model, pictures)]
    alone = [recognise(shipped_model, picture[None])[0].probabilities for picture in pictures]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_unreadable_drawings_become_errors_in_their_place(
    shipped_model: Recogniser, a_seven: Drawing, blank_drawing: Drawing
) -> None:
    broken = DrawingError("broken")
    batch = [readable(drawing) for drawing in (blank_drawing, a_seven, broken, Drawing.from_points(TWO))]
    answers = recognise_each(shipped_model, batch)
    assert [getattr(answer, "digit", type(answer)) for answer in answers] == [BlankError, 7, DrawingError, 2]
    assert answers[2] is broken


def by_both(model: Recogniser, glyph: Glyph) -> list[float]:
    """Work out the joint probabilities of image network and pen network by hand."""
    assert model.pen and model.card.pen and glyph.trajectory is not None
    with torch.inference_mode():
        pen = model.pen(torch.from_numpy(glyph.trajectory)[None]).double()[0].numpy()
    look = logits_of(load_model(find_model(model.card.name)).network, glyph.pixels[None]).double()[0].numpy()
    odds = (np.log(softmax(look)) + np.log(softmax(pen)))[:10] / 2 / model.card.pen.temperature
    return list(softmax(odds))


def test_drawings_are_read_by_both_networks_and_images_by_the_image_network(
    shipped_model: Recogniser, a_seven: Drawing
) -> None:
    glyphs = [Glyph.of(a_seven), Glyph(pixels_of_drawing(a_seven)), Glyph.of(Drawing.from_points(TWO))]
    first, image, second = recognise_glyphs(shipped_model, glyphs)
    np.testing.assert_allclose(first.probabilities, by_both(shipped_model, glyphs[0]), atol=1e-5)
    np.testing.assert_allclose(second.probabilities, by_both(shipped_model, glyphs[2]), atol=1e-5)
    np.testing.assert_allclose(image.probabilities, recognise(shipped_model, glyphs[1].pixels[None])[0].probabilities)
    assert first.probabilities != image.probabilities


def test_a_model_without_a_pen_network_reads_only_a_drawings_picture(a_seven: Drawing) -> None:
    model, glyph = load_recogniser("mnist-cnn"), Glyph.of(a_seven)
    assert recognise_glyphs(model, [glyph]) == recognise(model, glyph.pixels[None])
    assert opinions(model, glyph) is None


def test_image_network_and_pen_network_can_be_asked_separately(shipped_model: Recogniser, a_seven: Drawing) -> None:
    glyph = Glyph.of(a_seven)
    look, pen = opinions(shipped_model, glyph) or pytest.fail("they were not asked")
    assert [look] == recognise(shipped_model, glyph.pixels[None])
    assert (look.digit, pen.digit) == (7, 7) and look.probabilities != pen.probabilities
    assert opinions(shipped_model, Glyph(glyph.pixels)) is None  # an image


def test_the_product_of_experts_rules_out_what_either_rules_out() -> None:
    either, one = torch.zeros(1, 11), torch.zeros(1, 11)
    either[0, [2, 7]] = 10  # a 2 or a 7
    one[0, [1, 7]] = 10  # a 1 or a 7
    assert product_of_experts(either, one).softmax(dim=1)[0, 7] > 0.95


def test_the_pen_network_does_not_read_drawings_of_too_many_strokes(
    shipped_model: Recogniser, a_seven: Drawing
) -> None:
    pieces = [piece for stroke in a_seven.strokes for piece in np.array_split(resampled(stroke, 2), 20)]
    drawing = Drawing(tuple(pieces))
    assert follows(shipped_model, a_seven) and not follows(shipped_model, drawing)
    glyph = Glyph.of(drawing)
    assert recognise_glyphs(shipped_model, [glyph]) == recognise(shipped_model, glyph.pixels[None])
    assert opinions(shipped_model, glyph) is None


def test_digits_written_backwards_are_still_read_right(shipped_model: Recogniser) -> None:
    drawings = [Drawing.from_points(strokes) for strokes in DIGITS.values()]
    backwards = [Drawing(tuple(stroke[::-1] for stroke in drawing.strokes[::-1])) for drawing in drawings]
    assert [read.digit for read in recognise_glyphs(shipped_model, list(map(Glyph.of, backwards)))] == list(DIGITS)


def test_a_batch_of_only_a_blank_drawing_gives_only_an_error(shipped_model: Recogniser, blank_drawing: Drawing) -> None:
    (answer,) = recognise_each(shipped_model, [readable(blank_drawing)])
    assert isinstance(answer, BlankError)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (prediction(_4=0.99), "I am sure"),
        (prediction(_4=0.95), "I am sure"),
        (prediction(_4=0.94), "I am fairly sure"),
        (prediction(_4=0.75, _9=0.2), "4, perhaps 9"),
        (prediction(_4=0.75, _9=0.14), "I am fairly sure"),
        (prediction(_4=0.5, _9=0.45), "4, perhaps 9"),
        (prediction(_9=0.5, _4=0.5), "4, perhaps 9"),
        (prediction(_4=0.3), "I can hardly tell"),
        (prediction(), "I can hardly tell"),
        (replace(prediction(_4=0.99), is_digit=False), "Not a digit I know"),
    ],
)
def test_confidence_is_put_into_words(read: Prediction, words: str) -> None:
    assert read.words == words


def test_the_runner_up_is_never_the_digit_itself() -> None:
    tie = prediction(_3=0.5, _7=0.5)
    assert (tie.digit, tie.runner_up) == (3, 7)
    assert (prediction(_8=0.6, _3=0.3).digit, prediction(_8=0.6, _3=0.3).runner_up) == (8, 3)


def test_warming_up_does_not_change_answers(shipped_model: Recogniser, a_seven: Drawing) -> None:
    picture = pixels_of_drawing(a_seven)[None]
    before = recognise(shipped_model, picture)
    warm_up(shipped_model)
    assert recognise(shipped_model, picture) == before


def test_a_model_that_is_only_a_graph_reads_like_the_network_it_came_from(
    a_toy: Path, mean_digit: nn.Module, validation: Digits
) -> None:
    model, images = recogniser_in(a_toy), validation.images[::250]
    expected = (logits_of(mean_digit, images).double() / model.card.temperature).softmax(dim=1)
    read = recognise(model, images)
    np.testing.assert_allclose([each.probabilities for each in read], expected, atol=1e-5)
    assert all(each.model == "toy" and each.is_digit for each in read)


def test_only_a_model_that_is_just_a_graph_is_opaque(a_toy: Path, shipped_model: Recogniser) -> None:
    assert load_recogniser("toy").is_opaque
    assert not shipped_model.is_opaque


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(b"", mtime=0), "cannot be used. It is not a graph"),
        (gzip.compress(bytes(99), mtime=0)[:-9], "cannot be read: it is broken or incomplete"),
        (b"no archive", "cannot be read: it is broken or incomplete"),
        (None, "cannot be read: No such"),
    ],
)
def test_a_damaged_or_missing_graph_is_an_error_that_names_its_file(
    a_toy: Path, content: bytes | None, says: str
) -> None:
    (a_toy / GRAPH).unlink()
    if content is not None:
        (a_toy / GRAPH).write_bytes(content)
    with pytest.raises(ModelError, match=f"toy/{GRAPH} {says}"):
        recogniser_in(a_toy)
