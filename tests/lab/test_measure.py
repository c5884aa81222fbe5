"""Figures of a toy, compared with those of other implementations."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from torch import nn
from torch.nn import functional

from mnist_app.data.dataset import Digits
from mnist_app.data.inkfiles import InkFileError
from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.lab import measure
from mnist_app.lab.contender import CLASSICAL, Contender, Expected, Fitted, TrainingData
from mnist_app.lab.contenders import own
from mnist_app.lab.figures import FIGURES, PROBLEM, problem_of, read_figures
from mnist_app.lab.measure import learn_and_measure
from mnist_app.models import registry
from mnist_app.models.graph import Graph, to_graph
from mnist_app.models.networks import logits_of
from mnist_app.models.registry import CARD, GRAPH, find_model, load_card, load_graph
from mnist_app.reading.recognition import recognise, recogniser_in
from mnist_app.storage import lab_folder

from ..conftest import ONE, SEVEN, TWO, ZERO
from ..toy_lab import CURVES, figures, mean_digits, put


def fit(data: TrainingData) -> Fitted:
    network = mean_digits(data.digits)
    data.progress(1)
    return Fitted(lambda: to_graph(network), lambda images: logits_of(network, images).numpy(), 7850, curves=CURVES)


TOY = Contender("toy", "A toy", CLASSICAL, "It plays.", "ten averages", fit, Expected(0.8, "a guess"))


@pytest.fixture(autouse=True)
def splits(monkeypatch: pytest.MonkeyPatch, nothing_shipped: Path, validation: Digits) -> Mapping[str, Digits]:
    """The splits for training, validation and test: three hundred digits each."""
    order = np.random.default_rng(0).permutation(len(validation))
    known = {name: validation[order[at * 300 :][:300]] for at, name in enumerate(("train", "validation", "test"))}
    monkeypatch.setattr(measure, "load_split", known.__getitem__)
    return known


@pytest.fixture
def folder() -> Path:
    return lab_folder() / "toy"


def slow_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The calibration error of Guo et al., one picture after another."""
    bins: dict[int, list[float]] = {}
    for shares, label in zip(probabilities, labels, strict=True):
        bins.setdefault(min(14, int(shares.max() * 15)), []).append(float(shares.argmax() == label) - shares.max())
    return sum(abs(sum(gaps)) for gaps in bins.values()) / len(labels)


def test_figures_equal_those_of_other_implementations(folder: Path, splits: Mapping[str, Digits]) -> None:
    found = learn_and_measure(TOY, folder)
    test, logits = splits["test"], logits_of(mean_digits(splits["train"]), splits["test"].images).double()
    read = logits.argmax(dim=1).numpy()
    assert 0.6 < found.accuracy < 1, "otherwise the test would show nothing"
    assert found.accuracy == pytest.approx(accuracy_score(test.labels, read))
    expected = precision_recall_fscore_support(test.labels, read, average="macro")
    assert (found.precision, found.recall, found.f1) == pytest.approx(expected[:3])
    np.testing.assert_array_equal(found.confusion, confusion_matrix(test.labels, read))
    temperature = load_card(folder).temperature
    for divided_by, error in ((1, found.calibration_error), (temperature, found.calibrated_error)):
        shares = (logits / divided_by).softmax(dim=1).numpy()
        assert error == pytest.approx(slow_calibration_error(shares, test.labels), abs=1e-4)
    assert found.calibration_error and found.calibrated_error < found.calibration_error / 2
    known = logits_of(mean_digits(splits["train"]), splits["validation"].images).argmax(dim=1).numpy()
    assert found.validation_accuracy == pytest.approx((known == splits["validation"].labels).mean())


def test_the_temperature_minimises_the_loss_on_validation_digits(folder: Path, splits: Mapping[str, Digits]) -> None:
    learn_and_measure(TOY, folder)
    logits = logits_of(mean_digits(splits["train"]), splits["validation"].images).double()
    labels, best = torch.from_numpy(splits["validation"].labels), load_card(folder).temperature
    losses = [functional.cross_entropy(logits / (best * factor), labels) for factor in (0.9, 1, 1.1)]
    assert min(losses) == losses[1]


