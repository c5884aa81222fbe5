"""Trainings in the background: what each job should do and how far it has come, all of it on disk.

A job is a folder under MNIST_APP_HOME/jobs, named so that the oldest comes first:

    request.json   what to learn, and the name of the model it becomes; written once
    status.json    how far it has come, replaced whole a few times a second; missing while the job waits
    cancel         an empty file: somebody has cancelled the job
    snapshots/     the network as it was after some of the reports
    model/         the finished model, until it is moved to the user's models
    ink/           the drawings of a lesson, written once
    taught.json    the results of a lesson
    alive          locked by the child process for as long as it lives
    pid            the child's process id, so that the next server can kill it
    stderr         the child's standard error: empty, or an unforeseen error
"""

import contextlib
import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from mnist_app.errors import AppError
from mnist_app.ink.restyling import Restyling
from mnist_app.models.networks import CLASSES, build
from mnist_app.models.registry import new_model_folder
from mnist_app.models.shelf import checked_label
from mnist_app.storage import home
from mnist_app.training.augmentation import Augmentation
from mnist_app.training.inkset import Ink, InkConfig, load_ink
from mnist_app.training.teach import Taught
from mnist_app.training.train import EpochReport, TrainConfig

WAITING, RUNNING, DONE, CANCELLED, FAILED = "waiting", "running", "done", "cancelled", "failed"
LEARNED = "learned"  # the child has finished, and its model is about to be moved to the user's
MAX_WAITING = 8  # jobs besides the running one: a class has patience for no more
MAX_PARSED = 64  # requests kept in memory, and as many statuses: more than there are jobs to list

REQUEST, STATUS, CANCEL, ALIVE, PID = "request.json", "status.json", "cancel", "alive", "pid"
STDERR = "stderr"
INK, TAUGHT = "ink", "taught.json"

SERVER_GONE = "The server stopped while the network was training."


class JobError(AppError):
    """A job cannot do what was asked; the message says why."""


@dataclass(frozen=True)
class Request:
    """What a job is asked to do."""

    model: str  # the name of the model it becomes
    config: TrainConfig
    title: str = ""  # what the visitor called it, any text
    parent: str | None = None  # the model that is taught the job's drawings; None trains a new one

    @classmethod
    def from_json(cls, found: Any) -> "Request":
        """Parse a request. Raises ValueError, TypeError or KeyError if it is malformed."""
        config, parent = dict(found["config"]), found.get("parent")
        if (config.get("ink") is None) != (parent is None):
            raise ValueError("a lesson needs ink, and any other job must have none")
        if parent is not None:
            ink = config["ink"]
            restyling = Restyling(**ink["restyling"])
            config["ink"] = InkConfig(**{**ink, "restyling": restyling, "without": tuple(ink["without"])})
        config["augmentation"] = Augmentation(**config["augmentation"])
        if not isinstance(found["model"], str) or not isinstance(found["title"], str):
            raise TypeError("the model's name or title is not a string")
        return cls(found["model"], TrainConfig(**config), found["title"], None if parent is None else str(parent))


@dataclass(frozen=True)
class JobStatus:
    """How far a job has come, or how it ended."""

    state: str = WAITING
    reason: str = ""  # why it ended, in a sentence
    doing: str = ""  # what it is doing, while it runs
    passes: float = 0.0  # over the training digits so far
    epoch: int = 0
    batch: int = 0  # within the epoch
    batches: int = 0  # in an epoch
    examples_per_second: float = 0.0
    seconds_left: float | None = None  # until it has learned; measuring at the end takes a little longer
    losses: tuple[tuple[float, float], ...] = ()  # passes, mean training loss since the previous point
    reports: tuple[EpochReport, ...] = ()  # of a long training only some, including those with a snapshot
    snapshots: tuple[float, ...] = ()  # passes of the reports whose network was kept
    model: str = ""  # its model's name, once it has learned; not the one requested if that was taken by then

    @property
    def is_over(self) -> bool:
        return self.state in (DONE, CANCELLED, FAILED)

    @classmethod
    def from_json(cls, found: Any) -> "JobStatus":
        """Parse a status. Raises ValueError, TypeError or KeyError if it is malformed."""
        losses = tuple((float(passes), float(loss)) for passes, loss in found.pop("losses"))
        reports = tuple(_report_from_json(report) for report in found.pop("reports"))
        snapshots = tuple(float(passes) for passes in found.pop("snapshots"))
        if found["state"] not in (RUNNING, LEARNED, DONE, CANCELLED, FAILED):
            raise ValueError("the state is unknown")
        numbers = [found[name] for name in ("passes", "epoch", "batch", "batches", "examples_per_second")]
        numbers.append(found["seconds_left"] or 0)
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("a figure is not a number")
        if not isinstance(found.get("model", ""), str):
            raise TypeError("the model's name is not a string")
        return cls(**found, losses=losses, reports=reports, snapshots=snapshots)


def _report_from_json(found: Any) -> EpochReport:
    confusion = np.array(found["confusion"])
    if found["confusion"] != [] and (confusion.shape != (CLASSES, CLASSES) or confusion.dtype.kind != "i"):
        raise ValueError("the confusion matrix is not ten by ten counts")
    numbers = {name: value for name, value in found.items() if name != "confusion"}
    if not all(isinstance(number, int | float) for number in numbers.values()):
        raise TypeError("a figure is not a number")
    return EpochReport(**numbers, confusion=tuple(tuple(row) for row in confusion.tolist()))


