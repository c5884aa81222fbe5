from collections.abc import Sequence

import numpy as np
import pytest
import torch

from mnist_app.data.dataset import Digits
from mnist_app.explain.attribution import STEPS, integrated_gradients, log_odds
from mnist_app.models.networks import batch_of
from mnist_app.reading.recognition import Recogniser, digit_logits, load_recogniser, recognise

from ..linear import linear_model, softmax
from .deletion import deletion


def test_log_odds_match_those_computed_from_the_probability() -> None:
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(0)).double()
    p = logits.softmax(dim=1)[:, 3]
    assert torch.allclose(log_odds(logits, 3), (p / (1 - p)).log())


def test_evidence_matches_integrated_gradients_computed_by_hand(validation: Digits) -> None:
    """Compares with a NumPy loop over the formula, with the gradient of a linear network worked out by hand."""
    model, matrix = linear_model()
    pixels, digit, steps = validation.images[0], 4, 50
    ink = pixels.ravel() / 255
    slopes = np.zeros(784)
    for step in range(steps):
        p = softmax(matrix @ (ink * ((step**2 + (step + 1) ** 2) / 2 / steps**2)))  # lengths: 1, 3, 5, … / steps**2
        others = np.where(np.arange(10) == digit, 0, p / (1 - p[digit]))
        slopes += (matrix[digit] - others @ matrix) * (2 * step + 1) / steps**2
    [found] = integrated_gradients(model, pixels, digit, steps=steps)
    assert np.allclose(found.values.ravel(), slopes * ink, atol=1e-4)


SMOOTH = ((STEPS, 0.028, 0.13), (3 * STEPS, 0.015, 0.04))  # steps, and limits of the relative gap: median, maximum
MIXED = ((STEPS, 0.028, 0.2), (3 * STEPS, 0.015, 0.04))  # one member is rough: one digit of ten may have a larger gap
ROUGH = ((STEPS, 0.06, 0.3), (3 * STEPS, 0.015, 0.12))


@pytest.mark.parametrize(
    ("name", "bounds"), [("ink-cnn", SMOOTH), ("ensemble", MIXED), ("robust-cnn", SMOOTH), ("mnist-cnn", ROUGH)]
)
def test_evidence_nearly_adds_up_to_the_log_odds_minus_those_of_blank_paper(
    validation: Digits, name: str, bounds: Sequence[tuple[int, float, float]]
) -> None:
    """For the number of steps that the page uses, and for three times as many."""
    model = load_recogniser(name)
    for steps, usual, worst in bounds:
        gaps = []  # between the sum and the log-odds, relative
        for index in range(0, 5000, 500):
            pixels, digit = validation.images[index], int(validation.labels[index])
            [found] = integrated_gradients(model, pixels, digit, steps=steps)
            picture = batch_of(torch.from_numpy(pixels[None].copy()))
            odds, blank = log_odds(digit_logits(model, torch.cat([picture, torch.zeros_like(picture)])), digit).tolist()
            lacks = odds - blank
            gaps.append(abs(float(found.values.sum()) / lacks - 1))
        assert np.median(gaps) < usual and max(gaps) < worst


def test_evidence_for_two_digits_at_once_equals_that_for_each_alone(
    validation: Digits, shipped_model: Recogniser
) -> None:
    pixels = validation.images[7]
    for found in integrated_gradients(shipped_model, pixels, 3, 8):
        [alone] = integrated_gradients(shipped_model, pixels, found.digit)
        assert np.allclose(found.values, alone.values, atol=1e-4)


def test_pixels_without_ink_have_no_evidence(validation: Digits, shipped_model: Recogniser) -> None:
    [found] = integrated_gradients(shipped_model, validation.images[7], 0)
    assert not found.values[validation.images[7] == 0].any()


def test_deleting_all_ink_leaves_the_answer_for_blank_paper(validation: Digits, shipped_model: Recogniser) -> None:
    pixels = validation.images[0]
    order = np.flatnonzero(pixels)
    found = deletion(shipped_model, pixels, 0, order, np.array([0.0, 1.0]))
    whole, blank = recognise(shipped_model, np.stack([pixels, np.zeros_like(pixels)]))
    assert np.allclose(found, [whole.probabilities[0], blank.probabilities[0]])


def test_deleting_the_strongest_evidence_hurts_more_than_deleting_random_ink(
    validation: Digits, shipped_model: Recogniser
) -> None:
    rng, shares = np.random.default_rng(0), np.array([0.3])
    marked, random = [], []
    for index in rng.choice(5000, 12, replace=False):
        pixels, digit = validation.images[index], int(validation.labels[index])
        ink = np.flatnonzero(pixels)
        [found] = integrated_gradients(shipped_model, pixels, digit)
        values = found.values.ravel()[ink]
        marked += deletion(shipped_model, pixels, digit, ink[np.argsort(-values)], shares).tolist()
        random += deletion(shipped_model, pixels, digit, rng.permutation(ink), shares).tolist()
    assert np.mean(marked) < np.mean(random) - 0.2
