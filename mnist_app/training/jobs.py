"""Trainings in the background: one child process at a time, the others in line; all that is known of them is on disk.

A job is a folder under MNIST_APP_HOME/jobs, named so that the oldest comes first:

    request.json   what is to be learned, and the model that it becomes; written once
    status.json    how far it has come, replaced whole a few times a second; none while the job waits
    cancel         an empty file: somebody wants no more of it
    snapshots/     the network at up to MOST_SNAPSHOTS moments
    model/         what came of it, until it takes its place among the user's models
    ink/           the drawings of a lesson, written once
    taught.json    what a lesson has done
    alive          locked by the child for as long as it lives
"""

import contextlib
import dataclasses
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from mnist_app.errors import AppError
from mnist_app.ink.restyling import Restyling
from mnist_app.models.networks import CLASSES, build
from mnist_app.models.registry import ModelError, load_card, new_model_folder, put_in_place
from mnist_app.models.shelf import checked_label, label
from mnist_app.storage import home
from mnist_app.training.augmentation import Augmentation
from mnist_app.training.inkset import Ink, InkConfig, load_ink
from mnist_app.training.teach import Taught, command_of_lesson, teach_model
from mnist_app.training.train import BatchReport, EpochReport, TrainConfig
from mnist_app.training.trainer import Watch, command_of, train_model

WAITING, RUNNING, DONE, CANCELLED, FAILED = "waiting", "running", "done", "cancelled", "failed"
LEARNED = "learned"  # the child has done its part, and the model is about to take its place
MOST_SNAPSHOTS = 12
MOST_LOSSES = 120  # points of the loss curve; when there are more, neighbours are merged
MOST_WAITING = 8  # jobs in line: a class's worth of patience
MOST_ENDED = 12  # ended jobs that are remembered
WRITE_EVERY = 0.25  # seconds between two reports of progress
LOOK_EVERY = 0.1  # seconds between two looks at the queue: cancelling takes effect within a few of them

REQUEST, STATUS, CANCEL, ALIVE, PID = "request.json", "status.json", "cancel", "alive", "pid"
INK, TAUGHT = "ink", "taught.json"

SERVER_STOPPED = "The server was stopped before the training had finished."
SERVER_GONE = "The server ended while the network was training."


class JobError(AppError):
    """What was asked of a job cannot be done; the message says why."""


@dataclass(frozen=True)
class Request:
    """What a job is to do."""

    model: str  # the name of the model that it becomes
    config: TrainConfig
    title: str = ""  # what its visitor calls it, any text
    parent: str | None = None  # the model that is taught the job's drawings; None learns from nothing

    @classmethod
    def from_json(cls, found: Any) -> "Request":
        """Raises ValueError, TypeError or KeyError where this is no request."""
        config, parent = dict(found["config"]), found.get("parent")
        if (config.get("ink") is None) != (parent is None):
            raise ValueError("a lesson has drawings, and any other job learns from MNIST alone")
        if parent is not None:
            ink = config["ink"]
            restyling = Restyling(**ink["restyling"])
            config["ink"] = InkConfig(**{**ink, "restyling": restyling, "without": tuple(ink["without"])})
        config["augmentation"] = Augmentation(**config["augmentation"])
        if not isinstance(found["model"], str) or not isinstance(found["title"], str):
            raise TypeError("a model's name is a text")
        return cls(found["model"], TrainConfig(**config), found["title"], None if parent is None else str(parent))


