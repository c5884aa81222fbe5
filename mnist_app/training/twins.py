"""How well a model reads ink it has not seen, measured on twins that learned without some of it.

A model that has learned from every collection has none left to be measured on. Its twins are trained with the same
recipe, each without some of the collections, and are then measured on exactly those.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from mnist_app.data.dataset import Digits
from mnist_app.data.inkfiles import collections
from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.trajectory import trajectory_of
from mnist_app.models.networks import CLASSES, logits_of
from mnist_app.models.pennet import PenNet
from mnist_app.models.registry import Model, ModelCard
from mnist_app.reading.calibration import Floats, calibration_error, fit_temperature, refusal_threshold
from mnist_app.reading.recognition import doubts_of, product_of_experts
from mnist_app.training.inkset import check_collections, load_ink

UNSEEN = ", unseen"  # ends the names of metrics that were measured on twins
MAX_REFUSED = 0.005  # share of unseen writers' digits that may be refused: half of what the app promises


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers to labelled digits that it has not learned from, before any calibration."""

    logits: Floats  # (N, 10)
    doubts: Floats  # (N,), the probability that it is not a digit
    labels: NDArray[np.int64]  # (N,)

    @property
    def accuracy(self) -> float:
        return float((self.logits.argmax(axis=1) == self.labels).mean())

    @classmethod
    def of(cls, logits: Tensor, labels: NDArray[np.int64]) -> "Answers":
        return cls(logits[:, :CLASSES].numpy(), doubts_of(logits).numpy(), labels)

    @classmethod
    def of_all(cls, parts: Iterable["Answers"]) -> "Answers":
        columns = zip(*((part.logits, part.doubts, part.labels) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True, eq=False)
class Unseen:
    """A twin's answers to the drawings of one collection: by picture alone, and by picture and pen together."""

    pictures: Answers
    both: Answers | None


def answers_of(model: Model, digits: Digits) -> Answers:
    return Answers.of(logits_of(model.network, digits.images).double(), digits.labels)


def unseen_ink(twins: Sequence[Model], folder: Path) -> dict[str, Unseen]:
    """What twins answer on the collections they learned without, by collection.

    Raises AppError if a twin learned from all collections, InkFileError if a collection is not in ``folder``.
    """
    answers = {}
    for twin in twins:
        without = (twin.card.config.get("ink") or {}).get("without", ())
        if not without:
            raise AppError(f"{twin.card.name!r} is not a twin: train it --without some of the collections.")
        check_collections(folder, without)
        for name in without:
            ink = load_ink(folder, set(collections(folder)) - {name})
            pictures = np.stack([pixels_of_drawing(drawing) for drawing in ink.drawings])
            image_logits = logits_of(twin.network, pictures).double()
            both = product_of_experts(image_logits, _followed(twin.pen, ink.drawings)) if twin.pen else None
            answers[name] = Unseen(
                Answers.of(image_logits, ink.labels), Answers.of(both, ink.labels) if both is not None else None
            )
    return answers


@torch.inference_mode()
def _followed(pen: PenNet, drawings: Sequence[Drawing]) -> Tensor:
    trajectories = torch.from_numpy(np.stack([trajectory_of(drawing) for drawing in drawings]))
    return torch.cat([pen(part) for part in trajectories.split(500)]).double()


def calibrated(card: ModelCard, validation: Answers, ink: Mapping[str, Unseen]) -> ModelCard:
    """Return the card with temperatures, refusal thresholds and figures on unseen ink.

    The temperature for pictures is fitted on validation digits and at most as many drawings; that for picture and pen
    together, and both refusal thresholds, are fitted on drawings alone. Without drawings, because the model never
    learned from any, only a temperature is fitted, on validation digits. Raises AppError if the model has a pen network
    and a twin has none.
    """
    if not ink:
        return dataclasses.replace(card, temperature=fit_temperature(validation.logits, validation.labels))
    pictures = {name: unseen.pictures for name, unseen in ink.items()}
    by_picture = Answers.of_all(pictures.values())
    share = np.random.default_rng(0).permutation(len(by_picture.labels))[: len(validation.labels)]
    temperature = fit_temperature(
        np.concatenate([validation.logits, by_picture.logits[share]]),
        np.concatenate([validation.labels, by_picture.labels[share]]),
    )
    card = dataclasses.replace(card, temperature=temperature, refusal=refusal_threshold(by_picture.doubts, MAX_REFUSED))
    picture_figures = _figures(pictures, card.temperature, card.refusal)
    if not card.pen:
        return dataclasses.replace(card, metrics={**card.metrics, **picture_figures})
    both = {name: unseen.both for name, unseen in ink.items() if unseen.both}
    if len(both) < len(ink):
        raise AppError(f"{card.name!r} has a pen network, but some of its twins have none. Give every twin one first.")
    by_both = Answers.of_all(both.values())
    fitted = fit_temperature(by_both.logits, by_both.labels)
    pen = dataclasses.replace(card.pen, temperature=fitted, refusal=refusal_threshold(by_both.doubts, MAX_REFUSED))
    measured = {
        name: {**figures, "by pictures alone": picture_figures[name]["accuracy"]}
        for name, figures in _figures(both, pen.temperature, pen.refusal).items()
    }
    return dataclasses.replace(card, metrics={**card.metrics, **measured}, pen=pen)


def _figures(answers: Mapping[str, Answers], temperature: float, refusal: float) -> dict[str, dict[str, float]]:
    """A card's figures on unseen ink: the accuracy on each collection, and more for all of them together."""
    every = Answers.of_all(answers.values())
    accuracies = {name: part.accuracy for name, part in answers.items()}
    overall = {
        "accuracy": float(np.mean(list(accuracies.values()))),
        "calibration_error": calibration_error(softmax(every.logits / temperature, axis=1), every.labels),
        "refused": float((every.doubts > refusal).mean()),
    }
    return {**{name + UNSEEN: {"accuracy": share} for name, share in accuracies.items()}, "ink" + UNSEEN: overall}
