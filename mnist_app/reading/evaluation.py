"""How well a model reads: accuracy, per-digit figures, confusion matrix."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_app.data.inkfiles import InkFileError, collections, read_records
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.styles import style_of
from mnist_app.models.networks import CLASSES
from mnist_app.reading.calibration import calibration_error
from mnist_app.reading.recognition import Prediction, Recogniser, readable, recognise_each


@dataclass(frozen=True)
class DigitScore:
    """How well one digit is read."""

    precision: float  # share of the answers "this digit" that were right
    recall: float  # share of this digit's pictures that were read right
    f1: float  # harmonic mean of the two
    support: int  # pictures of this digit


@dataclass(frozen=True)
class StyleScore:
    """How well one way to write a digit is read."""

    accuracy: float  # share of its drawings read right
    support: int  # drawings of it


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of one model on one set of labelled digits."""

    accuracy: float  # 0 to 1
    per_digit: tuple[DigitScore, ...]  # ten, by digit
    confusion: NDArray[np.int64]  # (10, 10): rows are the labels, columns what was read


def evaluate(labels: NDArray[np.int64], read: NDArray[np.int64]) -> Evaluation:
    """Compare labels (N,) with what was read (N,). A digit that never occurs scores 0.

    Computed here without scikit-learn: importing that would delay every training by two seconds.
    """
    confusion = np.bincount(CLASSES * labels + read, minlength=CLASSES**2).reshape(CLASSES, -1)
    right, there, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    shares = [
        right / np.maximum(answered, 1),
        right / np.maximum(there, 1),
        2 * right / np.maximum(there + answered, 1),
    ]
    per_digit = tuple(
        DigitScore(float(p), float(r), float(f), int(n)) for p, r, f, n in zip(*shares, there, strict=True)
    )
    return Evaluation(float(right.sum() / max(len(labels), 1)), per_digit, confusion)


@dataclass(frozen=True)
class InkEvaluation:
    """How well real drawings are read."""

    collections: Mapping[str, float]  # name -> share of its drawings read right, 0 to 1
    per_digit: tuple[DigitScore, ...]  # ten, by digit, of all drawings that can be read
    styles: Mapping[str, StyleScore]  # by how a digit was written, in the order of digits
    refused: float  # share of all drawings that were refused
    calibration_error: float  # expected calibration error over all drawings, 0 to 1

    @property
    def macro_mean(self) -> float:
        """The mean over collections, so that a large one counts no more than a small one."""
        return sum(self.collections.values()) / len(self.collections)


def evaluate_ink(model: Recogniser, folder: Path) -> InkEvaluation:
    """Read every labelled drawing in a folder's collections as one digit; one that cannot be read counts as wrong.

    The likeliest digit counts, even if the drawing was refused; how many are refused is a separate figure.
    Raises InkFileError if a file cannot be read or holds no labels.
    """
    accuracies: dict[str, float] = {}
    read: list[Prediction] = []
    labels: list[int] = []
    styles: dict[str, list[bool]] = {}
    drawings = 0
    for name, path in collections(folder).items():
        records = [record for record in read_records(path) if record.label is not None]
        if not records:
            raise InkFileError(f"{path} holds no labelled drawings.")
        right = 0
        for answer, record in zip(recognise_each(model, [readable(r.drawing) for r in records]), records, strict=True):
            if isinstance(answer, Prediction) and isinstance(record.drawing, Drawing) and record.label is not None:
                is_right = answer.digit == record.label
                right += is_right
                read.append(answer)
                labels.append(record.label)
                styles.setdefault(style_of(record.drawing, record.label), []).append(is_right)
        accuracies[name] = right / len(records)
        drawings += len(records)
    probabilities = np.array([answer.probabilities for answer in read]).reshape(-1, CLASSES)
    meant = np.array(labels, np.int64)
    return InkEvaluation(
        accuracies,
        evaluate(meant, np.array([answer.digit for answer in read], np.int64)).per_digit,
        {style: StyleScore(sum(hits) / len(hits), len(hits)) for style, hits in sorted(styles.items())},
        refused=sum(not answer.is_digit for answer in read) / drawings,
        calibration_error=calibration_error(probabilities, meant) if read else 0.0,
    )