def test_size_training_time_memory_and_speed_are_measured(folder: Path) -> None:
    found = learn_and_measure(TOY, folder)
    sizes = 7850, len(load_graph(folder)), (folder / GRAPH).stat().st_size
    assert (found.parameters, found.bytes, found.zipped) == sizes
    for latency in (found.latency, found.own):
        assert latency and 0 < latency.median <= latency.p95 < 1000
    assert found.throughput > 1000 / found.latency.median / 10
    assert found.memory and 50 < found.memory < 20_000
    assert 0 <= found.seconds < 10


def test_figures_and_card_describe_the_contender(folder: Path) -> None:
    found, card = learn_and_measure(TOY, folder), load_card(folder)
    assert (found.name, found.title, found.family, found.idea, found.recipe, found.expected) == (
        *("toy", "A toy", CLASSICAL, "It plays.", "ten averages"),
        Expected(0.8, "a guess"),
    )
    assert (card.name, card.summary, card.command) == ("toy", "It plays.", "python -m mnist_app lab --models toy")
    assert card.data.startswith("MNIST, 300 of the training images (LeCun") and "CC BY-SA 3.0" in card.data
    assert card.config == {"recipe": "ten averages"}
    assert list(found.curves) == list(card.curves) == list(CURVES)


def test_figures_and_model_are_saved_and_the_saved_model_reads_the_same(
    folder: Path, splits: Mapping[str, Digits]
) -> None:
    found, kept = learn_and_measure(TOY, folder), read_figures(folder)
    assert kept and replace(kept, expected=None, curves=()) == replace(found, expected=None, curves=())
    assert {path.name for path in folder.iterdir()} == {FIGURES, CARD, GRAPH}
    read = [each.digit for each in recognise(recogniser_in(folder), splits["test"].images)]
    np.testing.assert_array_equal(confusion_matrix(splits["test"].labels, read), found.confusion)


def test_accuracy_on_real_ink_is_the_mean_over_collections(
    folder: Path, splits: Mapping[str, Digits], tmp_path: Path
) -> None:
    ink = {"a": [(SEVEN, 7), (ONE, 1), (ZERO, 8), (ZERO, 0)], "b": [(TWO, 2), (TWO, 3)]}
    for name, drawings in ink.items():
        lines = (json.dumps({"strokes": strokes, "label": label}) for strokes, label in drawings)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    found, network = learn_and_measure(TOY, folder, tmp_path), mean_digits(splits["train"])
    for name, drawings in ink.items():
        pictures = np.stack([pixels_of_drawing(Drawing.from_points(strokes)) for strokes, _ in drawings])
        read = logits_of(network, pictures).argmax(dim=1).tolist()
        assert found.ink_collections[name] == np.mean([a == b for a, (_, b) in zip(read, drawings, strict=True)])
    assert found.ink == pytest.approx((found.ink_collections["a"] + found.ink_collections["b"]) / 2)


def test_without_ink_there_is_no_accuracy_on_ink(folder: Path) -> None:
    found = learn_and_measure(TOY, folder)
    assert (found.ink, found.ink_collections) == (None, {})


def test_a_rehearsal_uses_a_small_sample_of_each_split(
    folder: Path, splits: Mapping[str, Digits], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "QUICK", 120)
    in_order = {name: digits[np.argsort(digits.labels)] for name, digits in splits.items()}  # sorted, as validation is
    monkeypatch.setattr(measure, "load_split", in_order.__getitem__)
    given: list[TrainingData] = []

    def note(data: TrainingData) -> Fitted:
        given.append(data)
        return fit(data)

    found = learn_and_measure(replace(TOY, fit=note), folder, is_quick=True)
    assert (len(given[0].digits), len(given[0].validation), given[0].is_quick) == (120, 120, True)
    assert set(given[0].validation.labels.tolist()) == set(range(10))
    assert np.sum(found.confusion) == 120


