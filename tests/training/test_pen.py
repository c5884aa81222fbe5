import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.restyling import Restyling
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.trajectory import trajectory_of
from mnist_app.models.networks import count_parameters
from mnist_app.models.pennet import PenNet
from mnist_app.models.registry import find_model, load_model, save_model
from mnist_app.storage import user_models_folder
from mnist_app.training.inkset import Ink, InkConfig, load_ink, traced_ink
from mnist_app.training.pen import PenConfig, PenLesson, give_pen, teach_pen, train_pen
from mnist_app.training.train import BatchReport

from ..conftest import ONE, SEVEN, TWO, ZERO

DIGITS = {7: SEVEN, 2: TWO, 0: ZERO, 1: ONE}


@pytest.fixture
def ink_folder(tmp_path: Path) -> Path:
    """Two collections of three drawings of each digit."""
    folder = tmp_path / "ink"
    folder.mkdir()
    for name in ("first", "second"):
        lines = [json.dumps({"strokes": strokes, "label": label}) for label, strokes in DIGITS.items()] * 3
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def a_model() -> Path:
    """The folder of a user's model that has learned from ink, without one collection, and has no pen network."""
    shipped = load_model(find_model("ink-cnn"))
    ink = {**shipped.card.config["ink"], "without": ["second"]}
    card = dataclasses.replace(shipped.card, name="mine", pen=None, config={**shipped.card.config, "ink": ink})
    folder = user_models_folder() / "mine"
    save_model(folder, shipped.network, card)
    return folder


def learned(ink: Ink, **changes: Any) -> tuple[PenNet, list[BatchReport]]:
    torch.manual_seed(0)
    pen = PenNet()
    config = PenConfig(InkConfig(copies=4), batch_size=16, **changes)
    return pen, list(train_pen(config, ink, pen))


def test_a_pen_network_learns_the_drawings_it_is_trained_on(ink_folder: Path) -> None:
    ink = load_ink(ink_folder)
    pen, reports = learned(ink, epochs=30, average=0.9)  # a longer average would be mostly the first steps
    first, last = (np.mean([report.loss for report in reports if report.epoch == epoch]) for epoch in (1, 30))
    assert last < first / 2
    ways = torch.from_numpy(np.stack([trajectory_of(Drawing.from_points(strokes)) for strokes in DIGITS.values()]))
    with torch.inference_mode():
        assert pen.eval()(ways).argmax(dim=1).tolist() == list(DIGITS)


def test_every_batch_is_reported(ink_folder: Path) -> None:
    ink = load_ink(ink_folder)
    _, reports = learned(ink, epochs=2)
    batches = len(ink) * 4 * 5 // 4 // 16  # four copies, and a quarter more that are not digits
    assert [(report.epoch, report.batch) for report in reports] == [
        (epoch, batch) for epoch in (1, 2) for batch in range(1, batches + 1)
    ]
    assert {report.batches for report in reports} == {batches}


