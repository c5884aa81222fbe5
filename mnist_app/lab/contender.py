"""A row of the lab's table: anything that learns from digits and becomes an ONNX graph that reads them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.models.registry import ModelCard

NETWORK, CLASSICAL, COMPRESSED, OWN = "network", "classical", "compressed", "of this app"
FAMILIES = (NETWORK, CLASSICAL, COMPRESSED, OWN)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a contender is given to learn from."""

    digits: Digits  # to learn from
    validation: Digits  # to be watched during training
    is_quick: bool  # a rehearsal: one epoch, whatever the result
    progress: Callable[[float], None]  # called with the share of training done, 0 to 1
    graphs: Mapping[str, bytes] = field(default_factory=dict)  # ONNX graphs of the contenders it needs, by name


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained contender."""

    graph: Callable[[], bytes]  # makes the ONNX graph, as `models.graph.to_graph` describes it
    # Logits (N, 10) of pictures (N, 28, 28), 0 to 255, by the library that trained it; None if that is ONNX Runtime.
    read: Callable[[NDArray[np.uint8]], NDArray[np.floating]] | None
    parameters: int  # numbers that were learned, or are kept for comparison
    has_probabilities: bool = True  # else scores, which are no confidence until calibrated
    curves: tuple[Mapping[str, float], ...] = ()  # registry.CURVES by epoch, if it has epochs
    card: ModelCard | None = None  # of this app's own models, which have a folder already


@dataclass(frozen=True)
class Expected:
    """The accuracy that the literature reports, or that this app asks for."""

    accuracy: float  # 0 to 1, on the test split
    source: str
    excuse: str = ""  # why ours may fall short of it


@dataclass(frozen=True, eq=False)
class Contender:
    """A model of the lab: what it is and how it learns."""

    name: str  # also of its folder
    title: str
    family: str  # of FAMILIES
    idea: str  # what is special about it, in one sentence
    recipe: str  # all that decides what is learned, except ``needs``; figures of another recipe do not count
    fit: Callable[[TrainingData], Fitted]
    expected: Expected | None = None
    needs: tuple[str, ...] = ()  # names of contenders that it is made from
    knows_ink: bool = False  # trained on real ink, so it cannot be measured on it
