"""From ink to an answer: the one path that page, API and command line share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_app.errors import AppError
from mnist_app.models import fold_batch_norm
from mnist_app.preprocessing import BlankError, pixels_of_drawing
from mnist_app.registry import Model, find_model, load_model
from mnist_app.strokes import Drawing
from mnist_app.training import logits_of

Readable = NDArray[np.uint8] | AppError  # a picture (28, 28), or why there is none

CERTAIN, CONFIDENT = 0.95, 0.75  # probabilities from which the words change
RIVAL = 0.15  # probability from which the runner-up is worth a word


@dataclass(frozen=True)
class Prediction:
    """What a model reads: ten probabilities that sum to 1, by digit, and the model's name."""

    probabilities: tuple[float, ...]
    model: str

    @property
    def digit(self) -> int:
        return int(np.argmax(self.probabilities))

    @property
    def confidence(self) -> float:
        """The probability of the digit read, 0 to 1."""
        return max(self.probabilities)

    @property
    def runner_up(self) -> int:
        """The second most probable digit."""
        return int(np.argsort(-np.array(self.probabilities), kind="stable")[1])  # in a tie, not `digit` again

    @property
    def words(self) -> str:
        """The confidence as a person would say it."""
        if self.confidence >= CERTAIN:
            return "I am sure"
        second = self.probabilities[self.runner_up]
        perhaps = f", perhaps {self.runner_up}" if second >= RIVAL else ""
        return ("I am fairly sure" if self.confidence >= CONFIDENT else "I can hardly tell") + perhaps

    def to_json(self) -> dict[str, object]:
        """What the API, the command line and the browser's part of the page are told."""
        return {
            "digit": self.digit,
            "confidence": self.confidence,
            "probabilities": list(self.probabilities),
            "model": self.model,
        }


def load_recogniser(name: str) -> Model:
    """The model called ``name``, arranged to answer as quickly as it can. Raises ModelError."""
    model = load_model(find_model(name))
    network = fold_batch_norm(model.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(network, model.card)


def recognise(model: Model, images: NDArray[np.uint8]) -> list[Prediction]:
    """Read pictures of shape (N, 28, 28), 0 = paper, 255 = ink: a prediction each, in order."""
    if not len(images):
        return []
    probabilities = logits_of(model.network, images).double().softmax(dim=1)
    return [Prediction(tuple(row), model.card.name) for row in probabilities.tolist()]


def readable(drawing: Drawing | AppError) -> Readable:
    """A drawing's picture, or why there is none."""
    if isinstance(drawing, AppError):
        return drawing
    try:
        return pixels_of_drawing(drawing)
    except BlankError as error:
        return error


def recognise_each(model: Model, batch: Sequence[Readable]) -> list[Prediction | AppError]:
    """Read what can be read, all at once; what came as an error stays one, in its place."""
    pictures = [picture for picture in batch if not isinstance(picture, AppError)]
    answers = iter(recognise(model, np.stack(pictures)) if pictures else [])
    return [picture if isinstance(picture, AppError) else next(answers) for picture in batch]


def warm_up(model: Model) -> None:
    """Make the first answer as quick as the next: PyTorch sets up its kernels on first use."""
    recognise(model, np.zeros((1, 28, 28), np.uint8))
