"""Transfer from photographs: MobileNetV3's layers with ImageNet's weights, and one new layer on top."""

import importlib
import sys
from contextlib import redirect_stdout, suppress
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from mnist_app.data.fetch import PATIENCE, giving_up_after
from mnist_app.data.torchvision_cpu import make_torchvision_importable
from mnist_app.errors import AppError
from mnist_app.lab.contender import NETWORK, Contender, Expected, Fitted, TrainingData
from mnist_app.models.graph import to_graph
from mnist_app.models.networks import batch_of, count_parameters, logits_of
from mnist_app.storage import data_folder

URL = "https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth"  # 10 MB, ends with the start of its SHA-256
SIDE = 84  # pixels a digit is enlarged to; repeated halving would leave nothing of 28
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue
CHUNK = 100  # pictures at once


class Backbone(nn.Module):
    """Prepares pictures (B, 1, 28, 28) like ImageNet's, and gives the frozen layers' features (B, 576)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        large = functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False)
        return self.layers((large - self.mean) / self.deviation).flatten(1)


class Transferred(nn.Module):
    """A backbone, and the layer that reads digits from its features."""

    def __init__(self, features: Backbone, classifier: nn.Linear) -> None:
        super().__init__()
        self.features, self.classifier = features, classifier

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


def load_backbone(url: str = URL, patience: float = PATIENCE) -> Backbone:
    """MobileNetV3's layers with ImageNet's weights, downloaded once. Raises AppError if that fails."""
    make_torchvision_importable()
    network = importlib.import_module("torchvision.models").mobilenet_v3_small()
    try:
        with giving_up_after(patience), redirect_stdout(sys.stderr):  # torch prints that it downloads
            weights = torch.hub.load_state_dict_from_url(
                url, str(data_folder()), progress=False, check_hash=True, weights_only=True
            )
        network.load_state_dict(weights)
    # torch raises RuntimeError for a wrong hash, an incomplete file and other shapes.
    except (OSError, RuntimeError, EOFError, UnpicklingError, HTTPException) as error:
        with suppress(OSError):
            (data_folder() / Path(url).name).unlink()  # a bad file must not count as downloaded
        reason = " ".join(str(error).split())[:200]
        raise AppError(f"ImageNet's weights could not be downloaded from {url} ({reason}). Try again.") from None
    return Backbone(nn.Sequential(network.features, network.avgpool)).eval()


@torch.inference_mode()
def seen_by(backbone: Backbone, data: TrainingData) -> NDArray[np.float32]:
    """The frozen layers' features (N, 576) of the digits to learn from."""
    parts = torch.from_numpy(data.digits.images.copy()).split(CHUNK)
    seen = []
    for number, part in enumerate(parts, 1):
        seen.append(backbone(batch_of(part)))
        data.progress(number / len(parts))
    return torch.cat(seen).numpy()


def _transferred(data: TrainingData) -> Fitted:
    backbone = load_backbone()
    seen = seen_by(backbone, data)
    learned = LogisticRegression(C=1.0, max_iter=200).fit(seen, data.digits.labels)
    head = nn.Linear(seen.shape[1], len(learned.classes_))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(learned.coef_))
        head.bias.copy_(torch.from_numpy(learned.intercept_))
    whole = Transferred(backbone, head).eval()
    return Fitted(lambda: to_graph(whole), lambda images: logits_of(whole, images).numpy(), count_parameters(whole))


CONTENDERS = (
    Contender(
        "imagenet-backbone",
        "MobileNetV3 from ImageNet, frozen",
        NETWORK,
        "Layers that learned to see from a million photographs, never changed, and one new layer that reads them.",
        f"mobilenet_v3_small, {SIDE} pixels, logistic regression on 576 features, C=1",
        _transferred,
        Expected(0.97, "frozen ImageNet features and a linear layer: 96 to 98%"),
    ),
)