@dataclass(frozen=True)
class JobStatus:
    """How far a job has come, or how it ended."""

    state: str = WAITING
    reason: str = ""  # why it ended, in a sentence
    doing: str = ""  # what it is busy with, while it runs
    passes: float = 0.0  # over the training digits, done by now
    epoch: int = 0
    batch: int = 0  # within the epoch
    batches: int = 0  # in an epoch
    examples_per_second: float = 0.0
    seconds_left: float | None = None  # until it has learned; what is measured at the end takes a little more
    losses: tuple[tuple[float, float], ...] = ()  # passes, mean training loss since the point before
    reports: tuple[EpochReport, ...] = ()
    snapshots: tuple[float, ...] = ()  # passes of the reports whose network was kept
    model: str = ""  # the name of what came of it, once that is in its place

    @property
    def is_over(self) -> bool:
        return self.state in (DONE, CANCELLED, FAILED)

    @classmethod
    def from_json(cls, found: Any) -> "JobStatus":
        """Raises ValueError, TypeError or KeyError where this is no status."""
        losses = tuple((float(passes), float(loss)) for passes, loss in found.pop("losses"))
        reports = tuple(_report_from_json(report) for report in found.pop("reports"))
        snapshots = tuple(float(passes) for passes in found.pop("snapshots"))
        if found["state"] not in (RUNNING, LEARNED, DONE, CANCELLED, FAILED):
            raise ValueError("there is no such state")
        numbers = [found[name] for name in ("passes", "epoch", "batch", "batches", "examples_per_second")]
        numbers.append(found["seconds_left"] or 0)
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("a number is no number")
        if not isinstance(found.get("model", ""), str):
            raise TypeError("a model's name is a text")
        return cls(**found, losses=losses, reports=reports, snapshots=snapshots)


def _report_from_json(found: Any) -> EpochReport:
    confusion = np.array(found["confusion"])
    if confusion.shape != (CLASSES, CLASSES) or confusion.dtype.kind != "i":
        raise ValueError("a confusion matrix is ten by ten counts")
    numbers = {name: value for name, value in found.items() if name != "confusion"}
    if not all(isinstance(number, int | float) for number in numbers.values()):
        raise TypeError("a number is no number")
    return EpochReport(**numbers, confusion=tuple(tuple(row) for row in confusion.tolist()))


def _snapshot(folder: Path, passes: float) -> Path:
    return folder / "snapshots" / f"{passes:.3f}.safetensors"


@dataclass(frozen=True)
class Job:
    """A request and what became of it."""

    id: str
    request: Request | None  # None where it cannot be read
    status: JobStatus
    place: int = 0  # in the queue, from 1; 0 of what does not wait

    @property
    def name(self) -> str:
        """The name of the model that it becomes, or has become: that may be another, where its own was taken."""
        return self.status.model or (self.request.model if self.request else "")

    @property
    def title(self) -> str:
        """What people call it."""
        return (self.request and self.request.title) or self.name or "A training"


def jobs_folder() -> Path:
    return home() / "jobs"


def submit(model: str, config: TrainConfig, title: str = "", parent: str | None = None, drawings: str = "") -> str:
    """Put a training at the end of the queue, for whichever server runs it, and return the job's id.

    With a ``parent`` it is a lesson: that model is taught ``drawings``, which are JSON lines. Raises ModelError where
    the name cannot be had, JobError where the queue is full or the disk refuses.
    """
    identity = f"{time.time_ns()}-{secrets.token_hex(2)}"
    try:
        jobs_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(jobs_folder() / "line"), tempfile.TemporaryDirectory(dir=jobs_folder(), prefix=".") as workshop:
            new_model_folder(model)
            title = checked_label(model, title, "").title
            line = [job for job in list_jobs() if not job.status.is_over]
            if any(job.name == model for job in line):
                raise JobError(f"A training of {model!r} is under way already. Choose another name.")
            if len(line) > MOST_WAITING:
                raise JobError(f"{MOST_WAITING} trainings wait already. Try again when one has ended.")
            new = Path(workshop, identity)
            new.mkdir()
            (new / REQUEST).write_text(json.dumps(asdict(Request(model, config, title, parent))))
            if parent is not None:
                (new / INK).mkdir()
                (new / INK / "corrections.jsonl").write_text(drawings)
            os.replace(new, jobs_folder() / identity)
    except OSError as error:
        raise JobError(f"{jobs_folder()} could not be written: {error.strerror}.") from None
    return identity


def cancel(identity: str) -> None:
    """Ask for a job's end. What runs is ended within moments, what waits never begins. Raises JobError."""
    try:
        (jobs_folder() / identity / CANCEL).touch()
    except OSError as error:
        raise JobError(f"The training could not be cancelled: {error.strerror}.") from None


