import subprocess
import sys
from types import ModuleType

import pytest
import torch

from mnist_app.data.torchvision_cpu import make_torchvision_importable


def test_torchvisions_datasets_can_be_imported_with_the_installed_torch() -> None:
    """Run in a new process, because imports affect the whole process."""
    code = """
from mnist_app.data.torchvision_cpu import make_torchvision_importable
make_torchvision_importable()
from torchvision.datasets import MNIST
print(MNIST.__name__)"""
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout == "MNIST\n"


def test_nothing_is_declared_if_torchvision_imports_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setattr("torch.library.define", lambda *_: pytest.fail("declared"))
    make_torchvision_importable()


def test_calling_twice_does_no_harm() -> None:
    make_torchvision_importable()
    make_torchvision_importable()
    assert hasattr(torch.ops.torchvision, "nms")
