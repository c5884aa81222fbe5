"""The network of PyTorch's own MNIST example, which half of all demos run."""

from torch import Tensor, nn

from mnist_app.lab.contender import Expected
from mnist_app.lab.networks import network
from mnist_app.training.augmentation import STILL
from mnist_app.training.train import TrainConfig


class TutorialCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3),  # (B, 32, 26, 26)
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3),  # (B, 64, 24, 24)
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # (B, 64, 12, 12)
            nn.Dropout(0.25),
            nn.Flatten(),  # (B, 9216)
            nn.Linear(9216, 128),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
        )
        self.classifier = nn.Linear(128, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


CONTENDERS = (
    network(
        "tutorial-cnn",
        "PyTorch's tutorial CNN",
        "Two convolutions at full size and 1.2 million weights, nearly all of them in one fully connected layer.",
        TutorialCNN,
        TrainConfig(epochs=5, batch_size=64, learning_rate=2e-3, label_smoothing=0, augmentation=STILL),
        Expected(0.992, "PyTorch's MNIST example: about 99.2% after 14 epochs"),
    ),
)
