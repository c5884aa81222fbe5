"""Import torchvision next to a CPU build of torch.

The wheel on PyPI is built against CUDA. Next to torch for the CPU, its compiled operators do not load, and its import
fails at the first Python code that extends one of them: "operator torchvision::nms does not exist". We call none of
those operators, so declaring these two by name is enough. If they do load, this module changes nothing.
"""

import importlib

import torch

_OPERATORS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def make_torchvision_importable() -> None:
    """Call this before importing anything from torchvision."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name, schema in _OPERATORS.items():
            torch.library.define(f"torchvision::{name}", schema)
