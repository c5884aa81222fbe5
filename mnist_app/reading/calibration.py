"""Trustworthy confidence: temperature scaling, calibration error, and when to refuse."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from mnist_app.models.registry import COLDEST, WARMEST

Floats = NDArray[np.float64]

BINS = 15  # of equal width, as Guo et al. use


def fit_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature to divide logits (N, classes) by: the one with the smallest mean negative log likelihood.

    Guo et al., "On Calibration of Modern Neural Networks" (arXiv:1706.04599). It changes no answer, only confidence.
    """
    from scipy.optimize import minimize_scalar  # here: trainings and servers import this module but never fit

    of_label = logits[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        cooled = 1 / np.exp(log_temperature)
        return float((logsumexp(logits * cooled, axis=1) - of_label * cooled).mean())

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(WARMEST)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """Expected calibration error, 0 to 1: how far confidence and accuracy are apart, over BINS bins of confidence.

    Guo et al. (arXiv:1706.04599), equation 3. ``probabilities`` (N, classes) sum to 1 in each row.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


def refusal_threshold(doubts: Floats, refused: float) -> float:
    """The threshold that a share ``refused`` (0 to 1) of real digits exceeds, given their ``doubts`` (N,)."""
    return float(np.quantile(doubts, 1 - refused))
