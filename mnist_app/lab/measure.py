"""Trains and measures a contender: the same code for all, but each in a process of its own."""

import gzip
import platform
import re
import resource
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from mnist_app.data.dataset import CLASSES, SPLITS, Digits, load_split
from mnist_app.errors import AppError
from mnist_app.ink import preprocessing
from mnist_app.lab.contender import Contender, Fitted, TrainingData
from mnist_app.lab.figures import FIGURES, PROBLEM, Figures, Latency, is_up_to_date, read_figures, write_json
from mnist_app.models.graph import Graph, Opaque, to_graph
from mnist_app.models.networks import fold_batch_norm
from mnist_app.models.registry import (
    CARD,
    GRAPH,
    ONLY_A_GRAPH,
    ModelCard,
    ModelError,
    find_model,
    load_card,
    load_graph,
    load_model,
    save_graph,
)
from mnist_app.reading.calibration import calibration_error, fit_temperature
from mnist_app.reading.evaluation import evaluate, evaluate_ink
from mnist_app.reading.recognition import Recogniser, recognise
from mnist_app.training.trainer import mnist_source

QUICK = 2_000  # digits of each split in a rehearsal
SAMPLES, UNTIMED = 200, 20  # pictures read one by one, after some for warming up
BATCHES, BATCH = 10, 100
AGREEMENT = 0.999  # share of pictures on which the graph must agree with the model it was converted from


