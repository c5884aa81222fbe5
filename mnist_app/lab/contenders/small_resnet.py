"""A residual network (He et al., arXiv:1512.03385), small enough for 28 by 28 pixels."""

from torch import Tensor, nn

from mnist_app.lab.contender import Expected
from mnist_app.lab.networks import network
from mnist_app.training.train import TrainConfig


class Residual(nn.Module):
    """Two convolutions whose result is added to their input, halving the picture if ``stride`` is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.rectify = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        return self.rectify(self.change(maps) + self.shortcut(maps))


class SmallResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),  # (B, 16, 28, 28)
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            Residual(16, 32, stride=2),  # (B, 32, 14, 14)
            Residual(32, 64, stride=2),  # (B, 64, 7, 7)
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),  # (B, 64)
        )
        self.classifier = nn.Linear(64, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


CONTENDERS = (
    network(
        "small-resnet",
        "Small ResNet",
        "Each block only adds a change to what it was given, so that the first layers, too, are told what to learn.",
        SmallResNet,
        TrainConfig(epochs=8),
        Expected(0.995, "small residual networks with augmentation: 99.5 to 99.6%"),
    ),
)
