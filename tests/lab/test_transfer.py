"""Learning from few samples: the samples, the networks, and what they are measured on."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.lab import transfer
from mnist_app.lab.transfer import BEFORE, COUNTS, STEPS, Direction, Point, _config, _few, kinds, run_transfer
from mnist_app.models.networks import build, logits_of
from mnist_app.training.train import fresh_network, train
from mnist_app.training.trainer import accuracy

Stroke = list[list[float]]


def bar(digit: int, shift: float) -> list[Stroke]:
    """Return a stroke whose slant tells its digit and whose bend tells its writer."""
    x, y = 100 * math.cos(math.pi * digit / 10), 100 * math.sin(math.pi * digit / 10)
    return [[[0, 0], [x / 2 + shift, y / 2], [x, y]]]


@pytest.fixture
def ink(tmp_path: Path) -> Path:
    """Ink of four writers, each of whom drew every digit twice."""
    lines = [
        json.dumps({"strokes": bar(digit, 5 * writer), "label": digit, "writer": f"w{writer}"})
        for writer in range(4)
        for digit in [*range(10)] * 2
    ]
    (tmp_path / "bars.jsonl").write_text("\n".join([*lines, json.dumps({"strokes": bar(3, 0)}), "nonsense"]))
    return tmp_path


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch, few: Digits) -> None:
    monkeypatch.setattr(transfer, "load_split", lambda split: few)


def test_no_network_is_measured_on_writers_it_learned_from(ink: Path) -> None:
    _, strokes = kinds(ink, 40)
    for half, writers in ((strokes.learned, (0, 2)), (strokes.measured, (1, 3))):
        drawn = {pixels_of_drawing(Drawing.from_points(bar(d, 5 * w))).tobytes() for w in writers for d in range(10)}
        assert {picture.tobytes() for picture in half.images} == drawn
        assert Counter(half.labels.tolist()) == dict.fromkeys(range(10), 4)


def one_writer(ink: Path) -> None:
    lines = (ink / "bars.jsonl").read_text().splitlines()
    (ink / "bars.jsonl").write_text("\n".join(lines[:20]))


def no_sixes(ink: Path) -> None:
    lines = (ink / "bars.jsonl").read_text().splitlines()
    (ink / "bars.jsonl").write_text("\n".join(line for line in lines if '"label": 6' not in line))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(one_writer, "has drawings by one writer only"), (no_sixes, "has too few labelled drawings")],
)
def test_too_few_writers_or_drawings_are_an_error(ink: Path, damage: Callable[[Path], None], problem: str) -> None:
    damage(ink)
    with pytest.raises(AppError, match=problem):
        kinds(ink, 20)


def test_a_seed_always_chooses_the_same_samples_equally_many_of_each_digit(few: Digits) -> None:
    once, again, other = (_few(few, 30, seed) for seed in (1, 1, 2))
    assert Counter(once.labels.tolist()) == dict.fromkeys(range(10), 3)
    assert np.array_equal(once.images, again.images) and not np.array_equal(once.images, other.images)


@pytest.mark.parametrize("count", COUNTS)
def test_the_number_of_training_steps_hardly_depends_on_the_number_of_samples(count: int) -> None:
    config = _config(count, 0)
    steps = config.epochs * (count // config.batch_size)
    assert 0.8 * STEPS <= steps <= 1.2 * STEPS


def test_accuracy_ignores_the_class_for_not_a_digit(few: Digits) -> None:
    network = build("inknet").eval()
    network.get_parameter("classifier.bias").data[10] = 100  # its eleventh class: not a digit
    read = [int(torch.argmax(row[:10])) for row in logits_of(network, few.images)]
    assert accuracy(network, few) == pytest.approx(sum(map(int.__eq__, read, few.labels.tolist())) / len(few))


def test_both_directions_compare_a_pretrained_with_an_untrained_network(
    ink: Path, few: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "COUNTS", (10, 20))
    monkeypatch.setattr(transfer, "SEEDS", 2)
    monkeypatch.setattr(transfer, "STEPS", 3)
    monkeypatch.setattr(transfer, "BEFORE", replace(BEFORE, epochs=1))
    noted: list[float] = []
    found = run_transfer(ink, False, noted.append)
    assert [(each.before, each.after, each.measured) for each in found] == [
        ("MNIST", "pen strokes", 40),
        ("pen strokes", "MNIST", 300),
    ]
    taught = fresh_network(transfer.BEFORE)
    for _ in train(taught, transfer.BEFORE, few, few[:100]):
        pass
    assert found[0].untaught == accuracy(taught.eval(), kinds(ink, 20)[1].measured)
    for direction in found:
        assert [point.count for point in direction.points] == [10, 20]
        assert all(len(point.knowing) == len(point.scratch) == 2 for point in direction.points)
        assert Direction.from_json(json.loads(json.dumps(asdict(direction)))).points[1].count == 20
    assert noted == pytest.approx([0.25, 0.5, 0.75, 1])
    [quick, _] = run_transfer(ink, True, noted.append)
    assert [len(point.knowing) for point in quick.points] == [1, 1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Point(10, [], [0.5]),
        lambda: Point(10, [0.5], [float("nan")]),
        lambda: Direction("a", "b", 10, 0.5, []),
        lambda: Direction("a", "b", 10, float("nan"), [Point(10, [0.5], [0.5])]),
    ],
)
def test_results_that_cannot_be_plotted_are_rejected(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()
