"""The child process that runs a job and reports its progress."""

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

MAX_SNAPSHOTS = 12
MAX_REPORTS = 60  # more than a curve on the page can show; all are written with every status
MAX_LOSSES = 120  # points of the loss curve, an even number: when it is reached, pairs are merged
WRITE_EVERY = 0.25  # seconds between two statuses


def work(folder: Path) -> bool:
    """Run the job in ``folder``, in a process of its own, and return whether it ended with a model.

    The process ends when its standard input closes: the server holds the other end, so no child outlives it.
    """
    os.nice(10)  # visitors who draw go first; at 19, any other load would stop the training altogether
    request = read_request(folder)
    reporter = Reporter(folder, request.config if request else TrainConfig())
    if _is_server_gone():  # before anything has begun, so the job still waits for the next server
        return False
    threading.Thread(target=_end_with_the_server, args=(reporter,), daemon=True).start()
    try:
        with FileLock(folder / ALIVE, timeout=0):
            return _report(folder, request, reporter)
    except Timeout:
        print("Another process is already working on this training.", flush=True)
        return False


def _report(folder: Path, request: Request | None, reporter: "Reporter") -> bool:
    if request is None:
        return reporter.end(FAILED, "The request for this training cannot be read.")
    try:
        (folder / PID).write_text(str(os.getpid()))
        reporter.begin()
        said = _learn(folder, request, reporter.watch)
    except AppError as error:
        return reporter.end(FAILED, str(error))
    except OSError as error:
        return reporter.end(FAILED, f"The training could not continue: {error.strerror}.")
    except MemoryError:
        return reporter.end(FAILED, "The training could not continue: there is not enough memory.")
    return reporter.end(LEARNED, said, request.model)


def _learn(folder: Path, request: Request, watch: Watch) -> str:
    """Do what is asked, and return the result in a sentence. Raises AppError or OSError."""
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
    """Whether the server, which never writes to the pipe, has closed its end."""
    return bool(select.select([0], [], [], 0)[0])


def _end_with_the_server(reporter: "Reporter") -> None:
    os.read(0, 1)  # not sys.stdin: Python cannot exit while a thread waits in its buffer
    if reporter.has_begun:  # otherwise the job still waits for the next server
        reporter.end(FAILED, SERVER_GONE)
    os._exit(1)  # not sys.exit, which would end only this thread


@dataclass
class Reporter:
    """Writes a job's status to disk as reports come in, and finally how it ended.

    The status stays small however long the training is: beyond MAX_LOSSES, MAX_REPORTS and MAX_SNAPSHOTS, those
    that will be missed least are dropped, so that the curves keep their shape. The first and the last report stay, and
    those whose network was kept. Only the latter and the last report keep their confusion matrices.
    """

    folder: Path
    config: TrainConfig
    has_begun: bool = field(default=False, init=False)
    _has_ended: bool = field(default=False, init=False)
    _status: JobStatus = field(default=JobStatus(RUNNING, doing="Loading the digits"), init=False)
    _written: float = field(default=-np.inf, init=False)
    _began: float | None = field(default=None, init=False)  # seconds, by time.monotonic()
    _pending: list[float] = field(default_factory=list, init=False)  # losses for the next point
    _each: int = field(default=1, init=False)  # batches in a point of the loss curve
    # One thread reports progress, another that the server is gone: nothing may overwrite the final status.
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def begin(self) -> None:
        """Mark the job as running: from now on, somebody must report how it ends."""
        with self._lock:
            self.has_begun = True
            self._write(must=True)

    def watch(self, report: BatchReport | EpochReport, network: nn.Module) -> None:
        """Add a report to the status."""
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
        done = (report.epoch - 1) * report.batches + report.batch - 1  # the clock starts after the first batch
        rate = done / (now - self._began) if now > self._began else 0.0
        left = self.config.epochs * report.batches - done - 1
        self._pending.append(report.loss)
        losses = self._status.losses
        if len(self._pending) >= self._each:
            losses = (*losses, (passes, sum(self._pending) / len(self._pending)))
            self._pending = []
            if len(losses) == MAX_LOSSES:
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
        if len(snapshots) > MAX_SNAPSHOTS:
            closest = _missed_least(snapshots, spared=())
            with contextlib.suppress(OSError):
                snapshot_path(self.folder, closest).unlink()
            snapshots = tuple(passes for passes in snapshots if passes != closest)
        reports = (*self._status.reports, report)
        if len(reports) > MAX_REPORTS:
            closest = _missed_least([each.passes for each in reports], spared=snapshots)
            reports = tuple(each for each in reports if each.passes != closest)
        reports = tuple(
            each if each.passes in (*snapshots, report.passes) else dataclasses.replace(each, confusion=())
            for each in reports
        )
        self._status = dataclasses.replace(self._status, reports=reports, snapshots=snapshots)

    def _is_kept(self, passes: float, network: nn.Module) -> bool:
        """Save the network as it is now, and return whether that worked: a full disk is no reason to stop."""
        path = snapshot_path(self.folder, passes)
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(save_tensors({name: value.contiguous() for name, value in network.state_dict().items()}))
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()  # half a network is useless and takes space
            return False
        return True

    def end(self, state: str, reason: str, model: str = "") -> bool:
        """Report how the job ended, and return whether it ended with a model. Only the first call counts."""
        with self._lock:
            if self._has_ended:
                return False
            self._has_ended = True
            self._status = dataclasses.replace(
                self._status, state=state, reason=reason, model=model, doing="", seconds_left=None
            )
            with contextlib.suppress(OSError):
                print(reason, flush=True)  # for the server, in case the disk is full
            self._write(must=True)
        return state == LEARNED

    def _write(self, must: bool) -> None:
        if not must and time.monotonic() - self._written < WRITE_EVERY:
            return
        try:
            write_status(self.folder, self._status)
        except OSError:
            return  # the disk may have room by the next report; if not, saving the model will fail
        self._written = time.monotonic()


def _missed_least(moments: Sequence[float], spared: Collection[float]) -> float:
    """Of ordered moments, the one whose neighbours are closest together; not the first, the last or one spared."""
    gaps = {
        moment: later - before
        for before, moment, later in zip(moments, moments[1:], moments[2:], strict=False)
        if moment not in spared
    }
    return min(gaps, key=gaps.__getitem__)
