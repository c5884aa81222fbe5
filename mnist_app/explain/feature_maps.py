"""How a picture is transformed on its way through a network: the feature maps of each layer, and their shapes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_app.models.networks import batch_of

CHUNK = 250  # pictures at once: their maps in the first layer take 20 MB
PATCHES = 4  # picture parts that show what a map responds to
CONVOLUTIONS = ("convolution", "halving")  # kinds of layers with learned patterns


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """One layer's output for one picture."""

    kind: str  # "convolution", "halving" (a convolution and a pooling in one), "pooling" or "average"
    maps: NDArray[np.float32]  # (C, H, W), 0 or more; (C, 1, 1) if the places are averaged

    @property
    def shape(self) -> tuple[int, ...]:
        return self.maps.shape if self.maps.shape[1:] != (1, 1) else self.maps.shape[:1]

    def strongest(self, count: int) -> NDArray[np.intp]:
        """The maps in which the picture shows most: those that vary most from place to place, strongest first."""
        return np.argsort(-self.maps.std(axis=(1, 2)), kind="stable")[:count]


@dataclass(frozen=True, eq=False)
class Favourites:
    """For each map of one convolution, the parts of pictures that excite it most."""

    patches: NDArray[np.uint8]  # (C, PATCHES, field, field), 0 = paper, 255 = ink, strongest first
    strengths: NDArray[np.float32]  # (C, PATCHES)


@torch.inference_mode()
def follow(network: nn.Module, pixels: NDArray[np.uint8]) -> tuple[LayerOutput, ...]:
    """Follow a picture (28, 28) through a network, layer by layer; empty if it is not built in layers."""
    picture = batch_of(torch.from_numpy(pixels[None].copy()))
    return tuple(LayerOutput(kind, maps[0].numpy().copy()) for kind, maps, *_ in _walk(network, picture))


def convolutions(network: nn.Module) -> int:
    """How many convolutions a picture is followed through."""
    return sum(isinstance(layer, nn.Conv2d) for layer in _layers(network))


@torch.inference_mode()
def favourites(
    network: nn.Module, images: NDArray[np.uint8], progress: Callable[[float], None] = lambda share: None
) -> tuple[Favourites, ...]:
    """What the maps of each convolution respond to most among pictures (N, 28, 28), one convolution after another.

    ``progress`` is called with the share done.
    """
    best: dict[int, tuple[Tensor, Tensor]] = {}  # by convolution: strengths (C, PATCHES), flat places in all pictures
    shapes: dict[int, tuple[int, int, int, int]] = {}  # by convolution: side of its maps, field, step, start
    for first in range(0, len(images), CHUNK):
        pictures = batch_of(torch.from_numpy(images[first : first + CHUNK].copy()))
        learned = (found for found in _walk(network, pictures) if found[0] in CONVOLUTIONS)
        for at, (_, maps, field, step, start) in enumerate(learned):
            side = maps.shape[-1]
            strengths, places = maps.flatten(2).max(dim=2)  # (B, C): one place per picture, or all would be neighbours
            places = places + (first + torch.arange(len(maps)))[:, None] * side**2
            if at in best:
                strengths, places = torch.cat([best[at][0].T, strengths]), torch.cat([best[at][1].T, places])
            top = strengths.T.topk(min(PATCHES, len(strengths)))
            best[at], shapes[at] = (top.values, places.T.gather(1, top.indices)), (side, field, step, start)
        progress(min(first + CHUNK, len(images)) / len(images))
    return tuple(
        Favourites(_patches(images, best[at][1].numpy(), *shapes[at]), best[at][0].numpy()) for at in sorted(best)
    )


def _walk(network: nn.Module, pictures: Tensor) -> Iterator[tuple[str, Tensor, int, int, int]]:
    """Each layer's kind, output (B, C, H, W), field, step and start.

    The field is the side of the square of pixels that one value sees, the step is how many pixels two neighbouring
    values are apart, and the start is the first pixel that the first value sees, negative beyond the edge. A
    convolution ends with its ReLU; if a pooling comes before that, it is a "halving". The layers are called by hand,
    because hooks would also be called for other visitors.
    """
    at, field, step, start, kind = pictures, 1, 1, 0, ""
    for layer in _layers(network):
        at = layer(at)
        if isinstance(layer, nn.Conv2d):
            assert not isinstance(layer.padding, str)
            start -= layer.padding[0] * step
            field, step, kind = field + (layer.kernel_size[0] - 1) * step, step * layer.stride[0], "convolution"
        elif isinstance(layer, nn.MaxPool2d):
            field, step = field + step, step * 2
            if kind:
                kind = "halving"
            else:
                yield "pooling", at, field, step, start
        elif isinstance(layer, nn.ReLU):
            yield kind, at, field, step, start
            kind = ""
        elif isinstance(layer, nn.AdaptiveAvgPool2d):
            yield "average", at, pictures.shape[-1], pictures.shape[-1], 0


def _layers(network: nn.Module) -> list[nn.Module]:
    """The layers that compute a network's features, in order; empty if it is not built in layers."""
    features = dict(network.named_children()).get("features")
    if not isinstance(features, nn.Sequential):
        return []
    return [part for part in features.modules() if not isinstance(part, nn.Sequential)]


def _patches(
    images: NDArray[np.uint8], places: NDArray[np.int64], side: int, field: int, step: int, start: int
) -> NDArray[np.uint8]:
    """The part of its picture that each place (C, PATCHES) of a map sees, with paper beyond the edge."""
    which, place = np.divmod(places, side**2)
    row, column = np.divmod(place, side)
    padded = np.pad(images[which.ravel()], ((0, 0), (field, field), (field, field)))
    patches = []
    for picture, y, x in zip(padded, row.ravel(), column.ravel(), strict=True):
        top, left = (at * step + start + field for at in (y, x))
        patches.append(picture[top : top + field, left : left + field])
    return np.stack(patches).reshape(*places.shape, field, field)
