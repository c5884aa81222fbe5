"""Deeper: six convolutions with batch norm and dropout, the architecture of this app's own mnist-cnn."""

from mnist_app.lab.contender import Expected
from mnist_app.lab.networks import network
from mnist_app.models.networks import ConvNet
from mnist_app.training.train import TrainConfig

CONTENDERS = (
    network(
        "deep-cnn",
        "Deep CNN, batch norm and dropout",
        "Six convolutions of 3 by 3: normalising after each lets it be deep, averaging the last maps keeps it small.",
        ConvNet,
        TrainConfig(epochs=8),
        Expected(0.996, "well-trained single networks; Deotte's 100 runs have a mean of 99.64%"),
    ),
)
