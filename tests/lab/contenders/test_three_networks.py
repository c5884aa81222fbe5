from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.lab.contender import TrainingData
from mnist_app.lab.contenders.three_networks import CONTENDERS, MEMBERS, numbers_in
from mnist_app.models.graph import Graph, to_graph
from mnist_app.models.networks import batch_of, build, count_parameters, fold_batch_norm
from mnist_app.models.registry import find_model, load_model


@pytest.fixture
def members() -> Mapping[str, nn.Module]:
    torch.manual_seed(0)
    kinds = ("convnet", "quicknet", "convnet")
    return {name: build(kind).eval() for name, kind in zip(MEMBERS, kinds, strict=True)}


def test_an_ensemble_answers_with_the_mean_probabilities_of_its_members(
    members: Mapping[str, nn.Module], others: Digits
) -> None:
    graphs = {name: to_graph(network) for name, network in members.items()}
    fitted = CONTENDERS[0].fit(TrainingData(others, others, True, lambda share: None, graphs))
    logits, features = Graph(fitted.graph()).read(others.images)
    pictures = batch_of(torch.from_numpy(others.images))
    with torch.inference_mode():
        shares = torch.stack([network(pictures).softmax(dim=1) for network in members.values()])
    np.testing.assert_allclose(np.exp(logits), shares.mean(dim=0), atol=1e-5)
    apart = [Graph(graph).read(others.images)[1] for graph in graphs.values()]
    np.testing.assert_allclose(features, np.concatenate(apart, axis=1), atol=1e-5)
    assert fitted.parameters == sum(map(numbers_in, graphs.values()))


def test_a_graph_holds_as_many_numbers_as_its_network_has_parameters() -> None:
    folded = fold_batch_norm(load_model(find_model("mnist-cnn")).network)
    assert numbers_in(to_graph(folded)) == count_parameters(folded)
