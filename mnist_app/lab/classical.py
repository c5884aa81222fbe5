"""Scikit-learn estimators as contenders: they read 784 numbers from 0 to 1, and skl2onnx converts them to ONNX."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_app.data.dataset import rows_of
from mnist_app.lab.contender import CLASSICAL, Contender, Expected, Fitted, TrainingData

OPSETS = {"": 18, "ai.onnx.ml": 3}
MIN_PROBABILITY = 1e-6  # the smallest probability, because 0 has no logarithm

Floats = NDArray[np.float32]


def classical(
    name: str,
    title: str,
    idea: str,
    make: Callable[[], Any],
    parameters: Callable[[Any], int],
    expected: Expected,
    convert: Callable[[Any], onnx.ModelProto] | None = None,
) -> Contender:
    """A contender that is a scikit-learn estimator: ``make`` builds it, ``parameters`` counts the numbers it has kept.

    ``convert`` converts a fitted one to ONNX, from rows to labels and probabilities, if skl2onnx needs help.
    """

    def fit(data: TrainingData) -> Fitted:
        estimator = make().fit(rows_of(data.digits.images), data.digits.labels)
        return Fitted(
            lambda: _around((convert or converted)(estimator), has_probabilities(estimator)),
            lambda images: _scores(estimator, rows_of(images)),
            parameters(estimator),
            has_probabilities(estimator),
        )

    return Contender(name, title, CLASSICAL, idea, " ".join(repr(make()).split()), fit, expected)


def has_probabilities(estimator: Any) -> bool:
    """Whether an estimator gives probabilities, rather than scores."""
    return hasattr(estimator, "predict_proba")


def _scores(estimator: Any, rows: Floats) -> Floats:
    """An estimator's output (N, 10) as logits: log probabilities if it gives probabilities, else its scores."""
    if has_probabilities(estimator):
        return np.log(np.maximum(estimator.predict_proba(rows), MIN_PROBABILITY)).astype(np.float32)
    return np.asarray(estimator.decision_function(rows), np.float32)


def converted(estimator: Any, **options: Any) -> onnx.ModelProto:
    """A fitted estimator, converted by skl2onnx with the options for this kind of estimator."""
    from skl2onnx import to_onnx
    from sklearn.svm import LinearSVC

    # Without it, the graph returns a dictionary per picture. LinearSVC never does, and does not have this option.
    plain = {} if isinstance(estimator, LinearSVC) else {"zipmap": False}
    row = np.zeros((1, 784), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # skl2onnx reads an SVC attribute that scikit-learn 1.11 removes
        return to_onnx(estimator, row, options={id(estimator): {**plain, **options}}, target_opset=OPSETS)


def _around(model: onnx.ModelProto, has_probabilities: bool) -> bytes:
    """Wrap a graph from rows (N, 784) to labels and probabilities or scores into one from pictures to logits, features.

    There are no last features, so the logits stand in for them, as in `models.graph.read_features`.
    """
    graph = model.graph
    rows, scores = graph.input[0].name, graph.output[1].name
    tensors = [*graph.initializer, numpy_helper.from_array(np.array([-1, 784], np.int64), "row_shape")]
    last = [helper.make_node("Identity", [scores], ["logits"])]
    if has_probabilities:
        tensors.append(numpy_helper.from_array(np.array(MIN_PROBABILITY, np.float32), "least"))
        last = [helper.make_node("Max", [scores, "least"], ["some"]), helper.make_node("Log", ["some"], ["logits"])]
    nodes = [
        helper.make_node("Reshape", ["pictures", "row_shape"], [rows]),
        *graph.node,
        *last,
        helper.make_node("Identity", ["logits"], ["features"]),
    ]
    whole = helper.make_graph(
        nodes,
        "lab",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["count", 1, 28, 28])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["count", 10]) for name in ("logits", "features")],
        tensors,
    )
    return helper.make_model(whole, opset_imports=model.opset_import, ir_version=model.ir_version).SerializeToString()