def test_this_apps_models_keep_their_cards_training_time_and_are_not_copied(folder: Path, tmp_path: Path) -> None:
    [contender] = [each for each in own.CONTENDERS if each.name == "ink-cnn"]
    (tmp_path / "ink.jsonl").write_text(json.dumps({"strokes": SEVEN, "label": 3}))
    found, card = learn_and_measure(contender, folder, tmp_path), load_card(find_model("ink-cnn"))
    assert (found.seconds, found.machine, found.memory) == (card.seconds, card.machine, None)
    assert found.ink is None, "an accuracy on ink that it has learned from would flatter it"
    assert {path.name for path in folder.iterdir()} == {FIGURES}


def test_scores_have_a_calibration_error_only_once_calibrated(folder: Path) -> None:
    found = learn_and_measure(replace(TOY, fit=lambda data: replace(fit(data), has_probabilities=False)), folder)
    assert found.calibration_error is None and 0 < found.calibrated_error < 0.2
    assert read_figures(folder)


# What cannot be measured


def refused(contender: Contender, folder: Path) -> str:
    """Return why a contender was refused, and check that its folder holds nothing else."""
    put(folder.parent, figures("toy"), mean_digits_of_noise())  # results of an earlier recipe
    with pytest.raises(AppError) as error:
        learn_and_measure(contender, folder)
    assert problem_of(folder) == str(error.value)
    assert {path.name for path in folder.iterdir()} == {PROBLEM}
    return str(error.value)


def mean_digits_of_noise() -> nn.Module:
    noise = np.random.default_rng(0).integers(0, 256, (50, 28, 28)).astype(np.uint8)
    return mean_digits(Digits(noise, np.arange(50) % 10))


def test_a_graph_that_disagrees_with_its_original_is_refused(folder: Path) -> None:
    def other(data: TrainingData) -> Fitted:
        return replace(fit(data), graph=lambda: to_graph(mean_digits_of_noise()))

    assert refused(replace(TOY, fit=other), folder).startswith("Its ONNX graph agrees with the original on only ")


def test_a_graph_may_disagree_on_one_digit_in_a_thousand_but_not_on_two(splits: Mapping[str, Digits]) -> None:
    network = mean_digits(splits["train"])
    digits = Digits(np.resize(splits["test"].images, (1000, 28, 28)), np.resize(splits["test"].labels, 1000))
    graph, theirs = Graph(to_graph(network)), logits_of(network, digits.images).numpy()
    for wrong, accepts in ((1, True), (2, False)):
        other = theirs.copy()
        other[:wrong] = np.roll(other[:wrong], 1, axis=1)
        try:
            measure._check(Fitted(lambda: b"", lambda images, other=other: other, 0), graph, digits)  # type: ignore[misc]
        except AppError as error:
            assert not accepts and str(error).startswith("Its ONNX graph agrees with the original on only 99.8% of")
        else:
            assert accepts


def test_a_contender_that_fails_leaves_the_reason_in_its_folder(folder: Path) -> None:
    def give_up(data: TrainingData) -> Fitted:
        raise AppError("It rained.")

    assert refused(replace(TOY, fit=give_up), folder) == "It rained."


def test_answers_that_are_not_finite_numbers_are_refused(folder: Path) -> None:
    def astray(data: TrainingData) -> Fitted:
        network = mean_digits(data.digits)
        network[1].bias.data[3] = float("nan")  # type: ignore[index]
        return Fitted(lambda: to_graph(network), None, 0)

    assert refused(replace(TOY, fit=astray), folder) == "Some of its answers are not finite numbers."


def test_a_file_that_is_not_a_graph_is_refused(folder: Path) -> None:
    assert refused(replace(TOY, fit=lambda data: Fitted(lambda: b"x", None, 0)), folder).startswith("It is not a")


