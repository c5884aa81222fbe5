from collections.abc import Iterable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mnist_app.data.dataset import Digits
from mnist_app.lab.contender import TrainingData
from mnist_app.lab.contenders.compressed import CALIBRATING, CONTENDERS, WHOLE, pruned
from mnist_app.models.graph import Graph, to_graph
from mnist_app.models.networks import fold_batch_norm
from mnist_app.models.registry import find_model, load_card, load_model


@pytest.fixture(scope="module")
def whole() -> bytes:
    return to_graph(fold_batch_norm(load_model(find_model(WHOLE)).network))


def in_a_row(tensors: Iterable[np.ndarray]) -> np.ndarray:
    """Return the weights of convolutions and linear layers, without biases; no two have the same shape."""
    weights = sorted((tensor for tensor in tensors if tensor.ndim > 1), key=lambda tensor: tensor.shape)
    return np.concatenate([tensor.ravel() for tensor in weights])


def test_the_8_bit_model_is_less_than_half_as_large_and_reads_almost_the_same(
    whole: bytes, validation: Digits, others: Digits
) -> None:
    mixed = validation[np.random.default_rng(1).permutation(len(validation))[:CALIBRATING]]
    rounded = CONTENDERS[0].fit(TrainingData(mixed, others, True, lambda share: None, {WHOLE: whole}))
    assert len(rounded.graph()) < len(whole) / 2
    read, before = (Graph(graph).read(others.images)[0].argmax(axis=1) for graph in (rounded.graph(), whole))
    assert (read == before).mean() > 0.99
    assert rounded.parameters == load_card(find_model(WHOLE)).parameters


@pytest.mark.parametrize("percent", [50, 95])
def test_pruning_removes_the_smallest_weights_and_fine_tuning_keeps_them_at_0(
    percent: int, short_data: TrainingData
) -> None:
    network = load_model(find_model(WHOLE)).network
    sizes = np.abs(in_a_row(weights.detach().numpy() for weights in network.parameters()))
    fitted = pruned(percent).fit(short_data)
    removed = in_a_row(map(numpy_helper.to_array, onnx.load_from_string(fitted.graph()).graph.initializer)) == 0
    assert removed.mean() == pytest.approx(percent / 100, abs=1e-4)
    assert sizes[removed].max() <= sizes[~removed].min()
    assert fitted.parameters == load_card(find_model(WHOLE)).parameters - removed.sum()
    assert len(fitted.curves) == 1
