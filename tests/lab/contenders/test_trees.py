import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from mnist_app.data.dataset import Digits, rows_of
from mnist_app.lab.classical import classical
from mnist_app.lab.contender import Contender, Expected, TrainingData
from mnist_app.lab.contenders.trees import CONTENDERS, boosting_as_onnx
from mnist_app.models.graph import Graph

from ...linear import softmax


@pytest.fixture
def ten_rounds() -> Contender:
    """Gradient boosting with fewer rounds than the one in the table."""
    return classical(
        "boosting",
        "Boosting",
        "Ten rounds.",
        lambda: HistGradientBoostingClassifier(max_iter=10, early_stopping=False, random_state=0),
        lambda fitted: 0,
        Expected(0.9, "a guess"),
        boosting_as_onnx,
    )


def test_the_graph_of_boosted_trees_answers_as_scikit_learn_does(
    ten_rounds: Contender, few: Digits, others: Digits
) -> None:
    """Train on even grey levels only, so that odd ones lie exactly on the thresholds, halfway between two levels."""
    even, odd = few.images & np.uint8(254), others.images | np.uint8(1)
    fitted = ten_rounds.fit(TrainingData(Digits(even, few.labels), others, True, lambda share: None))
    logits, _ = Graph(fitted.graph()).read(odd)
    known = HistGradientBoostingClassifier(max_iter=10, early_stopping=False, random_state=0)
    expected = known.fit(rows_of(even), few.labels).predict_proba(rows_of(odd))
    np.testing.assert_allclose(softmax(logits.astype(np.float64)), expected, atol=1e-5)


def test_the_boosting_tested_here_is_the_tables_with_fewer_rounds(ten_rounds: Contender) -> None:
    [boosting] = [each for each in CONTENDERS if each.name == "gradient-boosting"]
    assert boosting.recipe == ten_rounds.recipe.replace("max_iter=10, ", "")  # 100, which is scikit-learn's default
