"""From one glyph to a prediction. What page, API and command line answer, numbers too, is number.py's."""

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
from mnist_app.models.networks import CLASSES, NO_DIGIT, fold_batch_norm, logits_of
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
RIVAL = 0.15  # probability from which the runner-up is worth a word
MOST_FOLLOWED = 5  # strokes: in real ink no digit has more, and what no network has learned from it should not judge


@dataclass(frozen=True, eq=False)
class Glyph:
    """What is read as one digit: what it looks like and, of a drawing, how it was written."""

    pixels: NDArray[np.uint8]  # (28, 28), 0 = paper, 255 = ink
    trajectory: Trajectory | None = None  # None of an image, nobody saw the pen; or of more than MOST_FOLLOWED strokes

    @classmethod
    def of(cls, drawing: Drawing) -> "Glyph":
        """Raises BlankError."""
        return cls.seen(pixels_of_drawing(drawing), drawing)

    @classmethod
    def seen(cls, pixels: NDArray[np.uint8], drawing: Drawing | None) -> "Glyph":
        """Of a picture, and the drawing that it was painted from, if any."""
        return cls(pixels, trajectory_of(drawing) if drawing and len(drawing.strokes) <= MOST_FOLLOWED else None)


@dataclass(frozen=True)
class Prediction:
    """What a model reads: ten probabilities that sum to 1, by digit, and the model's name.

    The probabilities answer "which digit, if it is one". Where ``is_digit`` is false, it most likely is none.
    """

    probabilities: tuple[float, ...]
    model: str
    doubt: float = 0.0  # the probability that it is no digit at all, 0 to 1
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
        """How probable is what it says, 0 to 1: the digit, or that it is none."""
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
        """What the API, the command line and the browser's part of the page are told."""
        return {
            "digit": self.digit,
            "is_digit": self.is_digit,
            "confidence": self.confidence,
            "probabilities": list(self.probabilities),
            "model": self.model,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Recogniser(Model):
    """A model arranged to answer as quickly as it can; its network still gives gradients and feature maps.

    Unless it ``is_opaque``: then a graph is all there is.
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
    """Read pictures of shape (N, 28, 28), 0 = paper, 255 = ink, by what they look like: a prediction each, in order."""
    if not len(images):
        return []
    logits = torch.from_numpy(model.graph.read(images)[0]).double()
    return _predictions(model, logits, model.card.temperature, model.card.refusal)


def recognise_glyphs(model: Recogniser, glyphs: Sequence[Glyph]) -> list[Prediction]:
    """Read each by its picture and, where that is known and the model follows it, by the way of the pen, in order."""
    if not glyphs:
        return []
    look = torch.from_numpy(model.graph.read(np.stack([glyph.pixels for glyph in glyphs]))[0]).double()
    ways = {at: glyph.trajectory for at, glyph in enumerate(glyphs) if glyph.trajectory is not None}
    pen = model.card.pen
    if not pen or not model.pen_graph or not ways:
        return _predictions(model, look, model.card.temperature, model.card.refusal)
    said = torch.from_numpy(model.pen_graph.read(list(ways.values()))).double()
    by_both = _predictions(model, together(look[list(ways)], said), pen.temperature, pen.refusal)
    answers = dict(zip(ways, by_both, strict=True))
    if others := [at for at in range(len(glyphs)) if at not in ways]:
        by_look = _predictions(model, look[others], model.card.temperature, model.card.refusal)
        answers |= dict(zip(others, by_look, strict=True))
    return [answers[at] for at in range(len(glyphs))]


def follows(model: Recogniser, drawing: Drawing) -> bool:
    """Whether a drawing, read as one digit, is read by the way of the pen, too."""
    return model.pen_graph is not None and len(drawing.strokes) <= MOST_FOLLOWED


def opinions(model: Recogniser, glyph: Glyph) -> tuple[Prediction, Prediction] | None:
    """What is read by the look alone, and by the way of the pen alone; None where only one of them is asked.

    Of the pen alone the confidence is not calibrated: it is no digit where that is likelier than all digits together.
    """
    if not model.pen_graph or glyph.trajectory is None:
        return None
    logits = torch.from_numpy(model.pen_graph.read([glyph.trajectory])).double()
    return recognise(model, glyph.pixels[None])[0], _predictions(model, logits, temperature=1, refusal=0.5)[0]


def together(picture: Tensor, pen: Tensor) -> Tensor:
    """Logits (N, 11) of two who know different things of the same digits: the mean of their log probabilities.

    That is a product of experts (Hinton, doi 10.1162/089976602760128018): what either rules out is ruled out.
    """
    return (picture.log_softmax(dim=1) + pen.log_softmax(dim=1)) / 2


def _predictions(model: Model, logits: Tensor, temperature: float, refusal: float) -> list[Prediction]:
    probabilities = (logits[:, :CLASSES] / temperature).softmax(dim=1)
    return [
        Prediction(tuple(row), model.card.name, doubt, doubt <= refusal)
        for row, doubt in zip(probabilities.tolist(), doubts_of(logits).tolist(), strict=True)
    ]


def digit_logits(model: Model, pictures: Tensor) -> Tensor:
    """The ten digits' logits (B, 10), whose softmax is what ``recognise`` says, for pictures (B, 1, 28, 28), 0 to 1.

    With gradients, for those who ask what would change the answer.
    """
    logits: Tensor = model.network(pictures)
    return logits[:, :CLASSES] / model.card.temperature


def read_with(network: nn.Module, pixels: NDArray[np.uint8]) -> Prediction:
    """What a network that has no card yet makes of one picture (28, 28)."""
    probabilities = logits_of(network, pixels[None]).double()[:, :CLASSES].softmax(dim=1)
    return Prediction(tuple(probabilities[0].tolist()), "")


def doubts_of(logits: Tensor) -> Tensor:
    """How probable it is (N,) that pictures are no digit, 0 to 1: 0 from a network that never learned to refuse."""
    if logits.shape[1] <= NO_DIGIT:
        return torch.zeros(len(logits), dtype=logits.dtype)
    return logits.softmax(dim=1)[:, NO_DIGIT]


def readable(drawing: Drawing | AppError) -> Glyph | AppError:
    """What of a drawing is read, or why nothing can be."""
    if isinstance(drawing, AppError):
        return drawing
    try:
        return Glyph.of(drawing)
    except BlankError as error:
        return error


def recognise_each(model: Recogniser, batch: Sequence[Glyph | AppError]) -> list[Prediction | AppError]:
    """Read what can be read, all at once; what came as an error stays one, in its place."""
    answers = iter(recognise_glyphs(model, [item for item in batch if not isinstance(item, AppError)]))
    return [item if isinstance(item, AppError) else next(answers) for item in batch]


def warm_up(model: Recogniser) -> None:
    """Make the first answer as quick as the next: the libraries set themselves up on first use."""
    recognise_glyphs(model, [Glyph(np.zeros((28, 28), np.uint8), np.zeros((POINTS, 3), np.float32))])
