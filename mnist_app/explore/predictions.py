"""A model's predictions for a whole split: logits and last features, computed once and kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from mnist_app.data.dataset import CLASSES, Digits
from mnist_app.explore.disk_cache import Arrays, Origin, look_up_or_compute
from mnist_app.models.graph import CHUNK, Graph
from mnist_app.models.registry import ModelError, answering_file, find_model, load_card
from mnist_app.reading.recognition import load_recogniser

KIND = "predictions"
AT_ONCE = 10_000  # pictures; a training split has more, and takes one core half a minute

_reading_many = Lock()  # its holder waits for no other lock

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions for N pictures, in their order."""

    logits: NDArray[np.float32]  # (N, 10)
    features: NDArray[np.float32]  # (N, F), the input of the last layer
    temperature: float = 1.0  # divides the logits before the softmax

    def __len__(self) -> int:
        return len(self.logits)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, 10), each row summing to 1."""
        return softmax(self._tempered, axis=1)

    @cached_property
    def read(self) -> NDArray[np.int64]:
        """The digit read in each picture (N,)."""
        return self.logits.argmax(axis=1)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The probability of the digit read (N,), 0 to 1."""
        return self.probabilities.max(axis=1)

    def losses(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cross entropy of each picture (N,), nats."""
        return -log_softmax(self._tempered, axis=1)[np.arange(len(labels)), labels]

    @cached_property
    def _tempered(self) -> NDArray[np.float64]:
        return self.logits.astype(np.float64) / self.temperature


def predict(graph: Graph, images: NDArray[np.uint8], progress: Progress = lambda share: None) -> Predictions:
    """Read pictures (N, 28, 28) in chunks; ``progress`` is called after each with the share done, 0 to 1.

    The logit for "no digit" is dropped, because these are all pictures of digits.
    """
    logits, features = [], []
    for first in range(0, len(images), CHUNK):
        chunk_logits, chunk_features = graph.read(images[first : first + CHUNK])
        logits.append(chunk_logits[:, :CLASSES])
        features.append(chunk_features)
        progress(min(1.0, (first + CHUNK) / len(images)))
    return _rounded(np.concatenate(logits), np.concatenate(features))


def _rounded(logits: NDArray[np.float32], features: NDArray[np.floating], temperature: float = 1.0) -> Predictions:
    """Predictions with features of 16 bits, the last 4 zero, which compress well: of 5 neighbours, 4.9 stay the same.

    Both new and kept predictions pass through here, so that they are rounded alike.
    """
    bits = features.astype(np.float16).view(np.uint16)
    return Predictions(logits, ((bits + 8) & 0xFFF0).view(np.float16).astype(np.float32), temperature)


def weights_of(model: str) -> bytes:
    """The bytes that a model's answers depend on. Raises ModelError."""
    path = answering_file(find_model(model))
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None


def origin_of(model: str, split: str, digits: Digits) -> Origin:
    """What the predictions of a model over a split depend on. Raises ModelError."""
    pictures, labels = np.ascontiguousarray(digits.images), np.ascontiguousarray(digits.labels)
    return Origin.of(model, split, weights_of(model), pictures.data, labels.data)


def predictions_of(
    model: str, split: str, digits: Digits, progress: Progress = lambda share: None
) -> tuple[Predictions, str | None]:
    """The predictions of a model over a split, computed if not kept yet, and why they could not be kept, if so.

    Raises ModelError if there is no such model.
    """

    def compute() -> Arrays:
        with turn_of(digits):
            return arrays_of(predict(load_recogniser(model).graph, digits.images, progress))

    kept = look_up_or_compute(KIND, origin_of(model, split, digits), _shapes(digits), compute)
    return _of(model, kept.arrays), kept.problem


def turn_of(digits: Digits) -> AbstractContextManager[object]:
    """A lock to hold while a network reads digits: splits of more than AT_ONCE are read one at a time."""
    return _reading_many if len(digits) > AT_ONCE else nullcontext()


def arrays_of(predictions: Predictions) -> Arrays:
    """Predictions as the arrays to keep."""
    return {"logits": predictions.logits, "features": predictions.features.astype(np.float16)}


def _of(model: str, arrays: Arrays) -> Predictions:
    temperature = load_card(find_model(model)).temperature
    return _rounded(arrays["logits"].astype(np.float32), arrays["features"], temperature)


def _shapes(digits: Digits) -> dict[str, tuple[int | None, ...]]:
    return {"logits": (len(digits), CLASSES), "features": (len(digits), None)}
