"""What is loaded or computed once for all visitors, and the locks around it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from torch import nn

from mnist_app.access import Gate
from mnist_app.data.dataset import Digits, Source, find_source, load_split
from mnist_app.data.fetch import Download
from mnist_app.explain.attacks import Attack, accuracy_under
from mnist_app.explain.doctor import Norms
from mnist_app.explain.feature_maps import Favourites
from mnist_app.explore.explorer import Readings
from mnist_app.explore.favourites import favourites_of
from mnist_app.explore.neighbours import Neighbours, Sketch, known_neighbours, sketch_of
from mnist_app.explore.predictions import predict, predictions_of
from mnist_app.explore.projection import Layout, Places, known_tsne, pca
from mnist_app.models.registry import CARD, PEN, ModelError, answering_file, find_model
from mnist_app.models.shelf import restorable
from mnist_app.reading.evaluation import Evaluation, evaluate
from mnist_app.reading.recognition import Glyph, Prediction, Recogniser, load_recogniser, read_with, recognise_glyphs
from mnist_app.training.jobs import Job, JobError, snapshot_network
from mnist_app.training.queue import Queue
from mnist_app.work import Progress, Work

MAX_MODELS = 48  # in memory at once: 6 MB each, 16 MB for an ensemble, more for a few of the lab's
MAX_MOMENTS = 100  # networks from moments of trainings in memory, half a MB each
MAX_READ = 2_000  # cached readings: a class with a drawing each, times twelve moments, and some to spare
MAX_EXPLORED = 8  # pairs of model and split in memory, up to 75 MB each
MAX_ATTACKS = 500  # accuracies under attack in memory
ATTACKED = 1_000  # digits on which the accuracy under an attack is measured
LONGEST_WAIT = 0.5  # seconds that a page waits for its turn

Stamp = tuple[tuple[int, int], ...]  # by file: when it was written, in nanoseconds, and its size

_loading: dict[tuple[str, Stamp], Lock] = {}  # by model and stamp: the first to ask loads it for all
_beginning = Lock()  # two visitors may start the same map or download at once
_attacking = Lock()  # attacks are measured one at a time, however many a class asks for
_turns = Lock()


def path_of(name: str) -> str:
    """The URL path of ``name``, which is relative to the app's root."""
    base = st.get_option("server.baseUrlPath").strip("/")
    return f"/{base}/{name}" if base else f"/{name}"


# Models


def stamp_of(model: str) -> Stamp:
    """Changes whenever a model's weights, pen network or card, and so its answers, do. Raises ModelError."""
    folder = find_model(model)
    path = answering_file(folder)
    try:
        found = [path.stat()]
        for path in (folder / PEN, folder / CARD):
            found += [path.stat()] if path.exists() else []
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    return tuple((each.st_mtime_ns, each.st_size) for each in found)


@lru_cache(maxsize=MAX_MODELS)  # called several times in every run; costs a tenth of st.cache_resource
def _model(name: str, stamp: Stamp) -> Recogniser:
    return load_recogniser(name)


def model(name: str) -> Recogniser:
    """A model by its name, loaded once for all sessions and again when its weights change. Raises ModelError."""
    key = name, stamp_of(name)
    with _loading.setdefault(key, Lock()):  # a whole class may ask for a new default at once
        return _model(*key)


@lru_cache(maxsize=MAX_READ)  # each run of the Lab page asks two dozen models
def _read_by(name: str, stamp: Stamp, pixels: bytes, trajectory: bytes) -> Prediction:
    way = np.frombuffer(trajectory, np.float32).reshape(-1, 3) if trajectory else None
    return recognise_glyphs(model(name), [Glyph(np.frombuffer(pixels, np.uint8).reshape(28, 28), way)])[0]


def read_by(name: str, drawn: Glyph) -> Prediction:
    """What a model reads in a drawing, taken as one digit. Raises ModelError."""
    way = b"" if drawn.trajectory is None else drawn.trajectory.tobytes()
    return _read_by(name, stamp_of(name), drawn.pixels.tobytes(), way)


# Digits


