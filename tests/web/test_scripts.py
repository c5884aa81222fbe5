"""Constants in the browser's scripts equal those in Python."""

import importlib
import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "mnist_app" / "web"
# "const BLOT = 0.5; // of the pen's width, as in ink/strokes.py: …"
REPEATED = re.compile(r"^const ([A-Z_]+) = ([\d.]+);.*\bas in ([a-z_/]+)\.py\b", re.MULTILINE)
FOUND = [(path, *found) for path in sorted(WEB.rglob("*.js")) for found in REPEATED.findall(path.read_text())]


@pytest.mark.parametrize(("path", "name", "value", "module"), FOUND, ids=[name for _, name, _, _ in FOUND])
def test_a_constant_repeated_in_a_script_equals_the_one_in_python(
    path: Path, name: str, value: str, module: str
) -> None:
    there = importlib.import_module(f"mnist_app.{module.removesuffix('/__init__').replace('/', '.')}")
    assert float(value) == getattr(there, name), path


def test_constants_repeated_in_scripts_are_found() -> None:
    assert {name for _, name, _, _ in FOUND} >= {"BLOT", "MAX_CORNERS", "NEAR"}
