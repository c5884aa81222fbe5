"""Fully connected networks, which do not know where in the picture a pixel lies."""

from collections.abc import Callable

from torch import Tensor, nn

from mnist_app.lab.contender import Expected
from mnist_app.lab.networks import network
from mnist_app.training.augmentation import STILL
from mnist_app.training.train import TrainConfig

# As in tutorials: Adam at 1e-3, batches of 32, ten epochs; no decay, smoothing, moving average or augmentation.
PLAIN = TrainConfig(
    epochs=10,
    batch_size=32,
    learning_rate=1e-3,
    schedule="constant",
    weight_decay=0,
    label_smoothing=0,
    average=0,
    augmentation=STILL,
)


class MLP(nn.Module):
    """Fully connected layers with ReLU between them, and dropout after each if it is above 0."""

    def __init__(self, *widths: int, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]  # (B, 784)
        for inputs, outputs in zip((784, *widths), widths, strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
            layers += [nn.Dropout(dropout)] if dropout else []
        self.features = nn.Sequential(*layers)  # (B, widths[-1])
        self.classifier = nn.Linear(widths[-1], 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


def _mlp(*widths: int, dropout: float = 0.0) -> Callable[[], nn.Module]:
    return lambda: MLP(*widths, dropout=dropout)


CONTENDERS = (
    network(
        "mlp",
        "MLP 784-128-64-10",
        "Two hidden layers that see 784 numbers in a row, and know nothing of which pixels are neighbours.",
        _mlp(128, 64),
        PLAIN,
        Expected(
            0.975, "between 96.95% (784-300-100-10, LeCun et al. 1998) and 98.4% (784-800-10, Simard et al. 2003)"
        ),
    ),
    network(
        "mlp-dropout",
        "MLP 784-128-10 with dropout",
        "One hidden layer, a fifth of it switched off at random in every step, so that no part relies on another.",
        _mlp(128, dropout=0.2),
        PLAIN,
        Expected(0.978, "TensorFlow's quickstart for beginners: about 98% after five epochs"),
    ),
)
