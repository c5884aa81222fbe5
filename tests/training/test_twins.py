import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_app.data.dataset import Digits
from mnist_app.data.inkfiles import InkFileError
from mnist_app.errors import AppError
from mnist_app.models.networks import batch_of
from mnist_app.models.registry import Model, find_model, load_model
from mnist_app.reading.calibration import fit_temperature
from mnist_app.training.twins import Answers, Unseen, answers_of, calibrated, unseen_ink

from ..conftest import ONE, SEVEN


@pytest.fixture
def twin() -> Model:
    """The shipped model, as if it had been trained without the collection "held"."""
    model = load_model(find_model("ink-cnn"))
    ink = {**model.card.config["ink"], "without": ["held"]}
    return Model(model.network, replace(model.card, config={**model.card.config, "ink": ink}), model.pen)


@pytest.fixture
def ink_folder(tmp_path: Path) -> Path:
    for name, strokes, label in (("held", SEVEN, 7), ("learned", ONE, 1)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"strokes": strokes, "label": label}))
    return tmp_path


def test_a_twin_reads_only_the_collection_it_never_saw(twin: Model, ink_folder: Path) -> None:
    answers = unseen_ink([twin], ink_folder)
    assert list(answers) == ["held"]
    both = answers["held"].both
    assert both and both.labels.tolist() == answers["held"].pictures.labels.tolist() == [7]
    assert both.accuracy == answers["held"].pictures.accuracy == 1
    assert not np.allclose(both.logits, answers["held"].pictures.logits)


def test_twins_without_a_pen_network_cannot_calibrate_a_model_that_has_one(twin: Model, ink_folder: Path) -> None:
    blind = Model(twin.network, replace(twin.card, pen=None))
    answers = unseen_ink([blind], ink_folder)
    assert answers["held"].both is None
    with pytest.raises(AppError, match="'ink-cnn' has a pen network, but some of its twins have none"):
        calibrated(twin.card, answers["held"].pictures, answers)


def test_a_model_trained_on_every_collection_is_refused_as_a_twin(ink_folder: Path) -> None:
    with pytest.raises(AppError, match="'ink-cnn' is not a twin"):
        unseen_ink([load_model(find_model("ink-cnn"))], ink_folder)


def test_a_twins_missing_collection_is_named_in_the_error(twin: Model, ink_folder: Path) -> None:
    next(ink_folder.glob("held.*")).unlink()
    with pytest.raises(InkFileError, match="There is no collection 'held'"):
        unseen_ink([twin], ink_folder)


def test_a_twins_answers_are_ten_logits_and_the_probability_of_the_eleventh_as_doubt(twin: Model) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    answers = answers_of(twin, Digits(images, np.arange(4)))
    with torch.inference_mode():
        logits = twin.network.eval()(batch_of(torch.from_numpy(images))).double().numpy()
    powers = np.exp(logits)
    np.testing.assert_allclose(answers.logits, logits[:, :10], atol=1e-4)
    np.testing.assert_allclose(answers.doubts, powers[:, 10] / powers.sum(axis=1), atol=1e-5)


def test_a_calibrated_card_says_what_was_fitted_and_measured(twin: Model) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(10, size=4000)
    logits = 20 * np.eye(10)[labels] + random.normal(0, 4, (4000, 10))
    answers = Answers(logits, random.random(4000), labels)
    both = Answers(logits + 10 * np.eye(10)[labels], random.random(4000) / 2, labels)
    card = calibrated(twin.card, answers, {"a": Unseen(answers, both), "b": Unseen(answers, both)})
    assert card.refusal == pytest.approx(0.995, abs=0.003)
    assert card.pen and card.pen.refusal == pytest.approx(0.4975, abs=0.003)
    assert card.pen.temperature == pytest.approx(fit_temperature(both.logits, labels), rel=1e-3)
    assert card.pen.temperature != pytest.approx(card.temperature, rel=0.01)
    assert card.metrics["ink, unseen"]["refused"] == pytest.approx(0.005, abs=0.001)
    assert card.metrics["a, unseen"]["accuracy"] == both.accuracy == card.metrics["ink, unseen"]["accuracy"]
    assert card.metrics["b, unseen"]["by pictures alone"] == answers.accuracy < both.accuracy
    assert card.metrics["ink, unseen"]["by pictures alone"] == answers.accuracy
    assert card.metrics["test"] == twin.card.metrics["test"]
    blind = calibrated(replace(twin.card, pen=None), answers, {"a": Unseen(answers, None)})
    assert blind.metrics["a, unseen"] == {"accuracy": answers.accuracy}
    assert blind.metrics["ink, unseen"]["accuracy"] == answers.accuracy


def test_without_unseen_ink_only_a_temperature_is_fitted_on_validation(twin: Model) -> None:
    random = np.random.default_rng(0)
    logits = np.log(random.dirichlet(np.ones(10), 4000))
    labels = np.array([random.choice(10, p=np.exp(row)) for row in logits])  # with the probabilities of the logits
    card = calibrated(replace(twin.card, refusal=1.0), Answers(3 * logits, np.zeros(4000), labels), {})
    assert card.temperature == pytest.approx(3, rel=0.05)
    assert (card.refusal, card.metrics) == (1.0, twin.card.metrics)
