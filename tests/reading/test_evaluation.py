import json
from pathlib import Path

import numpy as np
import pytest

from mnist_app.data.inkfiles import InkFileError
from mnist_app.reading.evaluation import InkEvaluation, StyleScore, evaluate, evaluate_ink
from mnist_app.reading.recognition import Recogniser

from ..conftest import ONE, SEVEN, TWO, ZERO


def test_figures_agree_with_counting_one_by_one() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    read = np.where(rng.random(500) < 0.7, labels, rng.integers(0, 10, 500))
    found, pairs = evaluate(labels, read), list(zip(labels.tolist(), read.tolist(), strict=True))
    assert found.accuracy == pytest.approx(sum(label == answer for label, answer in pairs) / 500)
    for digit, score in enumerate(found.per_digit):
        hits = pairs.count((digit, digit))
        answered, there = sum(answer == digit for _, answer in pairs), sum(label == digit for label, _ in pairs)
        assert score.precision == pytest.approx(hits / answered)
        assert score.recall == pytest.approx(hits / there)
        assert score.f1 == pytest.approx(2 * hits / (answered + there))
        assert score.support == there
        assert found.confusion[digit].tolist() == [pairs.count((digit, other)) for other in range(10)]


def test_a_digit_that_never_occurs_scores_0_without_a_warning() -> None:
    found = evaluate(np.array([1, 1]), np.array([1, 2]))
    assert (found.per_digit[0].precision, found.per_digit[0].recall, found.per_digit[0].support) == (0, 0, 0)
    assert found.confusion.shape == (10, 10) and found.confusion.sum() == 2


def test_confusion_rows_are_labels_and_columns_are_digits_read() -> None:
    assert evaluate(np.array([3]), np.array([8])).confusion[3, 8] == 1


def test_the_macro_mean_weights_all_collections_equally() -> None:
    assert InkEvaluation({"large": 1.0, "small": 0.5, "tiny": 0.0}, (), {}, 0, 0).macro_mean == pytest.approx(0.5)


def collection(path: Path, *drawings: tuple[object, object]) -> None:
    path.write_text("".join(json.dumps({"strokes": strokes, "label": label}) + "\n" for strokes, label in drawings))


def test_accuracy_is_reported_by_collection_without_unlabelled_drawings(
    tmp_path: Path, shipped_model: Recogniser
) -> None:
    collection(tmp_path / "right.jsonl", (SEVEN, 7), (TWO, 2), (ONE, None))  # unlabelled drawings are not counted
    collection(tmp_path / "half.jsonl", (ZERO, 0), (ZERO, 8))
    assert evaluate_ink(shipped_model, tmp_path).collections == {"half": 0.5, "right": 1.0}


def test_accuracy_is_reported_by_digit_and_style(tmp_path: Path, shipped_model: Recogniser) -> None:
    collection(tmp_path / "ink.jsonl", (SEVEN[:1], 7), (SEVEN, 7), (SEVEN, 7), (TWO, 7), (ONE, 1))
    found = evaluate_ink(shipped_model, tmp_path)
    assert (found.per_digit[7].recall, found.per_digit[7].support, found.per_digit[0].support) == (0.75, 4, 0)
    assert found.styles == {
        "1, a plain line": StyleScore(1.0, 1),
        "7 in 1 stroke": StyleScore(0.5, 2),
        "7 in 2 strokes": StyleScore(1.0, 2),
    }


def test_a_folder_without_readable_drawings_still_gets_figures(tmp_path: Path, shipped_model: Recogniser) -> None:
    collection(tmp_path / "ink.jsonl", ([], 7), ("broken", 7))
    found = evaluate_ink(shipped_model, tmp_path)
    assert (found.macro_mean, found.styles, found.per_digit[7].support) == (0, {}, 0)


def test_unreadable_drawings_count_as_wrong(tmp_path: Path, shipped_model: Recogniser) -> None:
    collection(tmp_path / "ink.jsonl", (SEVEN, 7), ([], 7), ("broken", 7), (TWO, 2))
    assert evaluate_ink(shipped_model, tmp_path).collections == {"ink": 0.5}


def test_a_collection_without_labels_is_an_error(tmp_path: Path, shipped_model: Recogniser) -> None:
    collection(tmp_path / "ink.jsonl", (SEVEN, None))
    with pytest.raises(InkFileError, match=r"ink\.jsonl holds no labelled drawings"):
        evaluate_ink(shipped_model, tmp_path)
