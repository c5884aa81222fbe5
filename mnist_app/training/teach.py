"""Teach an existing model a few drawings that it misreads, without letting it forget what it knew.

The drawings are changed in many ways and mixed with training digits. The weights then move towards what was learned
only as far as validation allows (Wortsman et al., "Robust fine-tuning of zero-shot models", arXiv:2109.01903). If even
a little of it costs too much, nothing is kept.
The pen network learns the drawings, too, but its weights move at most half of the way: what a lesson costs it shows
only on pen strokes, which are seldom at hand.
The results are listed digit by digit, so that somebody can decide whether to use the copy.
"""

import copy
import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mnist_app.data.dataset import CLASSES, SPLITS, Digits, load_split
from mnist_app.errors import AppError
from mnist_app.explore.predictions import predictions_of
from mnist_app.ink import preprocessing
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.restyling import Restyling
from mnist_app.ink.strokes import Drawing
from mnist_app.models.graph import Graph, to_graph
from mnist_app.models.networks import REFUSING
from mnist_app.models.pennet import PenNet
from mnist_app.models.registry import (
    CURVES,
    ONLY_A_GRAPH,
    Model,
    ModelCard,
    PenCard,
    check_saveable,
    find_model,
    load_model,
    rounded,
    save_model,
)
from mnist_app.reading.number import read_each
from mnist_app.reading.recognition import MAX_FOLLOWED, Recogniser
from mnist_app.training.augmentation import Augmentation
from mnist_app.training.inkset import Ink, InkConfig, load_ink, traced_ink
from mnist_app.training.pen import PenLesson, teach_pen
from mnist_app.training.train import EpochReport, TrainConfig, train
from mnist_app.training.trainer import Watch, machine_with

BEFORE = "before the lesson"  # on a card, the share of a split that the parent reads right
PICTURES, MAX_COPIES = 300, 30  # changed copies in a lesson, and the most of one drawing: ten drawings give 300
PLAIN, MAX_PLAIN = 100, 10  # the same for unchanged copies: exactly what the visitor who corrected them tries again
REPLAYED = 1_200  # digits of the train split, from which most models have learned
SHARES = (1.0, 0.6, 0.3, 0.15)  # of the way to what was learned: the largest that costs at most ALLOWED is taken
PEN_SHARE = 0.5  # of the way that the pen network's weights move at most
ALLOWED = 0.0006  # share of validation digits that a lesson may cost: 3 of 5,000
MEASURED = 1_000  # validation digits read while it learns; before and after, all of them are read


@dataclass(frozen=True)
class Change:
    """How a lesson changed the readings of one split: which digits it mended, and which it broke."""

    split: str
    count: int  # digits in it
    before: int  # read right
    after: int
    mended: tuple[int, ...]  # indices of digits that are read right only now
    broken: tuple[int, ...]  # indices of digits that are misread only now
    broken_as: tuple[int, ...]  # what the broken ones are read as

    @property
    def points(self) -> float:
        """How much more of the split is read right, in percentage points."""
        return 100 * (self.after - self.before) / self.count


@dataclass(frozen=True)
class Taught:
    """The results of a lesson: for the drawings that were taught, and for the digits that the model knew."""

    parent: str
    labels: tuple[int, ...]
    before: tuple[str | None, ...]  # what the parent reads in each drawing; None if it refuses
    after: tuple[str | None, ...]
    changes: tuple[Change, ...]  # validation, then test
    share: float  # of the way to what was learned that the weights moved, one of SHARES

    def right(self, read: Sequence[str | None]) -> int:
        """How many drawings are read right: as the one digit, not as a number."""
        return sum(str(label) == text for label, text in zip(self.labels, read, strict=True))

    @property
    def sentence(self) -> str:
        test = self.changes[-1]
        return (
            f"Of {_counted(len(self.labels))}, it reads {self.right(self.after)} right "
            f"({self.right(self.before)} before); of the test digits, {test.after / test.count:.2%} "
            f"({test.before / test.count:.2%} before). {self.way}"
        ).rstrip()

    @property
    def way(self) -> str:
        """A sentence on why the model learned less than it could have; empty if it did not."""
        if self.share == 1:
            return ""
        return f"It went {self.share:.0%} of the way to what it learned, because more would have cost too much."

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Taught":
        """Parse what to_json() wrote. Raises ValueError, TypeError or KeyError if it is malformed."""
        found: Any = json.loads(text)
        lists = ("mended", "broken", "broken_as")
        changes = tuple(
            Change(**{**change, **{name: tuple(change[name]) for name in lists}}) for change in found["changes"]
        )
        before, after = (
            tuple(None if read is None else str(read) for read in found[name])  # a number in older files
            for name in ("before", "after")
        )
        return cls(str(found["parent"]), tuple(found["labels"]), before, after, changes, float(found["share"]))


