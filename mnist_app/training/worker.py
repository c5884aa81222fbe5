"""The child process that does a job, and reports how far it has come."""

import contextlib
import dataclasses
import os
import select
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from safetensors.torch import save as save_tensors
from torch import nn

from mnist_app.errors import AppError
from mnist_app.training.jobs import (
    ALIVE,
    FAILED,
    INK,
    LEARNED,
    PID,
    RUNNING,
    SERVER_GONE,
    TAUGHT,
    JobStatus,
    Request,
    made_in,
    read_request,
    snapshot_path,
    write_status,
)
from mnist_app.training.teach import command_of_lesson, teach_model
from mnist_app.training.tracking import tracked
from mnist_app.training.train import BatchReport, EpochReport, TrainConfig
from mnist_app.training.trainer import Watch, command_of, train_model

MOST_SNAPSHOTS = 12
MOST_REPORTS = 60  # more than a curve of that width can show; each is written with every status
MOST_LOSSES = 120  # points of the loss curve, an even number: when there are as many, neighbours are merged
WRITE_EVERY = 0.25  # seconds between two reports of progress


def work(folder: Path) -> bool:
    """Do the job in ``folder``, in a process of its own; whether it ended with a model.

    Ends by itself when standard input does: whoever started it holds the other end, and cannot leave it behind.
    """
    os.nice(10)  # who draws goes first; at 19 whatever else the machine does would stop it altogether
    request = read_request(folder)
    reporter = Reporter(folder, request.config if request else TrainConfig())
    if _is_server_gone():  # before anything was begun: the job still waits, for the next server
        return False
    threading.Thread(target=_end_with_the_server, args=(reporter,), daemon=True).start()
    try:
        with FileLock(folder / ALIVE, timeout=0):
            return _report(folder, request, reporter)
    except Timeout:
        print("Another process is at this training already.", flush=True)
        return False


def _report(folder: Path, request: Request | None, reporter: "Reporter") -> bool:
    if request is None:
        return reporter.end(FAILED, "What was to be learned cannot be read.")
    try:
        (folder / PID).write_text(str(os.getpid()))
        reporter.begin()
        said = _learn(folder, request, reporter.watch)
    except AppError as error:
        return reporter.end(FAILED, str(error))
    except OSError as error:
        return reporter.end(FAILED, f"The training could not go on: {error.strerror}.")
    except MemoryError:
        return reporter.end(FAILED, "The training could not go on: there is not enough memory.")
    return reporter.end(LEARNED, said, request.model)


def _learn(folder: Path, request: Request, watch: Watch) -> str:
    """Do what is asked, and say in a sentence what came of it. Raises AppError or OSError."""
    made, where, problems = made_in(folder, request), ["--name", request.model], list[str]()
    if request.parent is None:
        command = command_of(request.config, where)
    else:
        command = command_of_lesson(request.parent, where, request.config.seed)
    with tracked(request.model, command, dataclasses.asdict(request.config), problems.append) as run:
        if request.parent is None:
            card = train_model(made, request.config, run.beside(watch), command)
            said = f"{card.metrics['test']['accuracy']:.2%} of the test digits are read right."
        else:
            card, done = teach_model(made, request.parent, folder / INK, request.config, run.beside(watch), command)
            (folder / TAUGHT).write_text(done.to_json())
            said = done.sentence
        run.keep(made, card)
    return " ".join([said, *problems])


def _is_server_gone() -> bool:
    """Whether the pipe is shut that the server holds; it never writes to it."""
    return bool(select.select([0], [], [], 0)[0])


def _end_with_the_server(reporter: "Reporter") -> None:
    os.read(0, 1)  # not sys.stdin: Python cannot end while a thread waits in its buffer
    if reporter.has_begun:  # otherwise the job still waits, for the next server
        reporter.end(FAILED, SERVER_GONE)
    os._exit(1)  # not sys.exit: that would end this thread alone


