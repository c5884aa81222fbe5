"""What the lab finds out beside its table: a file for each study, written by its runs and read by the page."""

import json
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mnist_app.errors import AppError
from mnist_app.lab.effects import Seen, run_effects
from mnist_app.lab.figures import write_json
from mnist_app.lab.transfer import Direction, run_transfer
from mnist_app.storage import SHIPPED_LAB, lab_folder

EFFECTS, TRANSFER = "effects", "transfer"
STUDIES = (EFFECTS, TRANSFER)


def run_study(
    name: str,
    folder: Path,
    ink: Path | None,
    *,
    is_quick: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Do a study and keep what it found in ``folder``. Raises AppError."""
    if name == EFFECTS:
        parts: Sequence[Seen | Direction] = run_effects(is_quick, progress)
    elif ink is None:
        raise AppError("Learning from few samples needs real ink: name its folder with --ink.")
    else:
        parts = run_transfer(ink, is_quick, progress)
    try:
        write_json(folder / f"{name}.json", {"machine": platform.machine(), "parts": [asdict(part) for part in parts]})
    except OSError as error:
        raise AppError(f"{folder} could not be written: {error.strerror}.") from None


def effects() -> list[Seen]:
    """The effects that were seen; none where nobody has looked."""
    return [Seen.from_json(part) for part in _parts(EFFECTS)]


def transfer() -> list[Direction]:
    """What was learned from few samples; nothing where nobody has tried."""
    return [Direction.from_json(part) for part in _parts(TRANSFER)]


def _parts(name: str) -> Iterator[Mapping[str, Any]]:
    """What was found on this machine, or else what came with the app."""
    for folder in (lab_folder(), SHIPPED_LAB):
        try:
            yield from json.loads((folder / f"{name}.json").read_text())["parts"]
        except (OSError, ValueError, TypeError, KeyError):
            continue
        return


def ship_study(name: str) -> Path:
    """Copy what a study found into weights/. Raises AppError."""
    there = SHIPPED_LAB / f"{name}.json"
    try:
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(lab_folder() / there.name, there)
    except FileNotFoundError:
        raise AppError(f"The study {name!r} has not been done yet: python -m mnist_app lab --models {name}") from None
    except OSError as error:
        raise AppError(f"{there} could not be written: {error.strerror}.") from None
    return there
