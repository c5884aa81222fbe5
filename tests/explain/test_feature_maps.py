import numpy as np
import pytest
import torch
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.explain.feature_maps import CONVOLUTIONS, _walk, convolutions, favourites, follow
from mnist_app.models.networks import batch_of, build
from mnist_app.reading.recognition import Recogniser


def test_layers_of_the_default_network_have_the_expected_kinds_and_shapes(
    validation: Digits, shipped_model: Recogniser
) -> None:
    kinds = [(layer.kind, layer.shape) for layer in follow(shipped_model.network, validation.images[0])]
    assert kinds == [
        ("convolution", (16, 28, 28)),
        ("halving", (16, 14, 14)),
        ("convolution", (48, 14, 14)),
        ("convolution", (48, 14, 14)),
        ("halving", (48, 7, 7)),
        ("convolution", (96, 7, 7)),
        ("convolution", (96, 7, 7)),
        ("convolution", (96, 7, 7)),
        ("average", (96,)),
    ]


def test_layers_of_a_quicknet_have_the_expected_kinds_and_shapes(validation: Digits) -> None:
    found = follow(build("quicknet").eval(), validation.images[0])
    assert [(layer.kind, layer.shape) for layer in found] == [
        ("convolution", (16, 14, 14)),
        ("halving", (32, 7, 7)),
        ("halving", (64, 3, 3)),
    ]
    assert all((layer.maps >= 0).all() for layer in found)


@pytest.mark.parametrize("architecture", ["quicknet", "convnet", "unpadded-3", "unpadded-5"])
def test_a_patch_shows_every_pixel_that_its_value_depends_on(architecture: str) -> None:
    """Compares with gradients: which pixels change a value at all, in any of many pictures of noise."""
    torch.manual_seed(0)
    network = build(architecture).eval()
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    for at, found in enumerate(favourites(network, images)):
        pictures = batch_of(torch.from_numpy(images)).requires_grad_()
        maps = [maps for kind, maps, *_ in _walk(network, pictures) if kind in CONVOLUTIONS][at]
        alive = int(found.strengths[:, 0].argmax())  # a map that is never excited has no favourites
        strengths = maps.detach()[:, alive].flatten(1).max(dim=1).values
        which = int(strengths.argmax())
        row, column = np.unravel_index(int(maps[which, alive].argmax()), maps.shape[2:])
        [slope] = torch.autograd.grad(maps[:, :, row, column].sum(), pictures)
        rows, columns = (np.flatnonzero(slope.abs().sum(dim=(0, axis))[0].numpy()) for axis in (3, 2))
        seen = images[which, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        patch, field = found.patches[alive, 0], found.patches.shape[-1]
        top, left = (-len(each) % field if each[0] == 0 else 0 for each in (rows, columns))  # paper beyond the edge
        assert (patch[top : top + len(rows), left : left + len(columns)] == seen).all()


def test_the_last_layers_output_is_what_the_classifier_reads(validation: Digits, shipped_model: Recogniser) -> None:
    network, pixels = shipped_model.network, validation.images[3]
    classifier = dict(network.named_children())["classifier"]
    last = torch.from_numpy(follow(network, pixels)[-1].maps)
    with torch.inference_mode():
        assert torch.allclose(classifier(last.flatten()), network(batch_of(torch.from_numpy(pixels[None])))[0])


def test_the_strongest_maps_are_those_that_vary_most(validation: Digits, shipped_model: Recogniser) -> None:
    layer = follow(shipped_model.network, validation.images[0])[3]
    spreads = layer.maps.std(axis=(1, 2))
    assert spreads[layer.strongest(4)].tolist() == sorted(spreads.tolist(), reverse=True)[:4]


def test_a_network_not_built_in_layers_has_no_layer_outputs(validation: Digits) -> None:
    assert follow(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), validation.images[0]) == ()


def test_favourites_match_a_slow_search_for_the_strongest_values(validation: Digits, shipped_model: Recogniser) -> None:
    """The patches are those that the strongest values see; a slow loop finds the same values."""
    images = validation.images[::100]
    for convolution, found in enumerate(favourites(shipped_model.network, images)):
        maps = [
            [layer for layer in follow(shipped_model.network, pixels) if layer.kind in CONVOLUTIONS][convolution].maps
            for pixels in images
        ]
        strengths = np.stack([each.max(axis=(1, 2)) for each in maps])  # (N, C), by a slow loop
        assert np.allclose(-np.sort(-strengths, axis=0)[:4].T, found.strengths, atol=1e-4)
        if convolution == 2:  # its values see 10 by 10 pixels
            for channel in (0, 11):
                which = int(strengths[:, channel].argmax())
                row, column = np.unravel_index(maps[which][channel].argmax(), (14, 14))
                padded = np.pad(images[which], 10)
                top, left = int(row) * 2 + 1 - 5 + 10, int(column) * 2 + 1 - 5 + 10
                assert (found.patches[channel, 0] == padded[top : top + 10, left : left + 10]).all()


def test_an_ensemble_has_no_layer_outputs_and_no_favourites(validation: Digits) -> None:
    network = build("trio").eval()
    assert (follow(network, validation.images[0]), convolutions(network)) == ((), 0)
    assert favourites(network, validation.images[:2]) == ()
