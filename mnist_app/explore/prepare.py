"""Computes what is slow about a model ahead of time: for the next visitor, or to be shipped with the model."""

import zipfile
from pathlib import Path

from mnist_app.data.dataset import find_source, load_split
from mnist_app.errors import AppError
from mnist_app.explore import favourites, neighbours, predictions, projection
from mnist_app.explore.disk_cache import keep
from mnist_app.models.registry import ROBUST_MODEL
from mnist_app.models.shelf import is_shipped
from mnist_app.storage import SHIPPED_WEIGHTS

SHIPPED_SPLITS = ("validation", "test")
KINDS_OF_ROBUST = (favourites.KIND, projection.KIND)


def prepare(model: str, split: str) -> None:
    """Compute what the pages show of a model and a split, and keep it among the user's files. Raises AppError.

    That is the predictions and the map of the split, and the sketch and the favourites of the training pictures.
    """
    digits, learnable = load_split(split), find_source().splits[0]
    found, problem = predictions.predictions_of(model, split, digits)
    _, map_problem = projection.tsne_of(model, split, digits, found)
    learned = load_split(learnable)  # last: the map need not wait for 55,000 pictures
    neighbours.sketch_of(model, learnable, learned)
    favourites.favourites_of(model, learnable, learned)
    if problem or map_problem:  # the files are the only way to the results
        raise AppError(problem or map_problem)


def ship(model: str) -> list[Path]:
    """Compute what the pages show of a shipped model and of its training pictures, and put it into weights/.

    Returns the files; they replace those for older weights of that model. ROBUST_MODEL is there to be attacked, so only
    what is small and slow to compute is shipped for it: the first visitor who needs the rest waits a minute. Raises
    AppError.
    """
    if not is_shipped(model):
        raise AppError(f"{model!r} did not come with the app. weights/ is only for models that did. Leave out --ship.")
    train = load_split("train")
    learned, _ = predictions.predictions_of(model, "train", train)
    origin = predictions.origin_of(model, "train", train)
    arrays = {
        origin.file(neighbours.SKETCH): neighbours.Sketch.of(learned.features).arrays,
        origin.file(favourites.KIND): favourites.arrays_of(favourites.favourites_of(model, "train", train)),
    }
    for split in SHIPPED_SPLITS:
        prepare(model, split)
        digits = load_split(split)
        found, _ = predictions.predictions_of(model, split, digits)
        near = neighbours.nearest(found.features, learned.features)
        places = projection.known_tsne(model, split, digits)
        assert places is not None  # prepare() has kept it
        origin = predictions.origin_of(model, split, digits)
        arrays |= {
            origin.file(predictions.KIND): predictions.arrays_of(found),
            neighbours.origin_of(model, split, digits, train).file(neighbours.KIND): neighbours.arrays_of(near),
            origin.file(projection.KIND): projection.arrays_of(places),
        }
    for old in SHIPPED_WEIGHTS.glob(f"{model}.*.*.npz"):
        old.unlink()
    if model == ROBUST_MODEL:
        arrays = {name: content for name, content in arrays.items() if name.split(".")[2] in KINDS_OF_ROBUST}
    for name, content in arrays.items():
        keep(SHIPPED_WEIGHTS / name, content, zipfile.ZIP_LZMA)
    return [SHIPPED_WEIGHTS / name for name in arrays]
