import numpy as np
import pytest

from mnist_app.reading.calibration import calibration_error, fit_temperature, refusal_threshold


@pytest.fixture
def honest_logits() -> tuple[np.ndarray, np.ndarray]:
    """Logits (20,000, 10) whose softmax is the true probability of each label."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (20_000, 10))
    gumbel = random.gumbel(size=logits.shape)  # the argmax of logits + Gumbel noise is a sample of their softmax
    return logits, (logits + gumbel).argmax(axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("too_bold", [0.4, 1.0, 3.0])
def test_the_temperature_recovers_the_factor_that_logits_were_multiplied_by(
    honest_logits: tuple[np.ndarray, np.ndarray], too_bold: float
) -> None:
    logits, labels = honest_logits
    assert fit_temperature(logits * too_bold, labels) == pytest.approx(too_bold, rel=0.03)


def test_honest_confidence_has_next_to_no_calibration_error(honest_logits: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = honest_logits
    assert calibration_error(softmax(logits), labels) < 0.01
    assert calibration_error(softmax(logits * 3), labels) > 0.1


def test_the_calibration_error_matches_a_slow_loop(honest_logits: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = honest_logits[0][:500] * 2, honest_logits[1][:500]
    probabilities = softmax(logits)
    slow = 0.0
    for low in np.arange(15) / 15:
        inside = [
            (row.max(), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if low <= row.max() < low + 1 / 15 or (row.max() == 1 and low > 0.93)
        ]
        if inside:
            confidence, accuracy = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            slow += len(inside) / 500 * abs(confidence - accuracy)
    assert calibration_error(probabilities, labels) == pytest.approx(slow, abs=1e-9)


def test_certainty_has_calibration_error_0_if_right_and_1_if_wrong() -> None:
    assert calibration_error(np.eye(10), np.arange(10)) == 0
    assert calibration_error(np.eye(10), np.roll(np.arange(10), 1)) == 1


def test_the_refusal_threshold_refuses_the_requested_share() -> None:
    doubts = np.random.default_rng(0).random(10_000)
    assert (doubts > refusal_threshold(doubts, 0.02)).mean() == pytest.approx(0.02, abs=1e-3)
