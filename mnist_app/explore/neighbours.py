"""The pictures that look most alike to a network: nearest in its last features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.explore import predictions
from mnist_app.explore.disk_cache import Arrays, Origin, look_up, look_up_or_compute
from mnist_app.explore.predictions import Progress, predictions_of, weights_of

KIND, SKETCH = "neighbours", "sketch"
COUNT = 5
AXES, STEPS, CANDIDATES = 24, 63, 128  # as much as fits in 1 MB; the benchmark `sketches` measures what they find
CHUNK = 200  # queries compared at once: against 55,000 pictures that is 44 MB of distances


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of Q queries the COUNT nearest pictures, nearest first."""

    indices: NDArray[np.int64]  # (Q, COUNT), into the pictures compared with
    distances: NDArray[np.float32]  # (Q, COUNT), Euclidean, in the units of the features


@dataclass(frozen=True, eq=False)
class Sketch:
    """The last features of N pictures in few bytes: rounded coordinates along their first principal components.

    A sketch is small enough to be shipped. It selects CANDIDATES pictures, which are then compared by all features.
    """

    places: NDArray[np.uint8]  # (N, A)
    axes: NDArray[np.float32]  # (F, A), scaled from features to steps of 1 in places
    corner: NDArray[np.float32]  # (A,), subtracted so that places begin at 0

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> "Sketch":
        """The sketch of features (N, F)."""
        from sklearn.decomposition import PCA  # takes a second; seldom needed, as sketches are kept

        count = min(AXES, *features.shape)
        axes = PCA(count, svd_solver="covariance_eigh").fit(features).components_.T
        along = features @ axes
        unit = max(float(np.ptp(along, axis=0).max()), 1e-9) / STEPS  # the same for all axes, to preserve distances
        corner = along.min(axis=0) / unit
        return cls(np.round(along / unit - corner).astype(np.uint8), (axes / unit).astype(np.float32), corner)

    @property
    def arrays(self) -> Arrays:
        """The sketch as the arrays to keep."""
        return {"places": self.places, "axes": self.axes, "corner": self.corner}

    def nearest(
        self,
        query: NDArray[np.float32],
        features_at: Callable[[NDArray[np.intp]], NDArray[np.float32]],
        own: int | None = None,
    ) -> Neighbours:
        """The pictures nearest to a query with features (1, F); ``features_at`` returns the features of given rows.

        ``own`` is the query's own row, which is left out.
        """
        apart = ((self.places - (query @ self.axes - self.corner)) ** 2).sum(axis=1)
        if own is not None:
            apart[own] = np.inf
        few = np.sort(np.argpartition(apart, min(CANDIDATES, len(apart) - 1))[:CANDIDATES])
        found = nearest(query, features_at(few))
        return Neighbours(few[found.indices], found.distances)


def nearest(
    queries: NDArray[np.float32],
    features: NDArray[np.float32],
    is_among_them: Sequence[int] | NDArray[np.intp] | None = None,
) -> Neighbours:
    """The COUNT rows of ``features`` (N, F) nearest to each of ``queries`` (Q, F).

    ``is_among_them`` gives each query's own row there, which is left out.
    """
    squares = (features**2).sum(axis=1)
    indices, distances = [], []
    for first in range(0, len(queries), CHUNK):
        part = queries[first : first + CHUNK]
        squared = squares - 2 * part @ features.T + (part**2).sum(axis=1, keepdims=True)  # (CHUNK, N)
        if is_among_them is not None:
            squared[np.arange(len(part)), np.asarray(is_among_them)[first : first + CHUNK]] = np.inf
        close = np.argpartition(squared, COUNT - 1, axis=1)[:, :COUNT]
        # Exact distances for the few that count: the shortcut above loses precision if features are far from 0.
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


def sketch_of(model: str, split: str, digits: Digits, progress: Progress = lambda share: None) -> Sketch:
    """The sketch of a split by a model's features, computed if it is not kept yet. Raises ModelError."""

    def compute() -> Arrays:
        found, _ = predictions_of(model, split, digits, progress)
        return Sketch.of(found.features).arrays

    shapes = {"places": (len(digits), None), "axes": (None, None), "corner": (None,)}
    kept = look_up_or_compute(SKETCH, predictions.origin_of(model, split, digits), shapes, compute)
    return Sketch(**kept.arrays)


def arrays_of(neighbours: Neighbours) -> Arrays:
    """Neighbours as the arrays to keep, in as few bytes as they need."""
    return {
        "indices": neighbours.indices.astype(np.uint16 if neighbours.indices.max() < 2**16 else np.uint32),
        "distances": neighbours.distances.astype(np.float16),
    }
