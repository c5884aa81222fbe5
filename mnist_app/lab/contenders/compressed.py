"""This app's mnist-cnn made smaller: its numbers rounded to bytes, or most of them removed."""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from torch import nn
from torch.nn.utils import prune

from mnist_app.data.dataset import Digits
from mnist_app.lab.contender import COMPRESSED, Contender, Fitted, TrainingData
from mnist_app.lab.networks import learned, recipe_of
from mnist_app.models.registry import find_model, load_card, load_model
from mnist_app.training.train import TrainConfig

WHOLE = "mnist-cnn"
CALIBRATING = 512  # digits on which the range of each layer's values is measured
FINE_TUNING = TrainConfig(epochs=2, learning_rate=2e-3)


class _Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, digits: Digits) -> None:
        self._rest = iter(digits.images[:CALIBRATING].reshape(-1, 32, 1, 28, 28).astype(np.float32) / np.float32(255))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._rest, None)
        return None if batch is None else {"pictures": batch}


def _rounded(data: TrainingData) -> Fitted:
    with tempfile.TemporaryDirectory() as folder:
        whole, rounded = Path(folder, "whole.onnx"), Path(folder, "rounded.onnx")
        whole.write_bytes(data.graphs[WHOLE])
        quantize_static(whole, rounded, _Pictures(data.digits), quant_format=QuantFormat.QDQ, per_channel=True)
        content = rounded.read_bytes()
    return Fitted(lambda: content, None, load_card(find_model(WHOLE)).parameters)


def pruned(percent: int) -> Contender:
    """mnist-cnn without the ``percent`` of its weights that are nearest to 0, fine-tuned for two epochs."""

    def fit(data: TrainingData) -> Fitted:
        network = load_model(find_model(WHOLE)).network
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        weights = [(layer, "weight") for layer in layers]
        prune.global_unstructured(weights, prune.L1Unstructured, amount=percent / 100)
        for layer in layers:
            prune.remove(layer, "weight")
            # Removed weights get no gradient, so they stay 0: PyTorch's own masks break the moving average of weights.
            layer.weight.register_hook(partial(torch.mul, layer.weight.detach() != 0))
        found = learned(network, FINE_TUNING, data)
        return replace(found, parameters=found.parameters - sum(int((layer.weight == 0).sum()) for layer in layers))

    return Contender(
        f"mnist-cnn-pruned-{percent}",
        f"mnist-cnn, {percent}% pruned",
        COMPRESSED,
        f"The {percent}% of its weights nearest to 0 are removed, and what is left learns for two more epochs.",
        f"global_unstructured L1 {percent}%, then {recipe_of(FINE_TUNING)}",
        fit,
        needs=(WHOLE,),
    )


CONTENDERS = (
    Contender(
        "mnist-cnn-int8",
        "mnist-cnn in 8 bits",
        COMPRESSED,
        "Weights and feature maps rounded to 256 levels, as far apart as 512 digits ask for: a byte for each number.",
        f"onnxruntime quantize_static, QDQ, per channel, {CALIBRATING} digits",
        _rounded,
        needs=(WHOLE,),
    ),
    *map(pruned, (50, 80, 90, 95)),
)
