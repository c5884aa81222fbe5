"""Runs the lab: one contender after another, each in a process of its own, and no work done twice."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from tqdm import tqdm

from mnist_app.data.dataset import load_split
from mnist_app.data.inkfiles import collections
from mnist_app.errors import AppError
from mnist_app.lab.contender import OWN, Contender
from mnist_app.lab.figures import FIGURES, PROBLEM, Figures, is_up_to_date, read_figures, write_json
from mnist_app.lab.lineup import contenders
from mnist_app.lab.measure import learn_and_measure, speed
from mnist_app.lab.studies import STUDIES
from mnist_app.models.registry import GRAPH, load_card
from mnist_app.reading.recognition import load_recogniser, recogniser_in
from mnist_app.storage import home, lab_folder
from mnist_app.training.tracking import tracked

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"


@dataclass(frozen=True)
class Result:
    """The outcome for one contender."""

    contender: Contender
    number: int  # from 1
    count: int  # of contenders
    figures: Figures | None
    problem: str | None  # why there are no figures
    was_there: bool  # the same recipe had been measured before

    @property
    def sentence(self) -> str:
        if self.figures is None:
            return f"{self.contender.title}: not measured. {self.problem}"
        found = self.figures
        ink = "" if found.ink is None else f", real ink {found.ink:.2%}"
        before = " (measured before)" if self.was_there else ""
        return (
            f"{found.title}: {found.accuracy:.2%}{ink}, {found.parameters:,} parameters, "
            f"{found.zipped / 1000:,.0f} kB, learned in {found.seconds:,.0f} s, "
            f"reads one in {found.latency.median:.2f} ms{before}"
        )


def results_folder(is_quick: bool) -> Path:
    """Where results are kept; rehearsals have a folder of their own."""
    return home() / "lab-rehearsal" if is_quick else lab_folder()


def chosen(names: Collection[str]) -> list[str]:
    """The contenders among ``names``, which may also name studies; all if it is empty. Raises AppError."""
    there = {contender.name for contender in contenders()}
    for name in names:
        if name not in (*there, *STUDIES):
            raise AppError(
                f"Nothing in the lab is called {name!r}. There are: {', '.join((*sorted(there), *STUDIES))}."
            )
    return [contender.name for contender in contenders() if not names or contender.name in names]


def run(names: Collection[str], ink: Path | None, *, is_quick: bool, is_forced: bool) -> Iterator[Result]:
    """Measure contenders one after another.

    Continues an interrupted run: a contender with figures of its recipe is not measured again, unless ``is_forced``.
    Raises AppError if ``ink`` holds no drawings.
    """
    if ink:
        collections(ink)  # fail before an hour's work rather than after it
    known = {contender.name: contender for contender in contenders()}
    for number, contender in enumerate((known[name] for name in names), 1):
        folder = results_folder(is_quick) / contender.name
        figures = read_figures(folder)
        was_there = not is_forced and is_up_to_date(figures, contender, with_ink=ink is not None)
        problem = None
        if not was_there:
            problem = _in_a_process(contender.name, folder, ink, is_quick)
            figures = None if problem else read_figures(folder)
        yield Result(contender, number, len(names), figures, problem, was_there)


def time_all(names: Collection[str], *, is_quick: bool) -> None:
    """Time all contenders that can answer, one right after another, so that their latencies can be compared.

    Raises AppError.
    """
    torch.set_num_threads(1)
    test = load_split("test")
    for name in names:
        folder = results_folder(is_quick) / name
        figures = read_figures(folder)
        if figures:
            model = recogniser_in(folder) if (folder / GRAPH).exists() else load_recogniser(name)  # one of our own
            latency, throughput = speed(model, test)
            try:
                write_json(folder / FIGURES, asdict(replace(figures, latency=latency, throughput=throughput)))
            except OSError as error:
                raise AppError(f"{folder} could not be written: {error.strerror}.") from None


def _in_a_process(name: str, folder: Path, ink: Path | None, is_quick: bool) -> str | None:
    """Measure one contender in its own process, to know its peak memory. Returns why there are no figures, if so."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, folder, ink, is_quick, theirs))
    process.start()
    theirs.close()  # the child then holds the last one: EOFError when it ends
    process.join()
    if process.exitcode == 0:
        return None
    try:
        return str(ours.recv())
    except EOFError:  # killed, perhaps out of memory; or an unexpected error, which is on the screen
        problem = f"Its process ended unexpectedly, with exit code {process.exitcode}."
        with suppress(OSError):
            write_json(folder / PROBLEM, {"problem": problem})
        return problem


def _measure(name: str, folder: Path, ink: Path | None, is_quick: bool, to_parent: Connection) -> None:
    """The work of the child process. It ends with its parent, even if that is killed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    contender = next(each for each in contenders() if each.name == name)
    with percent_bar(contender.title) as progress:
        measure = partial(learn_and_measure, contender, folder, ink, is_quick=is_quick, progress=progress)
        try:
            if contender.family == OWN:  # trained already
                measure()
            else:
                _tracked(contender, folder, is_quick, measure)
        except AppError as error:
            to_parent.send(str(error))  # also in the folder, unless the disk is full
            sys.exit(1)


def _tracked(contender: Contender, folder: Path, is_quick: bool, measure: Callable[[], Figures]) -> None:
    """Measure, and record it in MLflow if that is wanted."""
    command = f"python -m mnist_app lab --models {contender.name}{' --quick' if is_quick else ''}"
    parameters = {"family": contender.family, "recipe": contender.recipe}
    with tracked(contender.name, command, parameters, partial(tqdm.write, file=sys.stderr)) as run:
        figures = measure()
        for point in figures.curves:
            run.measured(point)
        accuracies = {"validation": figures.validation_accuracy, "test": figures.accuracy}
        metrics = {split: {"accuracy": accuracy} for split, accuracy in accuracies.items()}
        run.keep(folder, replace(load_card(folder), metrics=metrics))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


@contextmanager
def percent_bar(words: str) -> Iterator[Callable[[float], None]]:
    """Show a progress bar; yields the function to call with the share done, 0 to 1."""
    with tqdm(total=100, desc=words, leave=False, bar_format=BAR) as bar:

        def note(share: float) -> None:
            bar.update(int(100 * share) - bar.n)

        yield note