def list_jobs() -> list[Job]:
    """Every job there is, the oldest first, the waiting ones with their places."""
    jobs, place = [], 0
    for folder in _folders():
        status = _read_status(folder)
        if status.state == WAITING:
            place += 1
        jobs.append(Job(folder.name, _read_request(folder), status, place if status.state == WAITING else 0))
    return jobs


def snapshot_network(job: Job, passes: float) -> nn.Module:
    """The network as it was after so many passes, of ``status.snapshots``, ready to answer. Raises JobError."""
    try:
        assert job.request, "a snapshot is of a known network"
        network = build(job.request.config.architecture)
        network.load_state_dict(load_tensors(_snapshot(jobs_folder() / job.id, passes).read_bytes()))
    except (OSError, SafetensorError, RuntimeError):
        raise JobError("This moment of the training was not kept.") from None
    return network.eval()


def taught(job: Job) -> Taught | None:
    """What a lesson has done; None while that is not known, and of any other job."""
    try:
        return Taught.from_json((jobs_folder() / job.id / TAUGHT).read_text())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def drawings_of(job: Job) -> Ink:
    """The drawings of a lesson. Raises AppError."""
    return load_ink(jobs_folder() / job.id / INK)


def _folders() -> list[Path]:
    return sorted(path for path in jobs_folder().glob("[0-9]*") if path.is_dir())


