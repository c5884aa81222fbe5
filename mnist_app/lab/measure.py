"""Let a contender learn, and measure it: the same code for all of them, in a process of its own for each."""

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
from mnist_app.lab.contender import Contender, Fitted, Lesson
from mnist_app.lab.figures import FIGURES, PROBLEM, Figures, Latency, read_figures, stands, write_json
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

QUICK = 2_000  # digits of a rehearsal, to learn from and to be measured on
SAMPLES, UNTIMED = 200, 20  # pictures read one by one; the first of them are no measure
BATCHES, BATCH = 10, 100
AGREEMENT = 0.999  # share of pictures in which the graph must read what the library read that it was converted from


def learn_and_measure(
    contender: Contender,
    folder: Path,
    ink: Path | None = None,
    *,
    is_quick: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> Figures:
    """Fill a contender's folder: figures, card and graph, or the reason why there are none.

    Where it fails, what is there of the same recipe stays.

    ``folder`` stands beside those of the contenders that this one needs; ``ink`` holds collections of drawings to
    measure on. Takes over the process, which reads and learns on one thread from now on. Raises AppError.
    """
    torch.set_num_threads(1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with threadpool_limits(1):
            try:
                figures, card, graph = _learned_and_measured(contender, folder.parent, ink, is_quick, progress)
            except AppError as error:
                if not stands(read_figures(folder), contender):  # what the very recipe gave before is not lost by this
                    for part in (FIGURES, CARD, GRAPH):
                        (folder / part).unlink(missing_ok=True)
                    write_json(folder / PROBLEM, {"problem": str(error)})
                raise
        if card.architecture == ONLY_A_GRAPH:  # the others are models of this app, and have a folder already
            save_graph(folder, graph)
            write_json(folder / CARD, asdict(card))
        write_json(folder / FIGURES, asdict(figures))  # last: what has figures is whole
        (folder / PROBLEM).unlink(missing_ok=True)
    except OSError as error:
        raise AppError(f"{folder} could not be written: {error.strerror}.") from None
    return figures


def _some(digits: Digits) -> Digits:
    """QUICK of them, spread out, for those of validation are in order."""
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
    fitted = contender.fit(Lesson(digits, validation, is_quick, progress, needed))
    seconds = time.process_time() - began + sum(_seconds_of(lab, name) for name in contender.needs)
    memory = _peak_memory()
    content = fitted.graph()
    graph = Graph(content)
    _check(fitted, graph, validation)
    seen, known = _logits(graph, test), _logits(graph, validation)
    if not (np.isfinite(seen).all() and np.isfinite(known).all()):
        raise AppError("It answers with what is no number.")
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
    """The graph of a contender in this lab, else of one that was measured or shipped, or of a model of this app.

    Raises AppError.
    """
    try:
        folder = lab / name if (lab / name / GRAPH).exists() else find_model(name)
    except ModelError:
        raise AppError(f"It needs {name!r}, which is not here: python -m mnist_app lab --models {name}") from None
    if (folder / GRAPH).exists():
        return load_graph(folder)
    return to_graph(fold_batch_norm(load_model(folder).network))


def _seconds_of(lab: Path, name: str) -> float:
    """How long a contender has learned that another is made from."""
    figures = read_figures(lab / name)
    return figures.seconds if figures else load_card(find_model(name)).seconds


def _peak_memory() -> float:
    """MB that this process has taken at most. Linux's own count: that of `resource` begins with what a parent took."""
    try:
        return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
    except OSError:  # no Linux: there it counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _check(fitted: Fitted, graph: Graph, digits: Digits) -> None:
    """Raises AppError where the graph reads something else than what it was made from."""
    if fitted.read is None:
        return
    ours, theirs = graph.read(digits.images)[0], fitted.read(digits.images)
    same = float((ours[:, :CLASSES].argmax(axis=1) == theirs[:, :CLASSES].argmax(axis=1)).mean())
    if same < AGREEMENT:
        raise AppError(f"Its ONNX graph reads only {same:.1%} of the validation digits as it did itself.")


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
    """What one picture takes, and pictures a second by the hundred, from pixels to predictions."""
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
