import subprocess
import sys

import torch

from mnist_app.data.torchvision_cpu import make_torchvision_importable


def said_by(code: str) -> str:
    """What a fresh Python prints: which modules are imported is a matter of the whole process."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_torchvisions_datasets_import_whatever_the_build_of_torch() -> None:
    code = """
from mnist_app.data.torchvision_cpu import make_torchvision_importable
make_torchvision_importable()
from torchvision.datasets import MNIST
print(MNIST.__name__)"""
    assert said_by(code) == "MNIST\n"


def test_where_torchvision_imports_by_itself_nothing_is_declared() -> None:
    code = """
import sys, types, torch
sys.modules["torchvision"] = types.ModuleType("torchvision")
torch.library.define = lambda *_: print("declared")
from mnist_app.data.torchvision_cpu import make_torchvision_importable
make_torchvision_importable()"""
    assert said_by(code) == ""


def test_calling_twice_does_no_harm() -> None:
    make_torchvision_importable()
    make_torchvision_importable()
    assert hasattr(torch.ops.torchvision, "nms")
