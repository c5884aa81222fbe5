"""A split as a map: the network's last features in two dimensions."""

import re

import numpy as np
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.explore.disk_cache import Arrays, CachedArrays, look_up, look_up_or_compute
from mnist_app.explore.neighbours import nearest
from mnist_app.explore.predictions import Predictions, origin_of
from mnist_app.work import Command

KIND = "tsne"
SIDE = 1000  # units of the map's longer side
STEPS = 1000  # of t-SNE; scikit-learn reports every 50
METHODS = {"pca": "PCA", "tsne": "t-SNE"}

Places = NDArray[np.float32]  # (N, 2): x to the right, y downwards, 0 to SIDE


def pca(features: NDArray[np.float32], also: NDArray[np.float32] | None = None) -> tuple[Places, Places]:
    """Features (N, F) projected onto their two main axes, and further ones (M, F) on the same map."""
    from sklearn.decomposition import PCA  # here, as in tsne(): it would slow a server's start by a second

    also = np.empty((0, features.shape[1]), np.float32) if also is None else also
    axes = PCA(2, svd_solver="covariance_eigh").fit(features)
    both = _fitted(axes.transform(features), axes.transform(also) if len(also) else np.empty((0, 2)))
    return both[: len(features)], both[len(features) :]


def place(queries: NDArray[np.float32], features: NDArray[np.float32], places: Places) -> Places:
    """Place further pictures (M, F) on a map that has no formula: amid their nearest neighbours, by closeness."""
    found = nearest(queries, features)
    closeness = 1 / np.maximum(found.distances, 1e-6)[..., None]
    return ((places[found.indices] * closeness).sum(axis=1) / closeness.sum(axis=1)).astype(np.float32)


def tsne(features: NDArray[np.float32]) -> Places:
    """Features (N, F) laid out so that neighbours stay neighbours (van der Maaten and Hinton, 2008).

    Starts from PCA, so that the same features give the same map. scikit-learn prints its steps to standard output.
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init="pca", random_state=0, max_iter=STEPS, n_jobs=1, verbose=2)
    return _fitted(layout.fit_transform(features), np.empty((0, 2)))


def _fitted(points: NDArray[np.floating], also: NDArray[np.floating]) -> Places:
    """Scale points by one factor so that the longer side spans SIDE; further points are clipped to the same square."""
    corner, extent = points.min(axis=0), np.ptp(points, axis=0)
    margin = (extent.max() - extent) / 2
    both = (np.concatenate([points, also]) - corner + margin) / max(float(extent.max()), 1e-9) * SIDE
    return np.clip(both, 0, SIDE).astype(np.float32)


def known_tsne(model: str, split: str, digits: Digits) -> Places | None:
    """The t-SNE map of a split if it was shipped or kept, else None."""
    arrays = look_up(KIND, origin_of(model, split, digits), {"places": (len(digits), 2)})
    return None if arrays is None else _places(CachedArrays(arrays))


def tsne_of(model: str, split: str, digits: Digits, predictions: Predictions) -> tuple[Places, str | None]:
    """The t-SNE map of a split, computed if not kept yet, and why it could not be kept, if so."""

    kept = look_up_or_compute(
        KIND,
        origin_of(model, split, digits),
        {"places": (len(digits), 2)},
        lambda: arrays_of(tsne(predictions.features)),
    )
    return _places(kept), kept.problem


def arrays_of(places: Places) -> Arrays:
    """A map as the arrays to keep: two bytes per coordinate are finer than any screen."""
    return {"places": np.round(places * (2**16 - 1) / SIDE).astype(np.uint16)}


def _places(kept: CachedArrays) -> Places:
    return kept.arrays["places"].astype(np.float32) * np.float32(SIDE / (2**16 - 1))


class Layout(Command):
    """t-SNE in a process of its own: it takes minutes, and would block the server's interpreter for much of them."""

    def __init__(self, model: str, split: str) -> None:
        super().__init__("prepare", "--model", model, "--split", split, niceness=19)  # drawing comes first

    @property
    def share(self) -> float:
        """The share of steps done, 0 to 1."""
        steps = re.findall(r"Iteration (\d+):", self.output)
        return min(1.0, int(steps[-1]) / STEPS) if steps else 0.0
