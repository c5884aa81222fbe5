"""As few weights as an accuracy of 99.3% allows."""

from torch import Tensor, nn

from mnist_app.lab.contender import Expected
from mnist_app.lab.networks import network
from mnist_app.models.networks import conv
from mnist_app.training.augmentation import Augmentation
from mnist_app.training.train import TrainConfig


class TinyCNN(nn.Module):
    """9,398 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv(1, 8),  # (B, 8, 28, 28)
            conv(8, 12),
            nn.MaxPool2d(2),  # (B, 12, 14, 14)
            conv(12, 18),  # (B, 18, 14, 14)
            conv(18, 18),
            nn.MaxPool2d(2),  # (B, 18, 7, 7)
            conv(18, 20),  # (B, 20, 7, 7)
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),  # (B, 20)
        )
        self.classifier = nn.Linear(20, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


CONTENDERS = (
    network(
        "tiny-cnn",
        "Tiny CNN, under 10,000 weights",
        "Five narrow convolutions that fit into 38 kB: what is shared over the whole picture need not be many numbers.",
        TinyCNN,
        TrainConfig(epochs=24, label_smoothing=0, augmentation=Augmentation(8, 1, 0.08, 0.12)),
        Expected(0.993, "what this lab asks of fewer than 10,000 parameters"),
    ),
)
