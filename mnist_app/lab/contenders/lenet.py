"""LeNet-5, the network that MNIST was made for."""

from torch import Tensor, nn

from mnist_app.lab.contender import Expected
from mnist_app.lab.networks import network
from mnist_app.training.augmentation import STILL
from mnist_app.training.train import TrainConfig


class LeNet5(nn.Module):
    """LeCun, Bottou, Bengio and Haffner 1998, with a plain softmax in place of its radial basis functions."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),  # (B, 6, 28, 28)
            nn.Tanh(),
            nn.AvgPool2d(2),  # (B, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (B, 16, 10, 10)
            nn.Tanh(),
            nn.AvgPool2d(2),  # (B, 16, 5, 5)
            nn.Flatten(),  # (B, 400)
            nn.Linear(400, 120),
            nn.Tanh(),
            nn.Linear(120, 84),
            nn.Tanh(),
        )
        self.classifier = nn.Linear(84, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


CONTENDERS = (
    network(
        "lenet-5",
        "LeNet-5 (1998)",
        "Two convolutions and three fully connected layers: the same small detectors everywhere in the picture.",
        LeNet5,
        TrainConfig(epochs=12, batch_size=64, learning_rate=3e-3, label_smoothing=0, augmentation=STILL),
        Expected(0.9905, "LeCun et al. 1998, without distortions: 0.95% error"),
    ),
)