def snapshot_path(folder: Path, passes: float) -> Path:
    """Where a job keeps the network as it was after ``passes``."""
    return folder / "snapshots" / f"{passes:.3f}.safetensors"


@dataclass(frozen=True)
class Job:
    """A request and its status."""

    id: str
    request: Request | None  # None if it cannot be read
    status: JobStatus
    place: int = 0  # in the queue, from 1; 0 if it is not waiting

    @property
    def name(self) -> str:
        """The name of the model it becomes or has become, which may differ from the one requested if that was taken."""
        return self.status.model or (self.request.model if self.request else "")

    @property
    def title(self) -> str:
        """What people see as its name."""
        return (self.request and self.request.title) or self.name or "A training"


def jobs_folder() -> Path:
    return home() / "jobs"


def submit(model: str, config: TrainConfig, title: str = "", parent: str | None = None, drawings: str = "") -> str:
    """Put a training at the end of the queue, for whichever server runs it, and return the job's id.

    With a ``parent`` it is a lesson: that model is taught ``drawings``, which are JSON lines. Raises ModelError if the
    name is not available, JobError if it is in the queue already, the queue is full or the disk cannot be written.
    """
    identity = f"{time.time_ns()}-{secrets.token_hex(2)}"
    try:
        jobs_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(jobs_folder() / "line"), tempfile.TemporaryDirectory(dir=jobs_folder(), prefix=".") as workshop:
            new_model_folder(model)
            title = checked_label(model, title, "").title
            line = [job for job in list_jobs() if not job.status.is_over]
            if any(job.name == model for job in line):
                raise JobError(f"A training of {model!r} is already in the queue. Choose another name.")
            if title and any(job.title == title for job in line):
                raise JobError(f"A training named {title!r} is already in the queue. Choose another name.")
            if len(line) > MAX_WAITING:
                raise JobError(f"{MAX_WAITING} trainings are already waiting. Try again when one has ended.")
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
    """Cancel a job: a running one is ended within moments, a waiting one never starts. Raises JobError."""
    try:
        (jobs_folder() / identity / CANCEL).touch()
    except OSError as error:
        raise JobError(f"The training could not be cancelled: {error.strerror}.") from None


def list_jobs(unwritten: Mapping[Path, JobStatus] | None = None) -> list[Job]:
    """Return all jobs, the oldest first, the waiting ones with their places in the queue.

    A status in ``unwritten``, by the job's folder, takes precedence over the one on disk.
    """
    jobs, place = [], 0
    for folder in job_folders():
        status = (unwritten or {}).get(folder) or read_status(folder)
        request = read_request(folder)
        if not folder.exists():  # deleted meanwhile: what was just read may be incomplete
            continue
        if status.state == WAITING:
            place += 1
        jobs.append(Job(folder.name, request, status, place if status.state == WAITING else 0))
    return jobs


def snapshot_network(identity: str, architecture: str, passes: float) -> nn.Module:
    """Load a job's network as it was after ``passes``, one of ``status.snapshots``, ready to read. Raises JobError."""
    try:
        network = build(architecture)
        network.load_state_dict(load_tensors(snapshot_path(jobs_folder() / identity, passes).read_bytes()))
    except (OSError, SafetensorError, RuntimeError):
        raise JobError("This moment of the training was not kept.") from None
    return network.eval()


def taught(job: Job) -> Taught | None:
    """The results of a lesson; None until they are known, and for any other job."""
    try:
        return Taught.from_json((jobs_folder() / job.id / TAUGHT).read_text())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def drawings_of(job: Job) -> Ink:
    """The drawings of a lesson. Raises AppError."""
    return load_ink(jobs_folder() / job.id / INK)


def job_folders() -> list[Path]:
    """All jobs' folders, the oldest first."""
    return sorted(path for path in jobs_folder().glob("[0-9]*") if path.is_dir())


def read_request(folder: Path) -> Request | None:
    """What the job is asked to do; None if that cannot be read."""
    try:
        path = folder / REQUEST
        return _parsed_request(path, _stamp(path))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def read_status(folder: Path) -> JobStatus:
    """What the job last reported; a failed status if that cannot be read."""
    return known_status(folder) or JobStatus(FAILED, "The status of this training cannot be read.")


def known_status(folder: Path) -> JobStatus | None:
    """What the job last reported; None if that cannot be read."""
    try:
        path = folder / STATUS
        return _parsed_status(path, _stamp(path))
    except FileNotFoundError:
        return JobStatus()
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


_Stamp = tuple[int, int, int]


def _stamp(path: Path) -> _Stamp:
    """A value that changes with the file: a new version is written beside the old one, so its inode differs."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


# Cached: each pupil of a class polls once a second, and most files have not changed since the last time.


@lru_cache(maxsize=MAX_PARSED)
def _parsed_request(path: Path, stamp: _Stamp) -> Request:
    return Request.from_json(json.loads(path.read_text()))


@lru_cache(maxsize=MAX_PARSED)
def _parsed_status(path: Path, stamp: _Stamp) -> JobStatus:
    return JobStatus.from_json(json.loads(path.read_text()))


def made_in(folder: Path, request: Request) -> Path:
    """Where a job saves its model at first: a cancelled or failed job touches nothing outside its own folder."""
    return folder / "model" / request.model


def write_status(folder: Path, status: JobStatus) -> None:
    """Write a job's status, whole or not at all. Raises OSError."""
    part = folder / f".{STATUS}.{os.getpid()}.{threading.get_ident()}"
    try:
        part.write_text(json.dumps(status, default=vars))  # asdict() is slower: it copies every number first
        os.replace(part, folder / STATUS)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