def learn_and_measure(
    contender: Contender,
    folder: Path,
    ink: Path | None = None,
    *,
    is_quick: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> Figures:
    """Fill a contender's folder: figures, card and graph, or the reason why there are none.

    If this fails, earlier results of the same recipe stay. ``folder`` lies beside those of the contenders that this one
    needs; ``ink`` holds collections of drawings to measure on. From now on, the whole process reads and learns on one
    thread. Raises AppError.
    """
    torch.set_num_threads(1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with threadpool_limits(1):
            try:
                figures, card, graph = _learned_and_measured(contender, folder.parent, ink, is_quick, progress)
            except AppError as error:
                if not is_up_to_date(read_figures(folder), contender):  # keep earlier results of this recipe
                    for part in (FIGURES, CARD, GRAPH):
                        (folder / part).unlink(missing_ok=True)
                    write_json(folder / PROBLEM, {"problem": str(error)})
                raise
        if card.architecture == ONLY_A_GRAPH:  # this app's own models have a folder already
            save_graph(folder, graph)
            write_json(folder / CARD, asdict(card))
        write_json(folder / FIGURES, asdict(figures))  # last: a folder with figures is complete
        (folder / PROBLEM).unlink(missing_ok=True)
    except OSError as error:
        raise AppError(f"{folder} could not be written: {error.strerror}.") from None
    return figures


def _some(digits: Digits) -> Digits:
    """QUICK of the digits, evenly spread, because the validation split is sorted by digit."""
    return digits[np.linspace(0, len(digits) - 1, min(QUICK, len(digits))).astype(int)]


def _learned_and_measured(
    contender: Contender,
    lab: Path,
    ink: Path | None,
    is_quick: bool,
    progress: Callable[[float], None],
) -> tuple[Figures, ModelCard, bytes]:
    digits, validation, test = (_some(load_split(split)) if is_quick else load_split(split) for split in SPLITS)
    needed = {name: _graph_of(lab, name) for name in contender.needs}
    began = time.process_time()
    fitted = contender.fit(TrainingData(digits, validation, is_quick, progress, needed))
    seconds = time.process_time() - began + sum(_seconds_of(lab, name) for name in contender.needs)
    memory = _peak_memory()
    content = fitted.graph()
    graph = Graph(content)
    _check(fitted, graph, validation)
    seen, known = _logits(graph, test), _logits(graph, validation)
    if not (np.isfinite(seen).all() and np.isfinite(known).all()):
        raise AppError("Some of its answers are not finite numbers.")
    found = evaluate(test.labels, seen.argmax(axis=1))
    card = fitted.card or _card(contender, fitted, len(digits), seconds, fit_temperature(known, validation.labels))
    model = Recogniser(Opaque(graph), card, graph=graph)
    measured = evaluate_ink(model, ink) if ink and not contender.knows_ink else None
    latency, throughput = speed(model, test)
    figures = Figures(
        name=contender.name,
        title=contender.title,
        family=contender.family,
        idea=contender.idea,
        recipe=contender.recipe,
        expected=contender.expected,
        accuracy=found.accuracy,
        precision=float(np.mean([score.precision for score in found.per_digit])),
        recall=float(np.mean([score.recall for score in found.per_digit])),
        f1=float(np.mean([score.f1 for score in found.per_digit])),
        calibration_error=(calibration_error(softmax(seen, axis=1), test.labels) if fitted.has_probabilities else None),
        calibrated_error=calibration_error(softmax(seen / card.temperature, axis=1), test.labels),
        confusion=found.confusion.tolist(),
        validation_accuracy=float((known.argmax(axis=1) == validation.labels).mean()),
        ink=measured.macro_mean if measured else None,
        ink_collections=measured.collections if measured else {},
        parameters=fitted.parameters,
        bytes=len(content),
        zipped=len(gzip.compress(content, 9)),
        seconds=card.seconds,
        memory=None if fitted.card else memory,
        own=_own_latency(fitted, test),
        latency=latency,
        throughput=throughput,
        curves=fitted.curves,
        machine=card.machine,
    )
    return figures, card, content


def _graph_of(lab: Path, name: str) -> bytes:
    """The graph of a contender in this lab, or else of one that was measured or shipped, or of a model of this app.

    Raises AppError.
    """
    try:
        folder = lab / name if (lab / name / GRAPH).exists() else find_model(name)
    except ModelError:
        raise AppError(f"It needs {name!r}, which is missing. Run: python -m mnist_app lab --models {name}") from None
    if (folder / GRAPH).exists():
        return load_graph(folder)
    return to_graph(fold_batch_norm(load_model(folder).network))


def _seconds_of(lab: Path, name: str) -> float:
    """How long a contender took to learn that another one needs."""
    figures = read_figures(lab / name)
    return figures.seconds if figures else load_card(find_model(name)).seconds


def _peak_memory() -> float:
    """Peak memory of this process, MB. From Linux's own count, because that of `resource` includes the parent's."""
    try:
        return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
    except OSError:  # not Linux: `resource` counts in bytes there
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _check(fitted: Fitted, graph: Graph, digits: Digits) -> None:
    """Raises AppError if the graph disagrees with the model that it was converted from."""
    if fitted.read is None:
        return
    ours, theirs = graph.read(digits.images)[0], fitted.read(digits.images)
    same = float((ours[:, :CLASSES].argmax(axis=1) == theirs[:, :CLASSES].argmax(axis=1)).mean())
    if same < AGREEMENT:
        raise AppError(f"Its ONNX graph agrees with the original on only {same:.1%} of the validation digits.")


def _logits(graph: Graph, digits: Digits) -> NDArray[np.float64]:
    return graph.read(digits.images)[0][:, :CLASSES].astype(np.float64)


def _card(contender: Contender, fitted: Fitted, count: int, seconds: float, temperature: float) -> ModelCard:
    return ModelCard(
        name=contender.name,
        summary=contender.idea,
        architecture=ONLY_A_GRAPH,
        parameters=fitted.parameters,
        preprocessing=preprocessing.VERSION,
        data=mnist_source(count),
        command=f"python -m mnist_app lab --models {contender.name}",
        config={"recipe": contender.recipe},
        seconds=round(seconds, 1),
        machine=f"{platform.machine()}, 1 thread, Python {platform.python_version()}",
        temperature=temperature,
        curves=fitted.curves,
    )


def speed(model: Recogniser, digits: Digits) -> tuple[Latency, float]:
    """The latency of one picture, and pictures per second in batches of 100, from pixels to predictions."""
    latency = _latency(lambda image: recognise(model, image), digits)
    times = []
    for batch in range(BATCHES):
        images = digits.images[batch * BATCH : (batch + 1) * BATCH]
        began = time.perf_counter()
        recognise(model, images)
        times.append(time.perf_counter() - began)
    return latency, float(BATCH / np.median(times))


def _own_latency(fitted: Fitted, digits: Digits) -> Latency | None:
    return None if fitted.read is None else _latency(fitted.read, digits)


def _latency(read: Callable[[NDArray[np.uint8]], object], digits: Digits) -> Latency:
    times = []
    for at in range(UNTIMED + SAMPLES):
        image = digits.images[at : at + 1]
        began = time.perf_counter()
        read(image)
        times.append(1000 * (time.perf_counter() - began))
    median, p95 = np.percentile(times[UNTIMED:], (50, 95))
    return Latency(float(median), float(p95))