def test_a_failed_retry_keeps_earlier_results_of_the_same_recipe(folder: Path) -> None:
    learn_and_measure(TOY, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(AppError, match="It is not a graph"):
        learn_and_measure(replace(TOY, fit=lambda data: Fitted(lambda: b"", None, 0)), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_recorded_problem_disappears_after_a_success(folder: Path) -> None:
    refused(replace(TOY, fit=lambda data: Fitted(lambda: b"", None, 0)), folder)
    learn_and_measure(TOY, folder)
    assert problem_of(folder) is None and read_figures(folder)


def test_a_missing_ink_folder_is_recorded_as_the_problem(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InkFileError, match="is missing"):
        learn_and_measure(TOY, folder, tmp_path / "nowhere")
    assert "is missing" in str(problem_of(folder))


@pytest.mark.parametrize(("number", "reason"), [(28, "No space left on device"), (13, "Permission denied")])
def test_a_disk_that_cannot_be_written_is_an_error_with_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(number, reason)

    monkeypatch.setattr(registry, "write_whole", refuse)
    with pytest.raises(AppError, match=rf"toy could not be written: {reason}\."):
        learn_and_measure(TOY, folder)


def test_a_lab_folder_that_is_a_file_is_an_error_with_the_reason(folder: Path) -> None:
    folder.parent.parent.mkdir(parents=True)
    folder.parent.write_text("a file where the folder should be")
    with pytest.raises(AppError, match="toy could not be written: Not a directory"):
        learn_and_measure(TOY, folder)


# Contenders that are made from others


def graphs_given(folder: Path, *needs: str) -> Mapping[str, bytes]:
    given: dict[str, bytes] = {}

    def note(data: TrainingData) -> Fitted:
        given.update(data.graphs)
        return fit(data)

    learn_and_measure(replace(TOY, fit=note, needs=needs), folder)
    return given


def test_a_contender_made_from_others_gets_their_graphs(
    nothing_shipped: Path, folder: Path, mean_digit: nn.Module, others: Digits
) -> None:
    noise = mean_digits_of_noise()
    for lab, name, network in ((nothing_shipped, "robot", noise), (nothing_shipped, "ball", noise)):
        put(lab, figures(name), network)
    put(lab_folder(), figures("ball"), mean_digit)
    given = graphs_given(folder, "robot", "ball", "mnist-cnn")
    assert given["robot"] == load_graph(nothing_shipped / "robot")
    assert given["ball"] == load_graph(lab_folder() / "ball")
    read = Graph(given["mnist-cnn"]).read(others.images)[0].argmax(axis=1)
    assert (read == others.labels).mean() > 0.98


def test_a_rehearsal_uses_the_labs_graphs_only_if_it_has_none_itself(tmp_path: Path, mean_digit: nn.Module) -> None:
    put(lab_folder(), figures("ball"), mean_digit)
    rehearsal = tmp_path / "rehearsal"
    assert graphs_given(rehearsal / "toy", "ball")["ball"] == load_graph(lab_folder() / "ball")
    put(rehearsal, figures("ball"), mean_digits_of_noise())
    assert graphs_given(rehearsal / "toy", "ball")["ball"] == load_graph(rehearsal / "ball")


def test_training_time_includes_that_of_the_contenders_it_is_made_from(folder: Path, mean_digit: nn.Module) -> None:
    put(lab_folder(), figures("ball", seconds=1000.0), mean_digit)
    found = learn_and_measure(replace(TOY, needs=("ball", "mnist-cnn")), folder)
    before = 1000 + load_card(find_model("mnist-cnn")).seconds
    assert before <= found.seconds < before + 10


def test_a_missing_needed_contender_is_named_with_the_command_that_measures_it(folder: Path) -> None:
    says = refused(replace(TOY, needs=("ball",)), folder)
    assert says == "It needs 'ball', which is missing. Run: python -m mnist_app lab --models ball"
