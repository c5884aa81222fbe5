"""The parts of training pictures that excite each feature map of a model most, computed once and kept."""

import numpy as np
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.explain.feature_maps import PATCHES, Favourites, convolutions, favourites
from mnist_app.explore.disk_cache import Arrays, look_up_or_compute
from mnist_app.explore.predictions import Progress, origin_of, turn_of
from mnist_app.reading.recognition import load_recogniser

KIND = "patterns"


def favourites_of(
    model: str, split: str, digits: Digits, progress: Progress = lambda share: None
) -> tuple[Favourites, ...]:
    """What the maps of each of a model's convolutions respond to most, in the network's order. Raises ModelError."""
    network = load_recogniser(model).network
    count = convolutions(network)
    shapes: dict[str, tuple[int | None, ...]] = {f"patches{at}": (None, PATCHES, None, None) for at in range(count)}
    shapes |= {f"strengths{at}": (None, PATCHES) for at in range(count)}

    def compute() -> Arrays:
        with turn_of(digits):
            return arrays_of(favourites(network, digits.images, progress))

    kept = look_up_or_compute(KIND, origin_of(model, split, digits), shapes, compute).arrays
    return tuple(Favourites(kept[f"patches{at}"], kept[f"strengths{at}"]) for at in range(count))


def arrays_of(found: tuple[Favourites, ...]) -> Arrays:
    """Favourites as the arrays to keep."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for at, each in enumerate(found):
        arrays |= {f"patches{at}": each.patches, f"strengths{at}": each.strengths}
    return arrays
