"""Several networks that answer together: the mean of their probabilities."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from mnist_app.lab.contender import NETWORK, Contender, Expected, Fitted, TrainingData

MEMBERS = ("mnist-cnn", "deep-cnn", "small-resnet")


def mean_of(graphs: Sequence[bytes]) -> bytes:
    """Combine graphs into one, whose logits (N, 10) are the logarithm of the mean of their probabilities."""
    nodes, tensors, probabilities, features = [], [], [], []
    for number, content in enumerate(graphs):
        prefix = f"member{number}_"
        member = compose.add_prefix(onnx.load_from_string(content), prefix)
        nodes.append(helper.make_node("Identity", ["pictures"], [member.graph.input[0].name]))
        nodes += member.graph.node
        nodes.append(helper.make_node("Softmax", [f"{prefix}logits"], [f"{prefix}probabilities"], axis=1))
        tensors += member.graph.initializer
        probabilities.append(f"{prefix}probabilities")
        features.append(f"{prefix}features")
    nodes += [
        helper.make_node("Mean", probabilities, ["mean"]),
        helper.make_node("Max", ["mean", "least"], ["some"]),
        helper.make_node("Log", ["some"], ["logits"]),
        helper.make_node("Concat", features, ["features"], axis=1),
    ]
    whole = helper.make_graph(
        nodes,
        "ensemble",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["count", 1, 28, 28])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["count", 10]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["count", None]),
        ],
        [*tensors, numpy_helper.from_array(np.array(1e-30, np.float32), "least")],
    )
    first = onnx.load_from_string(graphs[0])
    return helper.make_model(whole, opset_imports=first.opset_import, ir_version=first.ir_version).SerializeToString()


def numbers_in(graph: bytes) -> int:
    """How many learned numbers a graph holds, batch norms folded into the convolutions before them."""
    tensors = onnx.load_from_string(graph).graph.initializer
    return sum(int(np.prod(tensor.dims)) for tensor in tensors if tensor.data_type == TensorProto.FLOAT)


def _together(data: TrainingData) -> Fitted:
    graphs = [data.graphs[name] for name in MEMBERS]
    return Fitted(lambda: mean_of(graphs), None, sum(map(numbers_in, graphs)))


CONTENDERS = (
    Contender(
        "three-networks",
        "Ensemble of three networks",
        NETWORK,
        "Three networks answer, and their probabilities are averaged: where one errs, the two others rarely do.",
        f"mean of probabilities of {', '.join(MEMBERS)}",
        _together,
        Expected(0.997, "Deotte: the mean of 15 networks reaches 99.745%, three somewhat less"),
        MEMBERS,
    ),
)
