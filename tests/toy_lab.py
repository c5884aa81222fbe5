"""A toy lab: a model that answers at once, and invented figures."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.lab.contender import NETWORK, Expected
from mnist_app.lab.figures import FIGURES, Figures, Latency, write_json
from mnist_app.models.graph import to_graph
from mnist_app.models.registry import CARD, ONLY_A_GRAPH, ModelCard, save_graph

CURVES = (
    {
        **{"passes": 1.0, "train_loss": 0.9, "train_accuracy": 0.7, "validation_loss": 0.6},
        **{"validation_accuracy": 0.85, "seconds": 2.0},
    },
    {
        **{"passes": 2.0, "train_loss": 0.4, "train_accuracy": 0.9, "validation_loss": 0.3},
        **{"validation_accuracy": 0.91, "seconds": 4.0},
    },
)


def mean_digits(digits: Digits) -> nn.Module:
    """Return one layer that reads a picture as the digit whose average is nearest to it."""
    rows = digits.images.reshape(len(digits), -1) / 255
    means = np.stack([rows[digits.labels == digit].mean(axis=0) for digit in range(10)])
    layer = nn.Linear(784, 10)
    layer.weight = nn.Parameter(torch.tensor(means, dtype=torch.float32))
    layer.bias = nn.Parameter(torch.tensor(-(means**2).sum(axis=1) / 2, dtype=torch.float32))
    return nn.Sequential(nn.Flatten(), layer).eval()


def figures(name: str = "toy", **changes: Any) -> Figures:
    """Return figures by which every tenth of 10,000 test digits is read as the next digit."""
    confusion = 900 * np.eye(10, dtype=int) + 100 * np.roll(np.eye(10, dtype=int), 1, axis=1)
    known = Figures(
        name=name,
        title=f"A {name}",
        family=NETWORK,
        idea="It plays.",
        recipe="as one likes",
        expected=Expected(0.9, "every child knows"),
        accuracy=0.9,
        precision=0.91,
        recall=0.92,
        f1=0.915,
        calibration_error=0.05,
        calibrated_error=0.01,
        confusion=confusion.tolist(),
        validation_accuracy=0.91,
        ink=0.85,
        ink_collections={"pens": 0.85},
        parameters=7850,
        bytes=31_900,
        zipped=29_000,
        seconds=12.5,
        memory=321.0,
        own=Latency(0.2, 0.3),
        latency=Latency(0.05, 0.07),
        throughput=40_000.0,
        curves=CURVES,
        machine="a cupboard",
    )
    return replace(known, **changes)


def put(lab: Path, found: Figures, network: nn.Module | None = None) -> Path:
    """Write a contender's folder: its figures, and its model if there is one."""
    folder = lab / found.name
    write_json(folder / FIGURES, asdict(found))
    if network:
        save_graph(folder, to_graph(network))
        card = ModelCard(
            found.name, found.idea, ONLY_A_GRAPH, found.parameters, 1, "", "", {}, 0.0, "", temperature=0.1
        )
        write_json(folder / CARD, asdict(card))
    return folder
