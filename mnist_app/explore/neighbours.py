"""The pictures that a network finds most alike: nearest in its last features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.explore.kept import Arrays, Origin, look_up
from mnist_app.explore.predictions import weights_of

KIND = "neighbours"
COUNT = 5
CHUNK = 200  # queries compared at once: against 55,000 pictures that is 44 MB of distances


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of Q queries the COUNT nearest pictures, nearest first."""

    indices: NDArray[np.int64]  # (Q, COUNT), into the pictures compared with
    distances: NDArray[np.float32]  # (Q, COUNT), Euclidean, in the units of the features


def nearest(
    queries: NDArray[np.float32],
    features: NDArray[np.float32],
    is_among_them: Sequence[int] | NDArray[np.intp] | None = None,
    count: int = COUNT,
) -> Neighbours:
    """The rows of ``features`` (N, F) nearest to each of ``queries`` (Q, F).

    ``is_among_them`` gives the row that each query itself has there, which is no neighbour of its own.
    """
    squares = (features**2).sum(axis=1)
    indices, distances = [], []
    for first in range(0, len(queries), CHUNK):
        part = queries[first : first + CHUNK]
        squared = squares - 2 * part @ features.T + (part**2).sum(axis=1, keepdims=True)  # (CHUNK, N)
        if is_among_them is not None:
            squared[np.arange(len(part)), np.asarray(is_among_them)[first : first + CHUNK]] = np.inf
        close = np.argpartition(squared, count - 1, axis=1)[:, :count]
        # Differences once more for the few that count: the shortcut above loses digits where features are far from 0.
        exact = np.linalg.norm(features[close] - part[:, None], axis=2)
        order = np.lexsort((close, exact), axis=1)
        indices.append(np.take_along_axis(close, order, axis=1))
        distances.append(np.take_along_axis(exact, order, axis=1))
    return Neighbours(np.concatenate(indices), np.concatenate(distances).astype(np.float32))


def origin_of(model: str, split: str, digits: Digits, train: Digits) -> Origin:
    """What a split's nearest training pictures depend on. Raises ModelError."""
    pictures = (np.ascontiguousarray(each.images).data for each in (digits, train))
    return Origin.of(model, split, weights_of(model), *pictures)


def known_neighbours(model: str, split: str, digits: Digits, train: Digits) -> Neighbours | None:
    """The nearest training pictures of a whole split, if they were shipped."""
    shapes = {"indices": (len(digits), COUNT), "distances": (len(digits), COUNT)}
    arrays = look_up(KIND, origin_of(model, split, digits, train), shapes)
    if arrays is None:
        return None
    return Neighbours(arrays["indices"].astype(np.int64), arrays["distances"].astype(np.float32))


def arrays_of(neighbours: Neighbours) -> Arrays:
    """Neighbours in as few bytes as they need."""
    return {
        "indices": neighbours.indices.astype(np.uint16 if neighbours.indices.max() < 2**16 else np.uint32),
        "distances": neighbours.distances.astype(np.float16),
    }
