"""Scikit-learn's estimators as contenders: on 784 numbers from 0 to 1, and converted to ONNX by skl2onnx."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_app.data.dataset import rows_of
from mnist_app.lab.contender import CLASSICAL, Contender, Expected, Fitted, Lesson

OPSETS = {"": 18, "ai.onnx.ml": 3}
LEAST = 1e-6  # a probability of 0 is taken for this much: there is no logarithm of it

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
    """A contender that is an estimator of scikit-learn's: ``make`` builds it, ``parameters`` counts what it has kept.

    ``convert`` makes ONNX of a fitted one, from rows to labels and probabilities, where skl2onnx needs help.
    """

    def fit(lesson: Lesson) -> Fitted:
        estimator = make().fit(rows_of(lesson.digits.images), lesson.digits.labels)
        return Fitted(
            lambda: _around((convert or converted)(estimator), has_probabilities(estimator)),
            lambda images: _scores(estimator, rows_of(images)),
            parameters(estimator),
            has_probabilities(estimator),
        )

    return Contender(name, title, CLASSICAL, idea, " ".join(repr(make()).split()), fit, expected)


def has_probabilities(estimator: Any) -> bool:
    """Whether it gives probabilities; else it gives scores."""
    return hasattr(estimator, "predict_proba")


def _scores(estimator: Any, rows: Floats) -> Floats:
    """What an estimator says of each digit (N, 10), as logits: log probabilities where it has some, else its scores."""
    if has_probabilities(estimator):
        return np.log(np.maximum(estimator.predict_proba(rows), LEAST)).astype(np.float32)
    return np.asarray(estimator.decision_function(rows), np.float32)


def converted(estimator: Any, **options: Any) -> onnx.ModelProto:
    """What skl2onnx makes of a fitted estimator, with options of its own for this kind of estimator."""
    from skl2onnx import to_onnx
    from sklearn.svm import LinearSVC

    # Otherwise it answers with a dictionary for each picture; LinearSVC has no such option, and no dictionaries.
    plain = {} if isinstance(estimator, LinearSVC) else {"zipmap": False}
    row = np.zeros((1, 784), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # skl2onnx asks an SVC for what scikit-learn 1.11 will not have
        return to_onnx(estimator, row, options={id(estimator): {**plain, **options}}, target_opset=OPSETS)


def _around(model: onnx.ModelProto, has_probabilities: bool) -> bytes:
    """A graph from rows (N, 784) to labels and probabilities or scores, as one from pictures to logits and features.

    There are no last features: the logits stand in for them, as they do in `models.graph.read_features`.
    """
    graph = model.graph
    rows, scores = graph.input[0].name, graph.output[1].name
    tensors = [*graph.initializer, numpy_helper.from_array(np.array([-1, 784], np.int64), "row_shape")]
    last = [helper.make_node("Identity", [scores], ["logits"])]
    if has_probabilities:
        tensors.append(numpy_helper.from_array(np.array(LEAST, np.float32), "least"))
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
