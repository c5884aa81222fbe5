"""The lab at work: one contender after another, each in a process of its own, and no work done twice."""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mnist_app.errors import AppError
from mnist_app.lab.contender import Contender
from mnist_app.lab.figures import PROBLEM, Figures, problem_of, read_figures, stands
from mnist_app.lab.lineup import contenders
from mnist_app.lab.measure import learn_and_measure
from mnist_app.storage import home, lab_folder

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"


@dataclass(frozen=True)
class Result:
    """One contender is done."""

    contender: Contender
    number: int  # from 1
    count: int  # of contenders
    figures: Figures | None
    problem: str | None  # why there are no figures
    was_there: bool  # the same recipe had been measured before


def results_folder(is_quick: bool) -> Path:
    """Where results are kept; those of a rehearsal lie apart."""
    return home() / "lab-rehearsal" if is_quick else lab_folder()


def run(names: Sequence[str], ink: Path | None, *, is_quick: bool, is_anew: bool) -> Iterator[Result]:
    """Measure the contenders called ``names``, all where there are none, one after another.

    Goes on where it stopped: what has figures of its very recipe is not measured again, unless ``is_anew``. Raises
    AppError for a name that there is not.
    """
    chosen = _chosen(names)
    for number, contender in enumerate(chosen, 1):
        folder = results_folder(is_quick) / contender.name
        figures = read_figures(folder)
        was_there = not is_anew and stands(figures, contender)
        problem = None
        if not was_there:
            problem = _in_a_process(contender.name, folder, ink, is_quick)
            figures = None if problem else read_figures(folder)
        yield Result(contender, number, len(chosen), figures, problem, was_there)


def _chosen(names: Sequence[str]) -> list[Contender]:
    there = {contender.name: contender for contender in contenders()}
    for name in names:
        if name not in there:
            raise AppError(f"No model {name!r} in the lab. Available: {', '.join(there)}.")
    return [contender for name, contender in there.items() if not names or name in names]


def _in_a_process(name: str, folder: Path, ink: Path | None, is_quick: bool) -> str | None:
    """Measure one contender in a process of its own, whose peak memory is its; why there are no figures, if so."""
    (folder / PROBLEM).unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(name, folder, ink, is_quick))
    process.start()
    process.join()
    if process.exitcode == 0:
        return None
    return problem_of(folder) or f"Its process ended without a word, with code {process.exitcode}."


def _measure(name: str, folder: Path, ink: Path | None, is_quick: bool) -> None:
    """What the process does."""
    (contender,) = _chosen([name])
    with tqdm(total=100, desc=contender.title, unit="%", leave=False, bar_format=BAR) as bar:
        try:
            learn_and_measure(
                contender, folder, ink, is_quick=is_quick, progress=lambda share: bar.update(int(100 * share) - bar.n)
            )
        except AppError:
            sys.exit(1)  # the reason is in its folder
