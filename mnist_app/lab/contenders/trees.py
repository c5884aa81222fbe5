"""Decision trees: a single one, a random forest, and gradient boosting."""

from collections import defaultdict
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from mnist_app.lab.classical import OPSETS, classical
from mnist_app.lab.contender import Expected


def _of_tree(tree: Any) -> int:
    """The number of parameters: a threshold in each node, ten shares in each leaf."""
    return int(tree.node_count - tree.n_leaves + 10 * tree.n_leaves)


def _boosted_trees(fitted: HistGradientBoostingClassifier) -> list[Any]:
    """The nodes of each tree, by rounds of ten trees. scikit-learn has no public access to them.

    Each node has feature_idx, num_threshold, left, right, is_leaf and value.
    """
    return [tree.nodes for round_ in fitted._predictors for tree in round_]


def boosting_as_onnx(fitted: HistGradientBoostingClassifier) -> onnx.ModelProto:
    """Boosted trees as ONNX. skl2onnx 1.20 cannot do this: it passes booleans where onnx 1.23 accepts only integers."""
    columns: dict[str, list[Any]] = defaultdict(list)  # a value for each node, or for each leaf
    for number, tree in enumerate(_boosted_trees(fitted)):
        for at, node in enumerate(tree):
            is_leaf = bool(node["is_leaf"])
            columns["nodes_treeids"].append(number)
            columns["nodes_nodeids"].append(at)
            columns["nodes_modes"].append("LEAF" if is_leaf else "BRANCH_LEQ")
            columns["nodes_featureids"].append(0 if is_leaf else int(node["feature_idx"]))
            columns["nodes_values"].append(0.0 if is_leaf else _in_single_precision(float(node["num_threshold"])))
            columns["nodes_truenodeids"].append(0 if is_leaf else int(node["left"]))
            columns["nodes_falsenodeids"].append(0 if is_leaf else int(node["right"]))
            if is_leaf:
                columns["class_treeids"].append(number)
                columns["class_nodeids"].append(at)
                columns["class_ids"].append(number % len(fitted.classes_))
                columns["class_weights"].append(float(node["value"]))
    attributes: dict[str, Any] = {
        "base_values": [float(value) for value in np.ravel(fitted._baseline_prediction)],
        "classlabels_int64s": [int(label) for label in fitted.classes_],
        "post_transform": "SOFTMAX",
        **columns,
    }
    ensemble = helper.make_node(
        "TreeEnsembleClassifier", ["rows"], ["labels", "probabilities"], domain="ai.onnx.ml", **attributes
    )
    graph = helper.make_graph(
        [ensemble],
        "boosting",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 784])],
        [
            helper.make_tensor_value_info("labels", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 10]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*each) for each in OPSETS.items()], ir_version=9)


def _in_single_precision(threshold: float) -> float:
    """The largest float32 up to the threshold: rounded up, it could let through a pixel just above the threshold."""
    nearest = np.float32(threshold)
    return float(nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf)))


CONTENDERS = (
    classical(
        "decision-tree",
        "Decision tree",
        "Asks one pixel after another whether it is dark: readable, and lost as soon as a digit moves.",
        lambda: DecisionTreeClassifier(min_samples_leaf=2, random_state=0),
        lambda fitted: _of_tree(fitted.tree_),
        Expected(
            0.877,
            "the usual result of CART on raw pixels: 87 to 88.5%",
            "it learned from 55,000 of the 60,000 digits.",
        ),
    ),
    classical(
        "random-forest",
        "Random forest of 100 trees",
        "A hundred trees, each grown from other digits and other pixels, that vote.",
        lambda: RandomForestClassifier(n_estimators=100, random_state=0),
        lambda fitted: sum(_of_tree(tree.tree_) for tree in fitted.estimators_),
        Expected(0.97, "the usual result of 100 trees on raw pixels: 96.9 to 97.1%"),
    ),
    classical(
        "gradient-boosting",
        "Gradient boosting",
        "Small trees one after another, each of which mends a little of what those before it got wrong.",
        lambda: HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0),
        lambda fitted: sum(len(nodes) for nodes in _boosted_trees(fitted)),
        Expected(0.978, "the usual result of boosted trees on raw pixels: 97.5 to 98.1%"),
        boosting_as_onnx,
    ),
)