def lesson(card: ModelCard, drawings: int, seed: int = 0) -> TrainConfig:
    """The recipe for teaching a model so many drawings. Raises AppError if the model cannot be taught."""
    if card.architecture == ONLY_A_GRAPH:
        raise AppError(f"{card.name!r} is only a graph: it answers, but cannot be taught.")
    ink = InkConfig(
        copies=min(MAX_COPIES, max(1, round(PICTURES / drawings))),
        nondigits=0.1 if card.architecture in REFUSING else 0,
        restyling=Restyling(habits=0),  # the writer's own habits are what is taught
    )
    return TrainConfig(
        card.architecture,
        epochs=1,
        learning_rate=0.001,
        average=0.9,
        augmentation=Augmentation(5, 1, 0.05, 0.08),
        ink=ink,
        digits=REPLAYED,
        checks=2,
        seed=seed,
    )


def teach_model(
    folder: Path, parent: str, ink_folder: Path, config: TrainConfig, watch: Watch, command: str
) -> tuple[ModelCard, Taught]:
    """Teach a copy of a model the drawings in ``ink_folder``, on one thread, and save it with its card in ``folder``.

    Raises AppError.
    """
    check_saveable(folder)
    torch.set_num_threads(1)
    digits, validation, test = (load_split(split) for split in SPLITS)
    teacher, ink = load_model(find_model(parent)), load_ink(ink_folder)
    before = {name: predictions_of(parent, name, split)[0].read for name, split in _known(validation, test).items()}
    pictures = pictures_of(ink.drawings)
    known = digits[np.random.default_rng(config.seed).permutation(len(digits))[: config.digits]]
    times = min(MAX_PLAIN, max(1, PLAIN // len(ink)))
    mixed = Digits(
        np.concatenate([known.images, np.repeat(pictures, times, axis=0)]),
        np.concatenate([known.labels, np.repeat(ink.labels, times)]),
    )
    taught_pen = _taught_pen(teacher, ink, known, config, command)
    network = copy.deepcopy(teacher.network)
    history = []
    step = max(1, len(validation) // MEASURED)
    for report in train(network, replace(config, digits=None), mixed, validation[::step], ink):
        watch(report, network)
        if isinstance(report, EpochReport):
            history.append(report)
    graphs: dict[float, Graph] = {}
    read: dict[float, NDArray[np.int64]] = {}

    def lost_at(share: float) -> int:
        graphs[share] = Graph(to_graph(blend(teacher.network, network, share)))
        read[share] = _read(graphs[share], validation)
        return int((before["validation"] == validation.labels).sum() - (read[share] == validation.labels).sum())

    share = affordable_share(lost_at, len(validation))
    taken = blend(teacher.network, network, share)
    pen, pen_card = teacher.pen, teacher.card.pen
    if pen and taught_pen:
        pen, pen_card = rounded(blend(pen, taught_pen[0], min(share, PEN_SHARE))), taught_pen[1]
    after = {"validation": read[share], "test": _read(graphs[share], test)}
    changes = tuple(
        _change(name, split.labels, before[name], after[name]) for name, split in _known(validation, test).items()
    )
    way = "" if share == 1 else f", {share:.0%} of the way"
    card = ModelCard(
        name=folder.name,
        summary=f"{parent}, taught {_counted(len(ink))} that somebody corrected{way}.",
        architecture=teacher.card.architecture,
        parameters=teacher.card.parameters,
        preprocessing=preprocessing.VERSION,
        data=f"{teacher.card.data}; {_counted(len(ink), 'corrected drawing')}",
        command=command,
        config=asdict(config),
        seconds=round(history[-1].seconds, 1),
        machine=machine_with("cpu"),
        metrics={
            change.split: {"accuracy": change.after / change.count, BEFORE: change.before / change.count}
            for change in changes
        },
        parent=parent,
        temperature=teacher.card.temperature,
        refusal=teacher.card.refusal,
        curves=[{name: getattr(report, name) for name in CURVES} for report in history],
        pen=pen_card,
    )
    taught = Taught(
        parent,
        tuple(ink.labels.tolist()),
        _answers(Recogniser.of(teacher), ink.drawings),
        _answers(Recogniser.of(Model(taken, card, pen)), ink.drawings),
        changes,
        share,
    )
    save_model(folder, taken, card, pen)
    return card, taught


def _taught_pen(
    teacher: Model, ink: Ink, known: Digits, config: TrainConfig, command: str
) -> tuple[PenNet, PenCard] | None:
    """Teach the pen network the drawings that it would be asked to read, and return it with its card.

    It rehearses the ``known`` digits. Returns None if there is no pen network, or no drawing for it.
    """
    written = [at for at, drawing in enumerate(ink.drawings) if len(drawing.strokes) <= MAX_FOLLOWED]
    if not teacher.pen or not teacher.card.pen or not written:
        return None
    assert config.ink
    began = time.monotonic()
    recipe = PenLesson(config.ink, seed=config.seed)
    followed = Ink(tuple(ink.drawings[at] for at in written), ink.labels[written], ink.names)
    pen = teach_pen(recipe, followed, traced_ink(known), teacher.pen)
    seconds = round(time.monotonic() - began, 1)
    machine = machine_with("cpu")
    return pen, replace(teacher.card.pen, command=command, config=asdict(recipe), seconds=seconds, machine=machine)


def affordable_share(lost_at: Callable[[float], int], count: int) -> float:
    """The largest of SHARES that costs no more of ``count`` validation digits than ALLOWED.

    Raises AppError if all of them cost more.
    """
    allowed = round(ALLOWED * count)
    for share in SHARES:
        lost = lost_at(share)
        if lost <= allowed:
            return share
    raise AppError(
        f"Even {SHARES[-1]:.0%} of the way to what was learned costs {lost:,} of {count:,} validation digits, but a "
        f"lesson may cost at most {allowed}. Nothing was kept. Check that every drawing has the right label."
    )


Network = TypeVar("Network", bound=nn.Module)


def blend(old: Network, new: Network, share: float) -> Network:
    """A network whose weights lie a ``share`` of the way from those of ``old`` to those of ``new``."""
    between, ends = copy.deepcopy(old), new.state_dict()
    between.load_state_dict(
        {
            name: torch.lerp(start, ends[name], share) if start.is_floating_point() else ends[name]
            for name, start in old.state_dict().items()
        }
    )
    return between


def pictures_of(drawings: Sequence[Drawing]) -> NDArray[np.uint8]:
    """The pictures (N, 28, 28) in which the image network reads the drawings."""
    return np.stack([pixels_of_drawing(drawing) for drawing in drawings])


def command_of_lesson(parent: str, where: Sequence[str], seed: int) -> str:
    """The command that teaches the same again, with the drawings in INK_FOLDER."""
    words = ["teach", parent, *where, "--ink", "INK_FOLDER", *(["--seed", str(seed)] if seed else [])]
    return shlex.join(["python", "-m", "mnist_app", *words])


def _counted(many: int, what: str = "drawing") -> str:
    return f"1 {what}" if many == 1 else f"{many} {what}s"


def _known(validation: Digits, test: Digits) -> dict[str, Digits]:
    return {"validation": validation, "test": test}


def _read(graph: Graph, digits: Digits) -> NDArray[np.int64]:
    logits, _ = graph.read(digits.images)
    return logits[:, :CLASSES].argmax(axis=1)


def _change(split: str, labels: NDArray[np.int64], before: NDArray[np.int64], after: NDArray[np.int64]) -> Change:
    was, is_now = before == labels, after == labels
    broken = np.flatnonzero(was & ~is_now)
    return Change(
        split,
        len(labels),
        int(was.sum()),
        int(is_now.sum()),
        tuple(np.flatnonzero(~was & is_now).tolist()),
        tuple(broken.tolist()),
        tuple(after[broken].tolist()),
    )


def _answers(model: Recogniser, drawings: Sequence[Drawing]) -> tuple[str | None, ...]:
    """What is read in each drawing, exactly as the page would read it; None if that is refused."""
    readings = read_each(model, drawings)
    return tuple(None if isinstance(reading, AppError) else reading.text for reading in readings)