def _read_request(folder: Path) -> Request | None:
    try:
        return Request.from_json(json.loads((folder / REQUEST).read_text()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _read_status(folder: Path) -> JobStatus:
    return _known_status(folder) or JobStatus(FAILED, "What this training reported cannot be read.")


def _known_status(folder: Path) -> JobStatus | None:
    """What the job last reported; None where that is not readable."""
    try:
        return JobStatus.from_json(json.loads((folder / STATUS).read_text()))
    except FileNotFoundError:
        return JobStatus()
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _made_in(folder: Path, request: Request) -> Path:
    """Where a job saves its model at first: what is cancelled or fails has touched nothing outside its own folder."""
    return folder / "model" / request.model


def _write_status(folder: Path, status: JobStatus) -> None:
    """Whole or not at all. Raises OSError."""
    part = folder / f".{STATUS}.{os.getpid()}.{threading.get_ident()}"
    try:
        part.write_text(json.dumps(asdict(status)))
        os.replace(part, folder / STATUS)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


# In the child process


def work(folder: Path) -> bool:
    """Do the job in ``folder``, in a process of its own; whether it ended with a model.

    Ends by itself when standard input does: whoever started it holds the other end, and cannot leave it behind.
    """
    if hasattr(os, "nice"):
        os.nice(10)  # who draws goes first; at 19 whatever else the machine does would stop it altogether
    request = _read_request(folder)
    reporter = Reporter(folder, request.config if request else TrainConfig())
    (folder / PID).write_text(str(os.getpid()))
    with FileLock(folder / ALIVE):
        threading.Thread(target=_end_with_the_server, args=(reporter,), daemon=True).start()
        if request is None:
            return reporter.end(FAILED, "What was to be learned cannot be read.")
        try:
            said = _learn(folder, request, reporter.watch)
        except AppError as error:
            return reporter.end(FAILED, str(error))
        except OSError as error:
            return reporter.end(FAILED, f"The training could not go on: {error.strerror}.")
        except MemoryError:
            return reporter.end(FAILED, "The training could not go on: there is not enough memory.")
        return reporter.end(LEARNED, said)


def _learn(folder: Path, request: Request, watch: Watch) -> str:
    """Do what is asked, and say in a sentence what came of it. Raises AppError or OSError."""
    made, where = _made_in(folder, request), ["--name", request.model]
    if request.parent is None:
        card = train_model(made, request.config, watch, command_of(request.config, where))
        return f"{card.metrics['test']['accuracy']:.2%} of the test digits are read right."
    command = command_of_lesson(request.parent, where, request.config.seed)
    _, done = teach_model(made, request.parent, folder / INK, request.config, watch, command)
    (folder / TAUGHT).write_text(done.to_json())
    return done.sentence


def _end_with_the_server(reporter: "Reporter") -> None:
    os.read(0, 1)  # not sys.stdin: Python cannot end while a thread waits in its buffer
    reporter.end(FAILED, SERVER_GONE)
    os._exit(1)  # not sys.exit: that would end this thread alone


@dataclass
class Reporter:
    """Writes down how far a training has come, as its reports come in."""

    folder: Path
    config: TrainConfig
    _status: JobStatus = field(default=JobStatus(RUNNING, doing="Reading the digits"), init=False)
    _written: float = field(default=-np.inf, init=False)
    _began: float | None = field(default=None, init=False)  # seconds, by time.monotonic()
    _pending: list[float] = field(default_factory=list, init=False)  # losses of the point to come
    _each: int = field(default=1, init=False)  # batches in a point of the loss curve
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)  # for what is said last

    def __post_init__(self) -> None:
        self._write(must=True)

    def watch(self, report: BatchReport | EpochReport, network: nn.Module) -> None:
        """Take note of a report."""
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
            if len(losses) > MOST_LOSSES:
                self._each *= 2
                pairs = zip(losses[0::2], losses[1::2], strict=False)
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
        kept = [*self._status.snapshots, report.passes]
        tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        with contextlib.suppress(OSError):  # a moment that was not kept is no reason to stop
            path = _snapshot(self.folder, report.passes)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(save_tensors(tensors))
            if len(kept) > MOST_SNAPSHOTS:
                gaps = [later - before for before, later in zip(kept[:-2], kept[2:], strict=True)]
                closest = kept.pop(1 + int(np.argmin(gaps)))  # it is missed least
                _snapshot(self.folder, closest).unlink(missing_ok=True)
        reports = (*self._status.reports, report)
        self._status = dataclasses.replace(self._status, reports=reports, snapshots=tuple(kept))

    def end(self, state: str, reason: str) -> bool:
        """Say how it ended, once: the first word stands. Whether it ended with a model."""
        if not self._lock.acquire(blocking=False):
            time.sleep(5)  # the other thread is saying it
            return False
        self._status = dataclasses.replace(self._status, state=state, reason=reason, doing="", seconds_left=None)
        with contextlib.suppress(OSError):
            print(reason, flush=True)  # for the server, where the disk takes no more
        self._write(must=True)
        return state == LEARNED

    def _write(self, must: bool) -> None:
        if not must and time.monotonic() - self._written < WRITE_EVERY:
            return
        try:
            _write_status(self.folder, self._status)
        except OSError:
            return  # a full disk may have room again by the next report, and the model says it if not
        self._written = time.monotonic()


# In the server


class Queue:
    """Runs the jobs that wait, one at a time. Of all servers that share a home one does; the others only look on."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._running: _Running | None = None
        self._unwritten: dict[Path, JobStatus] = {}  # how jobs ended, where the disk took no more

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End what runs, with a word on why, and leave what waits for the next server."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def jobs(self) -> list[Job]:
        """Every job there is, as list_jobs() has it, and what could not be written down besides."""
        unwritten = {folder.name: status for folder, status in self._unwritten.items()}
        return [
            dataclasses.replace(job, status=unwritten[job.id], place=0) if job.id in unwritten else job
            for job in list_jobs()
        ]

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                jobs_folder().mkdir(parents=True, exist_ok=True)
                with FileLock(jobs_folder() / "runner", timeout=0):
                    self._recover()
                    while not self._stopping.wait(LOOK_EVERY):
                        self._look()
                    if self._running:
                        self._end(self._running, FAILED, SERVER_STOPPED)
            except (OSError, Timeout):  # another server is at it, or the disk refuses: it may be otherwise soon
                self._stopping.wait(1)
            except Exception:  # whoever waits would wait for ever
                logging.getLogger(__name__).exception("The queue stumbled and goes on")
                self._stopping.wait(1)

    def _recover(self) -> None:
        """Jobs that an earlier server left behind have a clear end, and no process."""
        for folder in _folders():
            status = _known_status(folder)
            if status and status.state == RUNNING:
                _end_leftover(folder)
                status = _known_status(folder)  # its last word, if it had one
            if status is None or status.state in (RUNNING, LEARNED):
                self._settle(folder, FAILED, SERVER_GONE)

    def _look(self) -> None:
        for folder, status in list(self._unwritten.items()):
            self._note(folder, status)
        for folder in _folders():
            is_ours = self._running is not None and self._running.folder == folder
            if not (folder / CANCEL).exists() or folder in self._unwritten:
                continue
            if is_ours:
                assert self._running
                self._end(self._running, CANCELLED, "It was cancelled.")
            elif not (folder / STATUS).exists():
                self._note(folder, JobStatus(CANCELLED, "It was cancelled before it began."))
        if self._running and self._running.process.poll() is not None:
            self._ended(self._running)
        if self._running is None:
            self._start_next()

    def _start_next(self) -> None:
        waiting = [folder for folder in _folders() if not (folder / STATUS).exists() and folder not in self._unwritten]
        if not waiting:
            return
        self._forget_old()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "mnist_app", "train", "--job", str(waiting[0])]
        with contextlib.ExitStack() as stack:
            said = stack.enter_context((waiting[0] / "said").open("wb"))
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                cwd=Path(__file__).parents[2],
                env=environment,
            )
        self._running = _Running(waiting[0], process)

    def _ended(self, running: "_Running") -> None:
        """The child is gone: it has said how it ended, or it was ended."""
        self._running = None
        said = running.last_word()
        code = running.process.returncode
        if code < 0:
            said = f"The training was ended from outside ({signal.Signals(-code).name}) before it had finished."
        self._settle(running.folder, FAILED, said or "The training ended without a word.")

    def _end(self, running: "_Running", state: str, reason: str) -> None:
        """End the child at once: what it writes appears whole or not at all, so that there is nothing to wait for."""
        self._running = None
        running.process.kill()
        running.last_word()
        self._settle(running.folder, state, reason)

    def _settle(self, folder: Path, state: str, reason: str) -> None:
        """Put what a job has made in its place; one that made nothing ends in ``state``, unless it has said how."""
        status = _known_status(folder)
        if status is not None and status.is_over:
            return
        request = _read_request(folder)
        made = _made_in(folder, request) if request else folder / "model"
        if (status is None or status.state == LEARNED) and _is_model(made):
            try:
                name = put_in_place(made)
            except OSError as error:  # the model stays where it was made
                state, reason = FAILED, f"The model could not be put in its place: {error.strerror}."
            else:
                if request and request.title:
                    with contextlib.suppress(ModelError):  # it is called by its name, then
                        label(name, request.title, "")
                lost = JobStatus(reason="The model is there; what the training reported is lost.")
                done = dataclasses.replace(status or lost, state=DONE, model=name)
                if request and name != request.model:
                    said = f"Another model got the name {request.model!r} meanwhile; this one is {name!r}."
                    done = dataclasses.replace(done, reason=said)
                self._note(folder, done)
                return
        else:
            shutil.rmtree(folder / "model", ignore_errors=True)
        known = status or JobStatus(RUNNING)
        self._note(folder, dataclasses.replace(known, state=state, reason=reason, doing="", seconds_left=None))

    def _note(self, folder: Path, status: JobStatus) -> None:
        """Write down how a job ended, or remember it until the disk takes it."""
        try:
            _write_status(folder, status)
            self._unwritten.pop(folder, None)
        except OSError:
            self._unwritten[folder] = status

    def _forget_old(self) -> None:
        ended = [folder for folder in _folders() if _read_status(folder).is_over]
        for folder in ended[:-MOST_ENDED]:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Running:
    folder: Path
    process: "subprocess.Popen[bytes]"

    def last_word(self) -> str:
        """The last line that the child said, once it has ended."""
        said, _ = self.process.communicate()
        lines: Sequence[str] = said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _is_model(folder: Path) -> bool:
    try:
        load_card(folder)
    except ModelError:
        return False
    return True


def _end_leftover(folder: Path) -> None:
    """Wait for a child whose server is gone, and end it if it does not end by itself."""
    try:
        with FileLock(folder / ALIVE, timeout=2):
            return
    except Timeout:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((folder / PID).read_text()), signal.SIGKILL)  # it holds the lock, so the number is its own
