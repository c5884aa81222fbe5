"""What stands in the lab's table: whatever learns from digits and ends as a graph that reads them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.models.registry import ModelCard

NETWORK, CLASSICAL, COMPRESSED, OWN = "network", "classical", "compressed", "of this app"
FAMILIES = (NETWORK, CLASSICAL, COMPRESSED, OWN)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a contender is given."""

    digits: Digits  # to learn from
    validation: Digits  # to look at on the way
    is_quick: bool  # a rehearsal: one epoch, whatever comes of it
    progress: Callable[[float], None]  # to be told how far the learning has come, 0 to 1
    graphs: Mapping[str, bytes] = field(default_factory=dict)  # ONNX, of the contenders that it needs, by name


@dataclass(frozen=True, eq=False)
class Fitted:
    """What has learned."""

    graph: Callable[[], bytes]  # makes the ONNX graph, as `models.graph.to_graph` describes it
    # Logits (N, 10) of pictures (N, 28, 28), 0 to 255, by the library that it learned with; None where that is ours.
    read: Callable[[NDArray[np.uint8]], NDArray[np.floating]] | None
    parameters: int  # numbers that were learned, or are kept to compare with
    has_probabilities: bool = True  # or scores, which say nothing of confidence until they are calibrated
    curves: tuple[Mapping[str, float], ...] = ()  # registry.CURVES over the epochs, of what has some
    card: ModelCard | None = None  # of a model of this app, which learned before and has a folder of its own


@dataclass(frozen=True)
class Expected:
    """What the literature leads one to expect, or what this app asks for."""

    accuracy: float  # 0 to 1, on the test split
    source: str
    excuse: str = ""  # why ours may fall short of it, where it does


@dataclass(frozen=True, eq=False)
class Contender:
    """A model of the lab: who it is and how it learns."""

    name: str  # of its folder
    title: str
    family: str  # of FAMILIES
    idea: str  # a sentence: what is special about it
    recipe: str  # all that decides what is learned, but for what it is made from; results of another do not count
    fit: Callable[[Lesson], Fitted]
    expected: Expected | None = None
    needs: tuple[str, ...] = ()  # names of contenders that it is made from
    knows_ink: bool = False  # it has learned from real ink, on which it cannot be measured then
