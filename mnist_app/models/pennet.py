"""The pen network: it reads how a digit was written, while the image network reads what it looks like.

A picture shows neither the order and direction of its lines nor, where lines meet, which of them the pen joined.
"""

import torch
from torch import Tensor, nn

from mnist_app.ink.trajectory import POINTS
from mnist_app.models.networks import NOT_A_DIGIT

MEASURES = 9  # of each point


class PenNet(nn.Module):
    """Convolutions along the pen's trajectory, with a shortcut around each pair, then one linear layer.

    It turns float32 trajectories (B, POINTS, 3) into logits (B, 11): the ten digits, then "not a digit". The last
    features are pooled along the trajectory by their mean and their maximum: what is there throughout, and anywhere.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _Pair(MEASURES, 32, 5, is_halved=True),  # (B, 32, 1, 32)
            _Pair(32, 48, 3),  # (B, 48, 1, 32)
            _Pair(48, 64, 3, is_halved=True),  # (B, 64, 1, 16)
            _Pair(64, 96, 3, is_halved=True),  # (B, 96, 1, 8)
            _Pair(96, 96, 3),  # (B, 96, 1, 8)
        )
        self.dropout = nn.Dropout(0.3)
        self.classifier = nn.Linear(2 * 96, NOT_A_DIGIT + 1)

    def forward(self, trajectories: Tensor) -> Tensor:
        features = self.features(measures_of(trajectories)).flatten(2)  # (B, 96, 8)
        return self.classifier(self.dropout(torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1)))


class _Pair(nn.Module):
    """Two convolutions along the trajectory, with a shortcut around them; then half as many points, if ``is_halved``.

    They run over pictures one pixel high, because that is twice as fast as PyTorch's one-dimensional convolutions.
    """

    def __init__(self, inputs: int, outputs: int, width: int, *, is_halved: bool = False) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(inputs, outputs, (1, width), padding=(0, width // 2), bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, (1, width), padding=(0, width // 2), bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.halving = nn.MaxPool2d((1, 2)) if is_halved else nn.Identity()

    def forward(self, measures: Tensor) -> Tensor:
        return self.halving(torch.relu(self.way(measures) + self.shortcut(measures)))


def measures_of(trajectories: Tensor) -> Tensor:
    """The measures of each point of trajectories (B, POINTS, 3): (B, MEASURES, 1, POINTS).

    They are its position; the direction in which the pen came there, and the line along which it came, regardless of
    direction; whether the pen was on paper, and how far it moved there; and the time.
    """
    at, on_paper = trajectories[:, :, :2], trajectories[:, :, 2:]
    steps = torch.cat([torch.zeros_like(at[:, :1]), at[:, 1:] - at[:, :-1]], dim=1)
    lengths = steps.square().sum(dim=2, keepdim=True).sqrt()
    ways = steps / (lengths + 1e-3)  # cosine and sine; 0 if the pen stood still
    x, y = ways[:, :, :1], ways[:, :, 1:]
    lines = torch.cat([x * x - y * y, 2 * x * y], dim=2)  # the same for twice the angle
    when = torch.linspace(-1, 1, POINTS, device=at.device).view(1, -1, 1).expand_as(on_paper)
    parts = [at, ways, lines, on_paper, 8 * lengths * on_paper, when]
    return torch.cat(parts, dim=2).transpose(1, 2).unsqueeze(2)
