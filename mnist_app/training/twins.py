"""What may be claimed of a model on ink it has not seen: measured on twins that learned without some of it.

A model that has learned from every collection has none left to be judged by. Its twins are trained by the same recipe,
each without some collections, and asked to read just those.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from mnist_app.data.dataset import Digits
from mnist_app.data.inkfiles import collections
from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.models.networks import CLASSES, logits_of
from mnist_app.models.registry import Model, ModelCard
from mnist_app.reading.calibration import Floats, calibration_error, fit_temperature, refusal_threshold
from mnist_app.reading.recognition import doubts_of
from mnist_app.training.inkset import load_ink

REFUSED = 0.005  # share of unseen writers' digits that may be refused: half of what the app promises


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of labelled pictures that it has not learned from, before any calibration."""

    logits: Floats  # (N, 10)
    doubts: Floats  # (N,), the probability of being no digit
    labels: NDArray[np.int64]  # (N,)

    @property
    def accuracy(self) -> float:
        return float((self.logits.argmax(axis=1) == self.labels).mean())


def answers_of(model: Model, digits: Digits) -> Answers:
    logits = logits_of(model.network, digits.images).double()
    return Answers(logits[:, :CLASSES].numpy(), doubts_of(logits).numpy(), digits.labels)


def unseen_ink(twins: Sequence[Model], folder: Path) -> dict[str, Answers]:
    """What twins answer on the collections they learned without, by collection.

    Raises AppError for a twin that learned from all, InkFileError where a collection is not in ``folder``.
    """
    answers = {}
    for twin in twins:
        without = (twin.card.config.get("ink") or {}).get("without", ())
        if not without:
            raise AppError(f"{twin.card.name!r} is no twin: train it --without some of the collections.")
        for name in without:
            ink = load_ink(folder, set(collections(folder)) - {name})
            pictures = np.stack([pixels_of_drawing(drawing) for drawing in ink.drawings])
            answers[name] = answers_of(twin, Digits(pictures, ink.labels))
    return answers


def calibrated(card: ModelCard, validation: Answers, ink: Mapping[str, Answers]) -> ModelCard:
    """The card with temperature, refusal and figures on unseen ink.

    The temperature is fitted on validation digits and drawings that weigh the same; the refusal on drawings alone.
    Where there are no drawings, for it has never learned from any, validation digits have to do.
    """
    if not ink:
        return dataclasses.replace(card, temperature=fit_temperature(validation.logits, validation.labels))
    logits, doubts, labels = (
        np.concatenate([getattr(answers, part) for answers in ink.values()]) for part in ("logits", "doubts", "labels")
    )
    share = np.random.default_rng(0).permutation(len(labels))[: len(validation.labels)]
    temperature = fit_temperature(
        np.concatenate([validation.logits, logits[share]]), np.concatenate([validation.labels, labels[share]])
    )
    refusal = refusal_threshold(doubts, REFUSED)
    unseen = {
        "accuracy": float(np.mean([answers.accuracy for answers in ink.values()])),
        "calibration_error": calibration_error(softmax(logits / temperature, axis=1), labels),
        "refused": float((doubts > refusal).mean()),
    }
    measured = {f"{name}, unseen": {"accuracy": answers.accuracy} for name, answers in ink.items()}
    metrics = {**card.metrics, **measured, "ink, unseen": unseen}
    return dataclasses.replace(card, temperature=temperature, refusal=refusal, metrics=metrics)