@st.cache_resource(show_spinner=False)
def split(name: str, source: Source) -> Digits:
    """One split, loaded once for all sessions. ``source`` is only part of the cache key."""
    return load_split(name)


@st.cache_resource(show_spinner=False)
def norms() -> Norms:
    """What real digits are like, by the 5,000 of the validation split, which need no download."""
    return Norms.of(split("validation", find_source()))


@st.cache_resource(show_spinner=False)
def downloads() -> list[Download]:
    """The download that is running or ended last, if any; shared by all visitors."""
    return []


def download() -> None:
    """Start fetching MNIST unless that is running already: two visitors may press at once."""
    with _beginning:
        if not (downloads() and downloads()[-1].is_running):
            downloads()[:] = [Download()]


# The class


@st.cache_resource(show_spinner=False)
def gate() -> Gate:
    """Checks the teacher's password; one gate for all visitors."""
    return Gate()


@contextmanager
def turn() -> Iterator[None]:
    """Runs the Draw pages of a class one after the other, so that a live answer waits for one script, not for thirty.

    A page that has waited LONGEST_WAIT runs beside the others.
    """
    is_ours = _turns.acquire(timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        if is_ours:
            _turns.release()


# Training


@st.cache_resource(show_spinner=False)
def queue() -> Queue:
    """The queue of trainings; one for all visitors."""
    return Queue()


def reserved_names() -> set[str]:
    """Names that a new model may not take, besides existing ones: those of deleted models and of jobs."""
    return {*restorable(), *(job.name for job in queue().jobs())}


@lru_cache(maxsize=MAX_MOMENTS)
def _moment(identity: str, architecture: str, passes: float) -> nn.Module:
    return snapshot_network(identity, architecture, passes)


@lru_cache(maxsize=MAX_READ)  # everybody who watches a training asks for a dozen every second
def _reading(identity: str, architecture: str, passes: float, pixels: bytes) -> Prediction:
    picture = np.frombuffer(bytearray(pixels), np.uint8).reshape(28, 28)
    return read_with(_moment(identity, architecture, passes), picture)


def read_at(job: Job, passes: float, pixels: NDArray[np.uint8]) -> Prediction:
    """What a network read in a picture (28, 28) at a moment of its training that was saved. Raises JobError."""
    if job.request is None:
        raise JobError("It is no longer known which network this training was for.")
    return _reading(job.id, job.request.config.architecture, passes, pixels.tobytes())


# Exploring


def _unless_failed(cached: Any, *key: object) -> Any:
    """Get work from a cache. Failed work is returned once and dropped, so that the next caller starts it again."""
    work = cached(*key)
    if work.problem:
        cached.clear(*key)
    return work


@dataclass(frozen=True, eq=False)
class Explored:
    """A model's readings of a split, and why they could not be saved for next time, if so."""

    readings: Readings
    evaluation: Evaluation
    problem: str | None


@st.cache_resource(show_spinner=False, max_entries=MAX_EXPLORED)
def _exploring(model: str, stamp: Stamp, name: str, source: Source) -> Work[Explored]:
    def explore(progress: Progress) -> Explored:
        digits = split(name, source)
        predictions, problem = predictions_of(model, name, digits, progress)
        readings = Readings(name, digits, predictions)
        _ = readings.thickness, readings.slant, readings.averages, readings.losses  # compute now, not during a press
        return Explored(readings, evaluate(digits.labels, predictions.read), problem)

    return Work(explore)


def exploring(model: str, name: str) -> Work[Explored]:
    """The computation of a model's readings of a split, running or done, once for all visitors. Raises ModelError."""
    return cast(Work[Explored], _unless_failed(_exploring, model, stamp_of(model), name, find_source()))


@st.cache_resource(show_spinner=False, max_entries=MAX_MODELS)
def _favourites(model: str, stamp: Stamp, source: Source) -> Work[tuple[Favourites, ...]]:
    name = source.splits[0]  # the train split, or the sample

    def compute(progress: Progress) -> tuple[Favourites, ...]:
        return favourites_of(model, name, split(name, source), progress)

    return Work(compute)


def maps_favourites(model: str) -> Work[tuple[Favourites, ...]]:
    """The pictures that each feature map of a model responds to most, once for all visitors. Raises ModelError."""
    return cast(Work[tuple[Favourites, ...]], _unless_failed(_favourites, model, stamp_of(model), find_source()))


@st.cache_resource(show_spinner=False, max_entries=MAX_ATTACKS)
def _under_attack(model_name: str, stamp: Stamp, source: Source, attack: Attack) -> Work[float]:
    digits = split(source.splits[-1], source)
    some = digits[slice(0, len(digits), len(digits) // ATTACKED)]  # evenly spread: the sample is sorted by digit

    def measure(progress: Progress) -> float:
        with _attacking:
            return accuracy_under(attack, model(model_name), some, progress)

    return Work(measure)


def under_attack(model: str, attack: Attack) -> Work[float]:
    """The measurement of a model's accuracy on ATTACKED digits under attack, running or done, once for all visitors.

    Raises ModelError.
    """
    return cast(Work[float], _unless_failed(_under_attack, model, stamp_of(model), find_source(), attack))


# Maps


@st.cache_resource(show_spinner=False, max_entries=MAX_EXPLORED)
def _pca(model: str, stamp: Stamp, name: str, source: Source, _readings: Readings) -> Places:
    return pca(_readings.predictions.features)[0]


@st.cache_resource(show_spinner=False, max_entries=MAX_EXPLORED)
def _known_tsne(model: str, stamp: Stamp, name: str, source: Source) -> Places | None:
    return known_tsne(model, name, split(name, source))


@st.cache_resource(show_spinner=False)
def layouts() -> dict[tuple[str, str], Layout]:
    """The t-SNE maps that are running or done, by model and split; shared by all visitors."""
    return {}


def places(model: str, readings: Readings, method: str) -> Places | None:
    """Where the pictures lie on a map; None if that has not been computed."""
    key = model, stamp_of(model), readings.split, find_source()
    if method == "pca":
        return _pca(*key, readings)
    found = _known_tsne(*key)
    if found is None:
        _known_tsne.clear(*key)  # it may have been computed by the next call
    return found


def lay_out(model: str, name: str) -> None:
    """Start computing a t-SNE map unless one is running: only one at a time, as a class draws on the same machine."""
    with _beginning:
        if running_layout() is None:
            layouts()[model, name] = Layout(model, name)


def running_layout() -> tuple[str, str] | None:
    """The model and the split whose map is being computed, if any."""
    return next((key for key, layout in layouts().items() if layout.is_running), None)


# Nearest neighbours


@st.cache_resource(show_spinner=False, max_entries=MAX_MODELS)
def _sketch(model: str, stamp: Stamp, source: Source) -> Work[Sketch]:
    name = source.splits[0]  # the train split, or the sample

    def compute(progress: Progress) -> Sketch:
        return sketch_of(model, name, split(name, source), progress)

    return Work(compute)


def sketch(model: str) -> Work[Sketch]:
    """A sketch of the training pictures as a model sees them, computed once for all visitors. Raises ModelError."""
    return cast(Work[Sketch], _unless_failed(_sketch, model, stamp_of(model), find_source()))


@st.cache_resource(show_spinner=False, max_entries=MAX_EXPLORED)
def _known_neighbours(model: str, stamp: Stamp, name: str, source: Source) -> Neighbours | None:
    return known_neighbours(model, name, split(name, source), split("train", source))


def shipped_neighbours(model: str, name: str) -> Neighbours | None:
    """The nearest training pictures of every picture of a split, if they ship with the app."""
    return _known_neighbours(model, stamp_of(model), name, find_source())


def features_of(name: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The last features (1, F) of a picture (28, 28)."""
    return predict(model(name).graph, pixels[None]).features


def nearest_of(name: str, found: Sketch, query: NDArray[np.float32], own: int | None = None) -> Neighbours:
    """The pictures of a model's sketch nearest to ``query``, the last features (1, F) of a picture."""
    source, graph = find_source(), model(name).graph
    images = split(source.splits[0], source).images
    return found.nearest(query, lambda rows: predict(graph, images[rows]).features, own)