def test_the_same_seed_gives_the_same_weights(ink_folder: Path) -> None:
    ink = load_ink(ink_folder)
    (one, _), (same, _), (other, _) = (learned(ink, epochs=2, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)


def test_a_lesson_teaches_a_pen_network_without_forgetting(ink_folder: Path) -> None:
    ink = load_ink(ink_folder)
    pen, _ = learned(ink, epochs=30, average=0.9)
    pen.eval()
    before = {name: value.clone() for name, value in pen.state_dict().items()}
    new = Drawing.from_points([[[20 * step, 60 * (step % 2)] for step in range(9)]])  # a zigzag
    lesson = PenLesson(InkConfig(copies=30, restyling=Restyling(habits=0)))
    pictures = np.stack([pixels_of_drawing(drawing) for drawing in ink.drawings] * 4)
    traces = traced_ink(Digits(pictures, np.full(len(pictures), 3)))  # rehearsal uses its own answers, not labels
    taught, again = (teach_pen(lesson, Ink((new,), np.array([8]), ()), traces, pen) for _ in range(2))
    drawings = [new, *(Drawing.from_points(strokes) for strokes in DIGITS.values())]
    ways = torch.from_numpy(np.stack([trajectory_of(drawing) for drawing in drawings]))
    with torch.inference_mode():
        assert pen(ways)[0].argmax() != 8
        assert taught(ways).argmax(dim=1).tolist() == [8, *DIGITS]
    assert all(torch.equal(value, before[name]) for name, value in pen.state_dict().items())
    assert torch.equal(taught.classifier.weight, again.classifier.weight)


def test_a_models_new_pen_network_learns_from_the_same_collections(a_model: Path, ink_folder: Path) -> None:
    before = (a_model / "model.safetensors").read_bytes()
    reports: list[BatchReport] = []
    given = give_pen(a_model, ink_folder, 5, reports.append, "python -m mnist_app pen …")
    assert reports
    assert (a_model / "model.safetensors").read_bytes() == before
    model = load_model(a_model)
    card = model.card
    assert card.pen and model.pen and given.pen
    assert (card.pen.command, card.pen.config["seed"]) == ("python -m mnist_app pen …", 5)
    assert card.pen.config["ink"]["without"] == ["second"]
    assert (card.pen.temperature, card.pen.refusal) == (card.temperature, card.refusal)
    assert set(card.metrics) == {"validation", "test"}  # figures for another pen network, or none, are dropped
    assert given.pen.parameters == card.pen.parameters == count_parameters(model.pen)
    assert (a_model / "pen.safetensors").stat().st_size < 2.1 * card.pen.parameters + 20_000  # 16 bits a weight


def test_a_pen_network_learns_from_all_collections_if_none_was_kept_out(a_model: Path, ink_folder: Path) -> None:
    model = load_model(a_model)
    config = {**model.card.config, "ink": {"copies": 2}}
    save_model(a_model, model.network, dataclasses.replace(model.card, config=config))
    card = give_pen(a_model, ink_folder, 0, lambda _: None, "")
    assert card.pen and card.pen.config["ink"]["without"] == ()


def test_a_model_that_learned_from_no_ink_cannot_have_a_pen_network(ink_folder: Path) -> None:
    with pytest.raises(AppError, match="'mnist-cnn' cannot have a pen network"):
        give_pen(find_model("mnist-cnn"), ink_folder, 0, lambda _: None, "")


def test_a_taught_model_or_an_ensemble_cannot_be_given_a_pen_network(a_model: Path, ink_folder: Path) -> None:
    model = load_model(a_model)
    save_model(a_model, model.network, dataclasses.replace(model.card, parent="ink-cnn"))
    with pytest.raises(AppError, match=r"'mine' was taught in a lesson, .* Teach its parent again"):
        give_pen(a_model, ink_folder, 0, lambda _: None, "")
    with pytest.raises(AppError, match="'ensemble' is an ensemble: give its first model a pen network"):
        give_pen(find_model("ensemble"), ink_folder, 0, lambda _: None, "")


def test_a_foreign_file_in_the_models_folder_is_found_before_training(a_model: Path, ink_folder: Path) -> None:
    (a_model / "notes.txt").write_text("mine")
    with pytest.raises(AppError, match="is not a model"):
        give_pen(a_model, ink_folder, 0, lambda _: pytest.fail("it learned"), "")


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(AppError, match="seed must be between 0 and 4294967295, not -1"):
        PenConfig(InkConfig(), seed=-1)


def test_a_loss_that_is_not_a_finite_number_ends_training(ink_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = torch.tensor(torch.nan, requires_grad=True)
    monkeypatch.setattr("torch.nn.functional.cross_entropy", lambda *_, **__: nothing)
    ink = load_ink(ink_folder)
    with pytest.raises(AppError, match="the loss is not a finite number"):
        learned(ink, epochs=1)
    with pytest.raises(AppError, match="the loss is not a finite number"):
        teach_pen(PenLesson(InkConfig()), ink, ink, PenNet())
