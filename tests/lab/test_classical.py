"""ONNX graphs of scikit-learn's estimators give the same answers as the estimators."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mnist_app.data.dataset import Digits, rows_of
from mnist_app.lab.classical import MIN_PROBABILITY
from mnist_app.lab.contender import Contender, TrainingData
from mnist_app.lab.contenders import linear, naive_bayes, nearest_neighbours, rbf_svm, trees
from mnist_app.models.graph import Graph

from ..linear import softmax

ESTIMATORS = (
    *(GaussianNB, RidgeClassifier, LogisticRegression, LinearSVC, DecisionTreeClassifier, RandomForestClassifier),
    *(KNeighborsClassifier, SVC),
)
MODULES = (naive_bayes, linear, trees, nearest_neighbours, rbf_svm)
# Gradient boosting has a hand-made graph, and tests of its own.
CONTENDERS = {each.name: each for module in MODULES for each in module.CONTENDERS if each.name != "gradient-boosting"}


@pytest.mark.parametrize("contender", CONTENDERS.values(), ids=CONTENDERS)
def test_a_graph_answers_as_scikit_learn_does(contender: Contender, short_data: TrainingData, others: Digits) -> None:
    fitted = contender.fit(short_data)
    logits, features = Graph(fitted.graph()).read(others.images)
    rows = others.images.reshape(-1, 784) / 255
    estimator = eval(contender.recipe, {each.__name__: each for each in ESTIMATORS})  # a recipe is complete
    estimator.fit(short_data.digits.images.reshape(-1, 784) / np.float32(255), short_data.digits.labels)
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(softmax(logits.astype(np.float64)), estimator.predict_proba(rows), atol=1e-4)
    else:
        np.testing.assert_allclose(logits, estimator.decision_function(rows), atol=1e-4)
    assert fitted.read
    np.testing.assert_allclose(fitted.read(others.images), logits, atol=1e-3)
    np.testing.assert_array_equal(features, logits)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("naive-bayes", 2 * 7840 + 10),  # mean and variance of each pixel and digit, a prior of each digit
        ("linear-regression", 7850),
        ("logistic-regression", 7850),
        ("linear-svm", 7850),
        ("nearest-neighbours", 300 * 784),
    ],
)
def test_the_parameters_counted_are_the_numbers_learned(name: str, count: int, short_data: TrainingData) -> None:
    assert CONTENDERS[name].fit(short_data).parameters == count


def test_a_tree_has_one_parameter_per_inner_node_and_ten_per_leaf(short_data: TrainingData) -> None:
    rows, labels = rows_of(short_data.digits.images), short_data.digits.labels
    tree = DecisionTreeClassifier(min_samples_leaf=2, random_state=0).fit(rows, labels)
    leaves = len(set(tree.apply(rows)))
    assert CONTENDERS["decision-tree"].fit(short_data).parameters == (leaves - 1) + 10 * leaves


def test_zero_probabilities_are_raised_to_a_minimum_before_the_logarithm(
    short_data: TrainingData, others: Digits
) -> None:
    """Most digits do not occur among five neighbours, so their probability is zero."""
    logits, _ = Graph(CONTENDERS["nearest-neighbours"].fit(short_data).graph()).read(others.images)
    assert logits.min() == pytest.approx(np.log(MIN_PROBABILITY)) and logits.max() == 0


def test_a_picture_becomes_one_row_of_784_values_line_by_line() -> None:
    picture = np.zeros((1, 28, 28), np.uint8)
    picture[0, 2, 3] = 51
    row = rows_of(picture)
    assert row.shape == (1, 784)
    assert np.flatnonzero(row).tolist() == [2 * 28 + 3] and row.max() == pytest.approx(0.2)
