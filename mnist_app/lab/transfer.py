"""Learning from few samples: a network that already knows one kind of digits, compared with an untrained one.

Both learn from the same few samples of another kind: pen strokes after MNIST, and MNIST after pen strokes.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mnist_app.data.dataset import CLASSES, Digits, load_split
from mnist_app.data.inkfiles import collections, read_records
from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.training.train import TrainConfig, fresh_network, train
from mnist_app.training.trainer import accuracy

COUNTS = (10, 30, 100, 300, 1_000, 3_000)  # samples of the new kind, equally many of each digit
SEEDS = 3
STEPS = 300  # of the optimiser, roughly, however few the samples are
BEFORE = TrainConfig("quicknet", epochs=4)
AFTER = TrainConfig("quicknet", learning_rate=3e-3)  # for both networks: the pretrained and the untrained one
GLANCE = 100  # digits used for validation, because the training loop needs some


@dataclass(frozen=True)
class Point:
    """Accuracies, 0 to 1, after learning from ``count`` samples: one for each seed."""

    count: int
    knowing: Sequence[float]  # of the network that knows another kind of digits
    scratch: Sequence[float]  # of the untrained network

    def __post_init__(self) -> None:
        """Check what came from a file. Raises TypeError or ValueError if a page could not draw it."""
        if not all(map(math.isfinite, (self.count, *self.knowing, *self.scratch))):
            raise ValueError("an accuracy is not a finite number")
        if not (self.knowing and self.scratch):
            raise ValueError("there are no runs")


@dataclass(frozen=True)
class Direction:
    """From one kind of digits to another."""

    before: str
    after: str
    measured: int  # number of digits of the new kind that all were measured on
    untaught: float  # accuracy on the new kind without any sample of it
    points: Sequence[Point]

    def __post_init__(self) -> None:
        """Check what came from a file. Raises TypeError or ValueError if a page could not draw it."""
        if not self.points or not math.isfinite(self.measured + self.untaught):
            raise ValueError("there is nothing to draw")

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Direction":
        return cls(**{**content, "points": [Point(**point) for point in content["points"]]})


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of digits: some to learn from, others to be measured on."""

    name: str
    learned: Digits
    measured: Digits


def kinds(ink: Path, samples: int) -> tuple[Kind, Kind]:
    """MNIST, measured on its test split; and real ink, measured on every second writer, who is left out of training.

    Raises AppError if the other writers have not drawn ``samples`` digits, equally many of each, or are the only ones.
    """
    halves: tuple[list[tuple[NDArray[np.uint8], int]], ...] = ([], [])
    writers: dict[tuple[str, str | None], int] = {}
    for name, path in collections(ink).items():
        for record in read_records(path):
            if record.label is not None and isinstance(record.drawing, Drawing) and not record.drawing.is_blank:
                number = writers.setdefault((name, record.writer), len(writers))
                halves[number % 2].append((pixels_of_drawing(record.drawing), record.label))
    fewest = min(sum(label == digit for _, label in halves[0]) for digit in range(CLASSES))
    if not halves[1]:
        raise AppError(f"{ink} has drawings by one writer only: another one is needed to measure on.")
    if fewest < samples // CLASSES:
        raise AppError(
            f"{ink} has too few labelled drawings. Half of the writers drew only {fewest} of some digit, but "
            f"{samples // CLASSES} are needed to learn from; the other half is needed to measure on."
        )
    learned, measured = (
        Digits(np.stack([pixels for pixels, _ in half]), np.array([label for _, label in half])) for half in halves
    )
    return Kind("MNIST", load_split("train"), load_split("test")), Kind("pen strokes", learned, measured)


def run_transfer(ink: Path, is_quick: bool, progress: Callable[[float], None]) -> list[Direction]:
    """Both directions, with the accuracy by number of samples."""
    torch.set_num_threads(1)
    counts = COUNTS[:2] if is_quick else COUNTS
    mnist, strokes = kinds(ink, counts[-1])
    ways = ((mnist, strokes), (strokes, mnist))
    return [
        _direction(*way, counts, is_quick, lambda share, at=at: progress((at + share) / len(ways)))  # type: ignore[misc]
        for at, way in enumerate(ways)
    ]


def _direction(
    before: Kind, after: Kind, counts: Sequence[int], is_quick: bool, progress: Callable[[float], None]
) -> Direction:
    seeds = 1 if is_quick else SEEDS
    knowing = fresh_network(BEFORE)
    _learn(knowing, replace(BEFORE, epochs=1) if is_quick else BEFORE, before.learned)
    points = []
    for number, count in enumerate(counts, 1):
        knew: list[float] = []
        scratch: list[float] = []
        for seed in range(seeds):
            few, config = _few(after.learned, count, seed), _config(count, seed)
            for network, found in ((copy.deepcopy(knowing), knew), (fresh_network(config), scratch)):
                _learn(network, config, few)
                found.append(accuracy(network, after.measured))
        points.append(Point(count, knew, scratch))
        progress(number / len(counts))
    return Direction(before.name, after.name, len(after.measured), accuracy(knowing, after.measured), points)


def _few(digits: Digits, count: int, seed: int) -> Digits:
    """``count`` of the digits, equally many of each, chosen at random by the seed."""
    random = np.random.default_rng(seed)
    each = [
        random.choice(np.flatnonzero(digits.labels == digit), count // CLASSES, replace=False)
        for digit in range(CLASSES)
    ]
    return digits[np.concatenate(each)]


def _config(count: int, seed: int) -> TrainConfig:
    size = min(32, count)
    return replace(AFTER, batch_size=size, epochs=max(1, STEPS * size // count), average=0.9, seed=seed)


def _learn(network: nn.Module, config: TrainConfig, digits: Digits) -> None:
    for _ in train(network, config, digits, digits[:GLANCE]):
        pass
    network.eval()
