"""Graphs give the same answers as the networks that they were made from."""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import torch
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.explain.feature_maps import follow
from mnist_app.models.graph import CHUNK, Graph, GraphError, Opaque, read_features, to_graph
from mnist_app.models.networks import ARCHITECTURES, Ensemble, batch_of, build


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_graph_gives_the_logits_and_features_of_its_network(architecture: str, validation: Digits) -> None:
    network = build(architecture).eval()
    images = validation.images[: CHUNK + 20]
    with torch.inference_mode():
        expected = read_features(network, batch_of(torch.from_numpy(images)))
    for ours, theirs in zip(Graph(to_graph(network)).read(images), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


def test_an_ensemble_has_its_own_logits_and_the_features_of_all_its_members(validation: Digits) -> None:
    network, pictures = build("trio").eval(), batch_of(torch.from_numpy(validation.images[:5]))
    assert isinstance(network, Ensemble)
    with torch.inference_mode():
        apart = [read_features(member, pictures)[1] for member in network.members]
        logits, features = read_features(network, pictures)
        assert torch.equal(logits, network(pictures)) and torch.equal(features, torch.hstack(apart))


@pytest.mark.parametrize("was_learning", [True, False])
def test_a_network_is_exported_in_evaluation_mode_and_left_in_it(was_learning: bool, validation: Digits) -> None:
    network = build("convnet").train(was_learning)  # in training mode, dropout would make its answers random
    graph = Graph(to_graph(network))
    with torch.inference_mode():
        expected = network(batch_of(torch.from_numpy(validation.images[:5])))
    np.testing.assert_allclose(graph.read(validation.images[:5])[0], expected.numpy(), atol=1e-4)


def test_a_graph_gives_the_same_answers_on_many_threads_at_once(validation: Digits) -> None:
    graph = Graph(to_graph(build("convnet").eval()))
    pictures = [validation.images[first : first + 1] for first in range(64)]
    alone = [graph.read(picture)[0] for picture in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda picture: graph.read(picture)[0], pictures))
    assert np.array_equal(alone, together)


def with_other_ends() -> bytes:
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(nn.Identity(), (torch.zeros(1),), file, dynamo=False, input_names=["x"], output_names=["y"])  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: b"", "It is not a graph that can be run"),
        (lambda: b"no graph at all", "It is not a graph that can be run"),
        (lambda: to_graph(build("quicknet"))[:-9], "It is not a graph that can be run"),
        (with_other_ends, r"It maps x to y, not pictures to logits and features\."),
    ],
)
def test_a_file_that_is_not_one_of_our_graphs_is_refused(content: Callable[[], bytes], says: str) -> None:
    with pytest.raises(GraphError, match=says):
        Graph(content())


def test_an_opaque_graph_answers_like_its_network_but_has_no_layers_to_show(validation: Digits) -> None:
    network = build("quicknet").eval()
    opaque = Opaque(Graph(to_graph(network)))
    pictures = batch_of(torch.from_numpy(validation.images[:3]))
    with torch.inference_mode():
        torch.testing.assert_close(opaque(pictures), network(pictures), atol=1e-4, rtol=0)
    assert not list(opaque.parameters())
    assert follow(opaque, validation.images[0]) == ()
