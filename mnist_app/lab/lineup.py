"""The contenders of the lab. To add one, put a file that defines CONTENDERS into contenders/, and add a line below."""

import importlib
from collections.abc import Sequence

from mnist_app.lab.contender import Contender

# Modules of contenders/, in the order of the table; a module that needs others comes after them.
MODULES = (
    "naive_bayes",
    "linear",
    "trees",
    "nearest_neighbours",
    "rbf_svm",
    "mlp",
    "one_convolution",
    "lenet",
    "tutorial_cnn",
    "tiny_cnn",
    "small_resnet",
    "deep_cnn",
    "own",
    "three_networks",
    "backbone",
    "compressed",
)


def contenders() -> Sequence[Contender]:
    """All contenders, in order. Imported on demand, because scikit-learn and torchvision take seconds."""
    modules = [importlib.import_module(f"mnist_app.lab.contenders.{name}") for name in MODULES]
    return [contender for module in modules for contender in module.CONTENDERS]
