"""Networks as ONNX graphs, run by ONNX Runtime: faster than PyTorch, above all for a single picture."""

import warnings
from collections.abc import Sequence
from io import BytesIO
from threading import Lock

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_app.errors import AppError
from mnist_app.ink.trajectory import POINTS, Trajectory
from mnist_app.models.networks import Ensemble
from mnist_app.models.pennet import PenNet

CHUNK = 100  # pictures at a time: with more, each takes as long, and more memory is needed
ENDS = [["pictures"], ["logits", "features"]]  # names of inputs and outputs
PEN_ENDS = [["trajectories"], ["logits"]]

_exporting = Lock()  # PyTorch's exporter cannot run on several threads at once


def read_features(network: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, 10 or 11) and last features (B, F) of pictures (B, 1, 28, 28), the network in evaluation mode.

    An architecture offers its last features by having ``features`` and a ``classifier`` that reads them; each feature
    map counts as one feature, its mean. Without these two, the logits are the features. An ensemble has the features of
    all its members.
    """
    if isinstance(network, Ensemble):
        logits, features = zip(*(read_features(member, pictures) for member in network.members), strict=True)
        return network.combined(logits), torch.cat(features, dim=1)
    parts = dict(network.named_children())
    if not {"features", "classifier"} <= set(parts):
        logits = network(pictures)
        return logits, logits
    features = parts["features"](pictures)
    return parts["classifier"](features.flatten(1)), features.flatten(2).mean(2) if features.ndim > 2 else features


class _Reader(nn.Module):
    """A network for the exporter: it returns the last features as well as the logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return read_features(self.network, pictures)


def to_graph(network: nn.Module) -> bytes:
    """A network as ONNX: "pictures", float32 (N, 1, 28, 28), 0 = paper, 1 = ink, to "logits" and "features" (N, F).

    It is exported in evaluation mode, and left in it.
    """
    return _exported(_Reader(network), torch.zeros(2, 1, 28, 28), ENDS)


def pen_to_graph(pen: PenNet) -> bytes:
    """A pen network as ONNX: "trajectories", float32 (N, POINTS, 3), to "logits"."""
    return _exported(pen, torch.zeros(2, POINTS, 3), PEN_ENDS)


def _exported(network: nn.Module, example: Tensor, ends: list[list[str]]) -> bytes:
    file = BytesIO()
    with _exporting, warnings.catch_warnings():
        # The newer exporter needs 40 MB of additional packages for the same graph.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),  # the exporter puts all parts back into the mode of the whole
            (example,),
            file,  # type: ignore[arg-type]  # it accepts a file, too
            dynamo=False,
            input_names=ends[0],
            output_names=ends[1],
            dynamic_axes={name: {0: "count"} for end in ends for name in end},
        )
    return file.getvalue()


class GraphError(AppError):
    """A graph cannot be run; the message says what is wrong with it."""


class Graph:
    """A graph made by `to_graph`, ready to run on the calling thread; several threads may use it at once."""

    def __init__(self, content: bytes) -> None:
        """Raises GraphError."""
        self._session = _at_work(content, ENDS)

    def read(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (N, 10 or 11) and last features (N, F) of at least one picture (N, 28, 28), 0 to 255."""
        chunks = (images[first : first + CHUNK, None] for first in range(0, len(images), CHUNK))
        logits, features = zip(*(self.run(chunk.astype(np.float32) / np.float32(255)) for chunk in chunks), strict=True)
        return np.concatenate(logits), np.concatenate(features)

    def run(self, pictures: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same for pictures (N, 1, 28, 28), 0 to 1, all at once."""
        logits, features = self._session.run(None, {"pictures": pictures})
        return logits, features


class PenGraph:
    """A graph made by `pen_to_graph`, ready to run in the same way."""

    def __init__(self, content: bytes) -> None:
        """Raises GraphError."""
        self._session = _at_work(content, PEN_ENDS)

    def read(self, trajectories: Sequence[Trajectory]) -> NDArray[np.float32]:
        """Logits (N, 11) of at least one trajectory."""
        chunks = (np.stack(trajectories[first : first + CHUNK]) for first in range(0, len(trajectories), CHUNK))
        return np.concatenate([self._session.run(None, {"trajectories": chunk})[0] for chunk in chunks])


def _at_work(content: bytes, wanted: list[list[str]]) -> onnxruntime.InferenceSession:
    """A graph ready to run. Raises GraphError if it is invalid or has other inputs or outputs than ``wanted``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # no slower, and less memory for each model
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception of its own for each kind of fault
        raise GraphError(f"It is not a graph that can be run ({str(error)[:200]}).") from None
    ends = [[each.name for each in end] for end in (session.get_inputs(), session.get_outputs())]
    if ends != wanted:
        found, asked = (" to ".join(map(" and ".join, each)) for each in (ends, wanted))
        raise GraphError(f"It maps {found}, not {asked}.")
    return session


class Opaque(nn.Module):
    """A graph used as a network: it answers, but has neither gradients nor layers to show."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.from_numpy(self._graph.run(pictures.numpy())[0])
