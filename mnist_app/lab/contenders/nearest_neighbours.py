"""K nearest neighbours: nothing is learned, everything is kept."""

from functools import partial

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from mnist_app.lab.classical import classical, converted
from mnist_app.lab.contender import Expected

CONTENDERS = (
    classical(
        "nearest-neighbours",
        "5 nearest neighbours",
        "Keeps all 55,000 pictures and asks the five that differ least, pixel by pixel: no training, and slow answers.",
        lambda: KNeighborsClassifier(n_neighbors=5, algorithm="brute"),
        lambda fitted: int(np.prod(fitted._fit_X.shape)),
        Expected(0.9688, "k = 5 on raw pixels: 3.1% error; LeCun's page lists 3.09% for Euclidean distance"),
        partial(converted, optim="cdist"),  # all distances in one matrix product
    ),
)
