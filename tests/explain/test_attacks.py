import copy
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.explain.attacks import STRIDE, Attack, accuracy_under, loss_slope
from mnist_app.models.networks import batch_of
from mnist_app.models.registry import ROBUST_MODEL, Model
from mnist_app.reading.recognition import Recogniser, digit_logits, load_recogniser, recognise

from ..linear import linear_model, softmax

PIXELS = NDArray[np.float64]


def slope_by_hand(matrix: PIXELS, ink: PIXELS, label: int) -> PIXELS:
    """Return d cross entropy / d pixels of a linear network: the error of each answer times its matrix."""
    return (softmax(matrix @ ink) - np.eye(10)[label]) @ matrix


def attacked_by_hand(
    matrix: PIXELS, pixels: NDArray[np.uint8], label: int, levels: int, steps: int, sign: int
) -> PIXELS:
    """FGSM and PGD as in the papers, in NumPy."""
    x0 = pixels.ravel() / 255
    epsilon = levels / 255
    alpha = epsilon if steps == 1 else STRIDE * epsilon / steps
    x = x0
    for _ in range(steps):
        x = x + sign * alpha * np.sign(slope_by_hand(matrix, x, label))
        x = np.minimum(np.maximum(x, x0 - epsilon), x0 + epsilon)
        x = np.minimum(np.maximum(x, 0.0), 1.0)
    return np.round(x * 255).reshape(28, 28)


@pytest.mark.parametrize("steps", [1, 10])
@pytest.mark.parametrize("is_target", [False, True])
def test_the_attacks_match_fgsm_and_pgd_computed_by_hand(validation: Digits, steps: int, is_target: bool) -> None:
    model, matrix = linear_model()
    images, labels = validation.images[:5000:1000], np.array([3, 1, 4, 1, 5])
    found = Attack(20, steps).run(model, images, labels, is_target)
    for pixels, label, changed in zip(images, labels, found, strict=True):
        by_hand = attacked_by_hand(matrix, pixels, int(label), 20, steps, -1 if is_target else 1)
        assert np.abs(changed - by_hand).max() <= 1  # a half may round either way


def test_the_loss_slope_matches_finite_differences(validation: Digits, shipped_model: Recogniser) -> None:
    """Uses double precision, in which a difference over a tiny step approximates the slope well."""
    model = Model(copy.deepcopy(shipped_model.network).double(), shipped_model.card)
    pictures = batch_of(torch.from_numpy(validation.images[:1])).double()

    def loss(pictures: torch.Tensor) -> float:
        with torch.no_grad():
            return -float(digit_logits(model, pictures).log_softmax(dim=1)[0, 3])

    slope = loss_slope(partial(digit_logits, model), pictures, torch.tensor([3]))[0, 0]
    for row, column in ((10, 14), (14, 9), (20, 12)):
        step = torch.zeros_like(pictures)
        step[0, 0, row, column] = 1e-6
        slow = (loss(pictures + step) - loss(pictures - step)) / 2e-6
        assert slow == pytest.approx(float(slope[row, column]), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 20])
def test_an_attack_changes_no_pixel_by_more_than_its_limit(
    validation: Digits, shipped_model: Recogniser, steps: int
) -> None:
    images = validation.images[:10]
    changed = Attack(16, steps).run(shipped_model, images, validation.labels[:10])
    assert np.abs(changed.astype(int) - images).max() <= 16


def test_an_attack_of_many_steps_misleads_more_often_than_one_of_one_step(
    validation: Digits, shipped_model: Recogniser
) -> None:
    images, labels = validation.images[::250], validation.labels[::250]
    right = [
        np.mean([p.digit == label for p, label in zip(recognise(shipped_model, changed), labels, strict=True)])
        for changed in (Attack(24, steps).run(shipped_model, images, labels) for steps in (1, 20))
    ]
    assert right[1] < right[0]


def test_a_targeted_attack_makes_a_five_read_as_a_three(validation: Digits, shipped_model: Recogniser) -> None:
    five = validation.images[validation.labels == 5][:1]
    assert recognise(shipped_model, five)[0].digit == 5
    changed = Attack(40).run(shipped_model, five, np.array([3]), is_target=True)
    assert recognise(shipped_model, changed)[0].digit == 3


def test_accuracy_under_attack_agrees_with_attacking_digits_one_by_one(
    validation: Digits, shipped_model: Recogniser
) -> None:
    digits, attack = validation[slice(0, 5000, 80)], Attack(24, 1)
    right = [
        recognise(shipped_model, attack.run(shipped_model, pixels[None], np.array([label])))[0].digit == label
        for pixels, label in zip(digits.images, digits.labels, strict=True)
    ]
    shares: list[float] = []
    assert accuracy_under(attack, shipped_model, digits, shares.append) == pytest.approx(np.mean(right), abs=0.02)
    assert shares[-1] == 1
    plain = np.mean([read.digit for read in recognise(shipped_model, digits.images)] == digits.labels)
    assert accuracy_under(Attack(0, 1), shipped_model, digits) == plain


def test_a_digit_misread_after_any_step_counts_as_wrong(validation: Digits) -> None:
    """Compares with steps computed by hand, on a network of one matrix."""
    model, matrix = linear_model()
    digits, levels, steps = validation[slice(0, 5000, 100)], 4, 5
    answers = (digits.images.reshape(-1, 784) @ matrix.T).argmax(axis=1)  # used as labels: all are right at first
    epsilon = levels / 255
    alpha, right = STRIDE * epsilon / steps, 0
    for pixels, label in zip(digits.images, answers, strict=True):
        x0 = x = pixels.ravel() / 255
        read = []
        for _ in range(steps):
            x = x + alpha * np.sign(slope_by_hand(matrix, x, int(label)))
            x = np.clip(np.clip(x, x0 - epsilon, x0 + epsilon), 0, 1)
            read.append(int((matrix @ np.round(x * 255)).argmax()))
        right += all(each == label for each in read)
    assert 0 < right < len(digits)
    found = accuracy_under(Attack(levels, steps), model, Digits(digits.images, answers))
    assert found == pytest.approx(right / len(digits), abs=0.03)


def test_the_robust_model_withstands_an_attack_that_defeats_the_mnist_model(validation: Digits) -> None:
    digits = validation[slice(0, 5000, 50)]
    others, robust = (accuracy_under(Attack(24), load_recogniser(name), digits) for name in ("mnist-cnn", ROBUST_MODEL))
    assert robust > 0.9 and others < 0.4
