"""What ten corrected drawings of an unusual style teach a model, and what it unlearns. A job does it, as on the page.

There are two styles, from INK_COLLECTIONS: ones with a flag, as they were written; and zeros with a slash, which is
added to the zeros because few of these writers draw it. The seed splits the writers in two halves: ten drawings of one
half are taught, as many misread ones as possible; drawings of the other half show what was learned. Seconds are
processor time, including imports and measuring, and wall time, from the request until the page can show the result.
"""

import json
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_app.data.inkfiles import collections, read_records
from mnist_app.ink.restyling import HABITS, unit
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import find_model, load_card
from mnist_app.reading.number import Reading, read_each
from mnist_app.reading.recognition import load_recogniser
from mnist_app.training import jobs
from mnist_app.training.queue import Queue
from mnist_app.training.teach import lesson

from .figures import Figure

SEEDS = range(3)
MODELS = ("mnist-cnn", "ink-cnn")
TAUGHT = 10
Written = tuple[str, Drawing]  # writer and drawing


def measure() -> list[Figure]:
    folder = os.environ.get("INK_COLLECTIONS")
    if not folder or not os.environ.get("MNIST_APP_DATA"):
        print("To measure a lesson, set INK_COLLECTIONS and MNIST_APP_DATA.")
        return []
    every = [
        (record.writer or "", record.label, record.drawing)
        for path in collections(Path(folder)).values()
        for record in read_records(path)
        if isinstance(record.drawing, Drawing) and not record.drawing.is_blank
    ]
    random = np.random.default_rng(0)
    slash = HABITS[0][0][0]
    zeros = [(writer, drawing) for writer, label, drawing in every if label == 0 and len(drawing.strokes) == 1]
    styles = {
        ("slashed zeros", 0): [
            (writer, Drawing(tuple(slash(unit(drawing.strokes), random)))) for writer, drawing in zeros
        ],
        ("flagged ones", 1): [
            (writer, drawing) for writer, label, drawing in every if label == 1 and is_flagged(drawing)
        ],
    }
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNIST_APP_HOME", home)  # the taught models are thrown away
        queue = Queue()
        queue.start()
        try:
            return [
                figure
                for model in MODELS
                for (style, label), written in styles.items()
                for figure in _lessons(model, style, label, written)
            ]
        finally:
            queue.stop()


def is_flagged(drawing: Drawing) -> bool:
    """Whether a one is a single stroke: a tick up to the top, at least a quarter of the height, and a straight stem."""
    if len(drawing.strokes) != 1:
        return False
    stroke = unit(drawing.strokes)[0]
    top = int(stroke[:, 1].argmin())
    if not 0 < top < len(stroke) - 2:
        return False
    stem = stroke[top:]
    way = np.hypot(*np.diff(stem, axis=0).T).sum()
    is_straight = way < 1.25 * np.hypot(*(stem[-1] - stem[0]))
    is_tick = stroke[0, 1] - stroke[top, 1] > 0.25 and stroke[0, 0] < stroke[top, 0] - 0.12
    return bool(is_straight and is_tick and stem[-1, 1] - stem[0, 1] > 0.8)


def _lessons(model: str, style: str, label: int, written: Sequence[Written]) -> list[Figure]:
    drawings = [drawing for _, drawing in written]
    right = _right(model, drawings, label)
    writers = sorted({writer for writer, _ in written})
    samples: dict[str, list[float]] = {}
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        learned_from = set(random.permutation(writers)[: len(writers) // 2].tolist())
        theirs = np.array([writer in learned_from for writer, _ in written])
        chosen = random.permutation(np.flatnonzero(theirs))
        chosen = chosen[np.argsort(right[chosen], kind="stable")][:TAUGHT]  # misread ones first
        seconds, waited, name = _teach(model, [written[at][1] for at in chosen], label, seed)
        now = _right(name, drawings, label)
        rest = theirs.copy()
        rest[chosen] = False
        before, after = load_card(find_model(model)).metrics, load_card(find_model(name)).metrics
        for what, value in {
            "processor time, s": seconds,
            "from request to result, s": waited,
            "the ten, before, %": 100 * right[chosen].mean(),
            "the ten, after, %": 100 * now[chosen].mean(),
            "other drawings by these writers, before, %": 100 * right[rest].mean(),
            "other drawings by these writers, after, %": 100 * now[rest].mean(),
            "drawings by other writers, before, %": 100 * right[~theirs].mean(),
            "drawings by other writers, after, %": 100 * now[~theirs].mean(),
            "validation, gained, pts": 100 * (after["validation"]["accuracy"] - before["validation"]["accuracy"]),
            "test, gained, pts": 100 * (after["test"]["accuracy"] - before["test"]["accuracy"]),
        }.items():
            samples.setdefault(what, []).append(float(value))
        print(
            f"{model}, {style}, seed {seed}: " + ", ".join(f"{k} {v[-1]:.2f}" for k, v in samples.items()), flush=True
        )
    return [
        Figure.of(f"{model}, {style}: {what.rpartition(', ')[0]}", values, what.rpartition(", ")[2])
        for what, values in samples.items()
    ]


def _teach(model: str, drawings: Sequence[Drawing], label: int, seed: int) -> tuple[float, float, str]:
    """Give a lesson; return its processor seconds, its wall seconds, and the name of the new model."""
    lines = "\n".join(json.dumps({"label": label, "strokes": drawing.to_points()}) for drawing in drawings)
    config = lesson(load_card(find_model(model)), len(drawings), seed)
    began, asked = _spent(), time.perf_counter()
    identity = jobs.submit(f"lesson-{model}-{label}-{seed}", config, parent=model, drawings=lines)
    while not (status := next(job.status for job in jobs.list_jobs() if job.id == identity)).is_over:
        time.sleep(0.05)
    waited = time.perf_counter() - asked
    assert status.state == jobs.DONE, status.reason
    return _spent() - began, waited, status.model


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _right(model: str, drawings: Sequence[Drawing], label: int) -> NDArray[np.bool_]:
    """Return which of the drawings the Draw page would read right."""
    return np.array(
        [isinstance(read, Reading) and read.text == str(label) for read in read_each(load_recogniser(model), drawings)]
    )
