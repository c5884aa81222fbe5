"""From one glyph to a prediction. Pages, API and command line use number.py, which also reads numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import BlankError, pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.trajectory import POINTS, Trajectory, trajectory_of
from mnist_app.models.graph import Graph, GraphError, Opaque, PenGraph, pen_to_graph, to_graph
from mnist_app.models.networks import CLASSES, NOT_A_DIGIT, fold_batch_norm, logits_of
from mnist_app.models.registry import (
    GRAPH,
    ONLY_A_GRAPH,
    Model,
    ModelError,
    find_model,
    load_card,
    load_graph,
    load_model,
)

CERTAIN, CONFIDENT = 0.95, 0.75  # probabilities from which the words change
RIVAL = 0.15  # probability from which the runner-up is mentioned
MAX_FOLLOWED = 5  # strokes: in real ink no digit has more, and a network should not judge what it has not learned


@dataclass(frozen=True, eq=False)
class Glyph:
    """What is read as one digit: its picture and, for a drawing, how it was written."""

    pixels: NDArray[np.uint8]  # (28, 28), 0 = paper, 255 = ink
    trajectory: Trajectory | None = None  # None for an image, or for more than MAX_FOLLOWED strokes

    @classmethod
    def of(cls, drawing: Drawing) -> "Glyph":
        """The glyph of a drawing. Raises BlankError."""
        return cls.seen(pixels_of_drawing(drawing), drawing)

    @classmethod
    def seen(cls, pixels: NDArray[np.uint8], drawing: Drawing | None) -> "Glyph":
        """The glyph of a picture, and of the drawing that it was painted from, if any."""
        return cls(pixels, trajectory_of(drawing) if drawing and len(drawing.strokes) <= MAX_FOLLOWED else None)


@dataclass(frozen=True)
class Prediction:
    """What a model reads: ten probabilities that sum to 1, by digit, and the model's name.

    The probabilities answer "which digit, if it is one". If ``is_digit`` is false, the model refuses.
    """

    probabilities: tuple[float, ...]
    model: str
    doubt: float = 0.0  # the probability that it is not a digit at all, 0 to 1
    is_digit: bool = True

    @property
    def digit(self) -> int:
        return int(np.argmax(self.probabilities))

    @property
    def confidence(self) -> float:
        """The probability of the digit read, 0 to 1."""
        return max(self.probabilities)

    @property
    def sureness(self) -> float:
        """The probability of the answer, 0 to 1: of the digit, or of "not a digit"."""
        return self.confidence if self.is_digit else self.doubt

    @property
    def runner_up(self) -> int:
        """The second most probable digit."""
        return int(np.argsort(-np.array(self.probabilities), kind="stable")[1])  # in a tie, not `digit` again

    @property
    def is_certain(self) -> bool:
        return self.is_digit and self.confidence >= CERTAIN

    @property
    def words(self) -> str:
        """The confidence as a person would say it."""
        if not self.is_digit:
            return "Not a digit I know"
        if self.is_certain:
            return "I am sure"
        if self.probabilities[self.runner_up] >= RIVAL:
            return f"{self.digit}, perhaps {self.runner_up}"
        return "I am fairly sure" if self.confidence >= CONFIDENT else "I can hardly tell"

    def to_json(self) -> dict[str, object]:
        """The answer for the API, the command line and the page's scripts."""
        return {
            "digit": self.digit,
            "is_digit": self.is_digit,
            "confidence": self.confidence,
            "probabilities": list(self.probabilities),
            "model": self.model,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Recogniser(Model):
    """A model prepared to answer as quickly as it can; its network still gives gradients and feature maps.

    If it ``is_opaque``, it gives neither: there is only a graph.
    """

    graph: Graph
    pen_graph: PenGraph | None = None

    @property
    def is_opaque(self) -> bool:
        return isinstance(self.network, Opaque)

    @classmethod
    def of(cls, model: Model) -> "Recogniser":
        network = fold_batch_norm(model.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        pen_graph = PenGraph(pen_to_graph(model.pen)) if model.pen else None
        return cls(network, model.card, model.pen, graph=Graph(to_graph(network)), pen_graph=pen_graph)


def load_recogniser(name: str) -> Recogniser:
    """The model called ``name``, ready to answer. Raises ModelError."""
    return recogniser_in(find_model(name))


def recogniser_in(folder: Path) -> Recogniser:
    """The model in a folder, ready to answer. Raises ModelError."""
    card = load_card(folder)
    if card.architecture != ONLY_A_GRAPH:
        return Recogniser.of(load_model(folder))
    try:
        graph = Graph(load_graph(folder))
    except GraphError as error:
        raise ModelError(f"{folder / GRAPH} cannot be used. {error}") from None
    return Recogniser(Opaque(graph), card, graph=graph)


def recognise(model: Recogniser, images: NDArray[np.uint8]) -> list[Prediction]:
    """Read pictures (N, 28, 28), 0 = paper, 255 = ink, with the image network alone: one prediction each, in order."""
    if not len(images):
        return []
    logits = torch.from_numpy(model.graph.read(images)[0]).double()
    return _predictions(model, logits, model.card.temperature, model.card.refusal)


def recognise_glyphs(model: Recogniser, glyphs: Sequence[Glyph]) -> list[Prediction]:
    """Read glyphs in order, each by its picture and, if it has a trajectory and the model a pen network, by both."""
    if not glyphs:
        return []
    image_logits = torch.from_numpy(model.graph.read(np.stack([glyph.pixels for glyph in glyphs]))[0]).double()
    trajectories = {at: glyph.trajectory for at, glyph in enumerate(glyphs) if glyph.trajectory is not None}
    pen = model.card.pen
    if not pen or not model.pen_graph or not trajectories:
        return _predictions(model, image_logits, model.card.temperature, model.card.refusal)
    pen_logits = torch.from_numpy(model.pen_graph.read(list(trajectories.values()))).double()
    by_both = _predictions(
        model, product_of_experts(image_logits[list(trajectories)], pen_logits), pen.temperature, pen.refusal
    )
    answers = dict(zip(trajectories, by_both, strict=True))
    if others := [at for at in range(len(glyphs)) if at not in trajectories]:
        by_picture = _predictions(model, image_logits[others], model.card.temperature, model.card.refusal)
        answers |= dict(zip(others, by_picture, strict=True))
    return [answers[at] for at in range(len(glyphs))]


def follows(model: Recogniser, drawing: Drawing) -> bool:
    """Whether the pen network takes part in reading a drawing as one digit."""
    return model.pen_graph is not None and len(drawing.strokes) <= MAX_FOLLOWED


def opinions(model: Recogniser, glyph: Glyph) -> tuple[Prediction, Prediction] | None:
    """What the image network and the pen network read, each alone; None if only one of them is asked.

    The pen network alone is not calibrated: it refuses if "not a digit" is likelier than all digits together.
    """
    if not model.pen_graph or glyph.trajectory is None:
        return None
    logits = torch.from_numpy(model.pen_graph.read([glyph.trajectory])).double()
    return recognise(model, glyph.pixels[None])[0], _predictions(model, logits, temperature=1, refusal=0.5)[0]


def product_of_experts(picture: Tensor, pen: Tensor) -> Tensor:
    """Combine logits (N, 11) of the image network and the pen network: the mean of their log probabilities.

    This is a product of experts (Hinton, doi 10.1162/089976602760128018): what either rules out is ruled out.
    """
    return (picture.log_softmax(dim=1) + pen.log_softmax(dim=1)) / 2


def _predictions(model: Model, logits: Tensor, temperature: float, refusal: float) -> list[Prediction]:
    probabilities = (logits[:, :CLASSES] / temperature).softmax(dim=1)
    return [
        Prediction(tuple(row), model.card.name, doubt, doubt <= refusal)
        for row, doubt in zip(probabilities.tolist(), doubts_of(logits).tolist(), strict=True)
    ]


def digit_logits(model: Model, pictures: Tensor) -> Tensor:
    """The digits' logits (B, 10) for pictures (B, 1, 28, 28), 0 to 1; their softmax is what ``recognise`` returns.

    With gradients, to find out what would change the answer.
    """
    logits: Tensor = model.network(pictures)
    return logits[:, :CLASSES] / model.card.temperature


def read_with(network: nn.Module, pixels: NDArray[np.uint8]) -> Prediction:
    """Read one picture (28, 28) with a network that has no card yet."""
    probabilities = logits_of(network, pixels[None]).double()[:, :CLASSES].softmax(dim=1)
    return Prediction(tuple(probabilities[0].tolist()), "")


def doubts_of(logits: Tensor) -> Tensor:
    """The probability (N,) that a picture is not a digit, 0 to 1; always 0 if the network never learned to refuse."""
    if logits.shape[1] <= NOT_A_DIGIT:
        return torch.zeros(len(logits), dtype=logits.dtype)
    return logits.softmax(dim=1)[:, NOT_A_DIGIT]


def readable(drawing: Drawing | AppError) -> Glyph | AppError:
    """The glyph of a drawing, or the error if there is none."""
    if isinstance(drawing, AppError):
        return drawing
    try:
        return Glyph.of(drawing)
    except BlankError as error:
        return error


def recognise_each(model: Recogniser, batch: Sequence[Glyph | AppError]) -> list[Prediction | AppError]:
    """Read a whole batch at once; an item that is an error stays one, in its place."""
    answers = iter(recognise_glyphs(model, [item for item in batch if not isinstance(item, AppError)]))
    return [item if isinstance(item, AppError) else next(answers) for item in batch]


def warm_up(model: Recogniser) -> None:
    """Make the first answer as quick as the next: the libraries initialise themselves on first use."""
    recognise_glyphs(model, [Glyph(np.zeros((28, 28), np.uint8), np.zeros((POINTS, 3), np.float32))])
