"""Graphs answer what the networks they were made of answer."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from mnist_app.data.dataset import Digits
from mnist_app.models.graph import CHUNK, Graph, read_features, to_graph
from mnist_app.models.networks import ARCHITECTURES, batch_of, build


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_graph_answers_what_its_network_answers(architecture: str, validation: Digits) -> None:
    network = build(architecture).eval()
    images = validation.images[: CHUNK + 20]
    with torch.inference_mode():
        expected = read_features(network, batch_of(torch.from_numpy(images)))
    for ours, theirs in zip(Graph(to_graph(network)).read(images), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


@pytest.mark.parametrize("was_learning", [True, False])
def test_a_network_is_frozen_as_it_answers_and_answers_so_itself(was_learning: bool, validation: Digits) -> None:
    network = build("convnet").train(was_learning)  # learning, its dropout would answer by chance
    graph = Graph(to_graph(network))
    with torch.inference_mode():
        expected = network(batch_of(torch.from_numpy(validation.images[:5])))
    np.testing.assert_allclose(graph.read(validation.images[:5])[0], expected.numpy(), atol=1e-4)


def test_many_ask_at_once(validation: Digits) -> None:
    graph = Graph(to_graph(build("convnet").eval()))
    pictures = [validation.images[first : first + 1] for first in range(64)]
    alone = [graph.read(picture)[0] for picture in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda picture: graph.read(picture)[0], pictures))
    assert np.array_equal(alone, together)
