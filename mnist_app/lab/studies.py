"""The lab's studies, besides its table: one file each, written by a run and read by the page."""

import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from mnist_app.errors import AppError
from mnist_app.lab.effects import EffectResult, run_effects
from mnist_app.lab.figures import write_json
from mnist_app.lab.transfer import Direction, run_transfer
from mnist_app.storage import SHIPPED_LAB, lab_folder

EFFECTS, TRANSFER = "effects", "transfer"
STUDIES = (EFFECTS, TRANSFER)
NEEDS_INK = "Learning from few samples needs real ink: name its folder with --ink."

T = TypeVar("T")


def run_study(
    name: str,
    folder: Path,
    ink: Path | None,
    *,
    is_quick: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Run a study and keep its results in ``folder``. Raises AppError."""
    if name == EFFECTS:
        parts: Sequence[EffectResult | Direction] = run_effects(is_quick, progress)
    elif ink is None:
        raise AppError(NEEDS_INK)
    else:
        parts = run_transfer(ink, is_quick, progress)
    try:
        write_json(_file(folder, name), {"parts": [asdict(part) for part in parts]})
    except OSError as error:
        raise AppError(f"{folder} could not be written: {error.strerror}.") from None


def effects() -> list[EffectResult]:
    """The results of the effects study; empty if it was never run."""
    return _found(EFFECTS, EffectResult.from_json)


def transfer() -> list[Direction]:
    """The results of the transfer study; empty if it was never run."""
    return _found(TRANSFER, Direction.from_json)


def _found(name: str, part_of: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """The results from this machine, or else those that came with the app; unreadable files are skipped."""
    for folder in (lab_folder(), SHIPPED_LAB):
        with suppress(OSError, ValueError, TypeError, KeyError):
            return [part_of(part) for part in json.loads(_file(folder, name).read_text())["parts"]]
    return []


def to_do(names: Collection[str], folder: Path, ink: Path | None, *, is_forced: bool) -> list[str]:
    """The studies among ``names``, or of all if it is empty, that were not run yet. Raises AppError.

    Without ``ink``, a study that needs real ink is an error if it was named, and is skipped otherwise.
    """
    studies = [name for name in asked_for(names) if is_forced or not _file(folder, name).exists()]
    if ink is None and TRANSFER in studies:
        if names:
            raise AppError(NEEDS_INK)
        studies.remove(TRANSFER)
    return studies


def asked_for(names: Collection[str]) -> list[str]:
    """The studies among ``names``; all if it is empty."""
    return [name for name in STUDIES if not names or name in names]


def ship_studies(names: Collection[str]) -> list[Path]:
    """Copy the results of the studies among ``names`` into weights/, if there are any. Raises AppError."""
    done = [name for name in asked_for(names) if _file(lab_folder(), name).exists()]
    try:
        SHIPPED_LAB.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy(_file(lab_folder(), name), _file(SHIPPED_LAB, name))) for name in done]
    except OSError as error:
        raise AppError(f"{SHIPPED_LAB} could not be written: {error.strerror}.") from None


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