@dataclass
class Reporter:
    """Writes down how far a training has come, as its reports come in, and once how it ended.

    What it writes stays small however long the training is: of more than MOST_LOSSES, MOST_REPORTS and MOST_SNAPSHOTS
    those go that are missed least, so that the curves keep their shape. The first and the last report stay, and those
    whose network was kept; these and the last one alone keep their confusion matrices.
    """

    folder: Path
    config: TrainConfig
    has_begun: bool = field(default=False, init=False)
    _has_ended: bool = field(default=False, init=False)
    _status: JobStatus = field(default=JobStatus(RUNNING, doing="Reading the digits"), init=False)
    _written: float = field(default=-np.inf, init=False)
    _began: float | None = field(default=None, init=False)  # seconds, by time.monotonic()
    _pending: list[float] = field(default_factory=list, init=False)  # losses of the point to come
    _each: int = field(default=1, init=False)  # batches in a point of the loss curve
    # Progress is reported by one thread, the server's end by another: nothing may be written over the last word.
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def begin(self) -> None:
        """From now on the job is under way, and somebody must say how it ends."""
        with self._lock:
            self.has_begun = True
            self._write(must=True)

    def watch(self, report: BatchReport | EpochReport, network: nn.Module) -> None:
        """Take note of a report."""
        with self._lock:
            if self._has_ended:
                return
            if isinstance(report, EpochReport):
                self._measured(report, network)
            else:
                self._stepped(report)
            self._write(must=isinstance(report, EpochReport))

    def _stepped(self, report: BatchReport) -> None:
        now = time.monotonic()
        self._began = self._began or now
        passes = report.epoch - 1 + report.batch / report.batches
        done = (report.epoch - 1) * report.batches + report.batch - 1  # the clock starts when the first has been done
        rate = done / (now - self._began) if now > self._began else 0.0
        left = self.config.epochs * report.batches - done - 1
        self._pending.append(report.loss)
        losses = self._status.losses
        if len(self._pending) >= self._each:
            losses = (*losses, (passes, sum(self._pending) / len(self._pending)))
            self._pending = []
            if len(losses) == MOST_LOSSES:
                self._each *= 2
                pairs = zip(losses[0::2], losses[1::2], strict=True)
                losses = tuple((later[0], (before[1] + later[1]) / 2) for before, later in pairs)
        self._status = dataclasses.replace(
            self._status,
            doing="Learning" if left else "Measuring on validation and test",
            passes=passes,
            epoch=report.epoch,
            batch=report.batch,
            batches=report.batches,
            examples_per_second=rate * self.config.batch_size,
            seconds_left=left / rate if rate else None,
            losses=losses,
        )

    def _measured(self, report: EpochReport, network: nn.Module) -> None:
        snapshots = self._status.snapshots
        if self._is_kept(report.passes, network):
            snapshots = (*snapshots, report.passes)
        if len(snapshots) > MOST_SNAPSHOTS:
            closest = _missed_least(snapshots, spared=())
            with contextlib.suppress(OSError):
                snapshot_path(self.folder, closest).unlink()
            snapshots = tuple(passes for passes in snapshots if passes != closest)
        reports = (*self._status.reports, report)
        if len(reports) > MOST_REPORTS:
            closest = _missed_least([each.passes for each in reports], spared=snapshots)
            reports = tuple(each for each in reports if each.passes != closest)
        reports = tuple(
            each if each.passes in (*snapshots, report.passes) else dataclasses.replace(each, confusion=())
            for each in reports
        )
        self._status = dataclasses.replace(self._status, reports=reports, snapshots=snapshots)

    def _is_kept(self, passes: float, network: nn.Module) -> bool:
        """Keep the network as it is now, if the disk takes it: a moment that is lost is no reason to stop."""
        path = snapshot_path(self.folder, passes)
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(save_tensors({name: value.contiguous() for name, value in network.state_dict().items()}))
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()  # half a network is of no use, and takes room
            return False
        return True

    def end(self, state: str, reason: str, model: str = "") -> bool:
        """Say how it ended, once: the first word stands. Whether it ended with a model."""
        with self._lock:
            if self._has_ended:
                return False
            self._has_ended = True
            self._status = dataclasses.replace(
                self._status, state=state, reason=reason, model=model, doing="", seconds_left=None
            )
            with contextlib.suppress(OSError):
                print(reason, flush=True)  # for the server, where the disk takes no more
            self._write(must=True)
        return state == LEARNED

    def _write(self, must: bool) -> None:
        if not must and time.monotonic() - self._written < WRITE_EVERY:
            return
        try:
            write_status(self.folder, self._status)
        except OSError:
            return  # a full disk may have room again by the next report, and the model says it if not
        self._written = time.monotonic()


def _missed_least(moments: Sequence[float], spared: Collection[float]) -> float:
    """Of moments in their order the one between its neighbours' closest; neither the first nor the last."""
    gaps = {
        moment: later - before
        for before, moment, later in zip(moments, moments[1:], moments[2:], strict=False)
        if moment not in spared
    }
    return min(gaps, key=gaps.__getitem__)
