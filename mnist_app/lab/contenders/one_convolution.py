"""One convolution, and a linear layer that reads its maps."""

from torch import Tensor, nn

from mnist_app.lab.contender import Expected
from mnist_app.lab.networks import network
from mnist_app.training.augmentation import STILL
from mnist_app.training.train import TrainConfig


class OneConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),  # (B, 32, 28, 28)
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # (B, 32, 14, 14)
            nn.Flatten(),  # (B, 6272)
        )
        self.classifier = nn.Linear(6272, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


CONTENDERS = (
    network(
        "one-convolution",
        "One convolution",
        "32 detectors of 3 by 3 pixels, then one linear layer: fewer weights than the MLP, and fewer mistakes.",
        OneConvolution,
        TrainConfig(epochs=8, batch_size=64, learning_rate=3e-3, label_smoothing=0, augmentation=STILL),
        Expected(0.985, "the usual result of tutorials with one convolution: 98.5 to 98.8%"),
    ),
)
