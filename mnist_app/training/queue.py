"""The server's side of jobs: run them one at a time, and settle how each ended."""

import contextlib
import dataclasses
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mnist_app.models.registry import ModelError, load_card, name_in_place, put_in_place
from mnist_app.models.shelf import label, restorable
from mnist_app.storage import clear_abandoned, home, user_models_folder
from mnist_app.training.jobs import (
    ALIVE,
    CANCEL,
    CANCELLED,
    DONE,
    FAILED,
    LEARNED,
    PID,
    RUNNING,
    SERVER_GONE,
    STATUS,
    STDERR,
    Job,
    JobStatus,
    Request,
    job_folders,
    jobs_folder,
    known_status,
    list_jobs,
    made_in,
    read_request,
    read_status,
    write_status,
)

SERVER_STOPPED = "The server was stopped before the training finished."
WAS_CANCELLED = "No model was saved."
LONGEST_TRACE = 4_000  # characters of a child's standard error that the log repeats
# Ended jobs to keep, plus as many with reports to show, plus as many that still hold their model.
MAX_ENDED = 12
LOOK_EVERY = 0.1  # seconds between checks of the queue: cancelling takes effect within a few of them


class Queue:
    """Runs the waiting jobs, one at a time. Of all servers that share a home folder, only one runs jobs."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._running: _Running | None = None
        self._unwritten: dict[Path, JobStatus] = {}  # how jobs ended, if the disk was full

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the running job, noting why, and leave the waiting ones to the next server."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def jobs(self) -> list[Job]:
        """Return all jobs, as list_jobs() does, including statuses that could not be written to disk."""
        return list_jobs(dict(self._unwritten))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                jobs_folder().mkdir(parents=True, exist_ok=True)
                with FileLock(jobs_folder() / "runner", timeout=0):
                    self._recover()
                    while not self._stopping.wait(LOOK_EVERY):
                        self._look()
                    if self._running and not (self._running.folder / STATUS).exists():
                        self._running.process.kill()  # it has not begun, so it waits for the next server
                        self._running.last_word()
                    elif self._running:
                        self._end(self._running, FAILED, SERVER_STOPPED)
            except (OSError, Timeout):  # another server runs the jobs, or the disk fails: try again soon
                self._stopping.wait(1)
            except Exception:  # or the waiting jobs would wait for ever
                logging.getLogger(__name__).exception("Unexpected error in the job queue, which goes on")
                self._stopping.wait(1)

    def _recover(self) -> None:
        """Settle the jobs that an earlier server left behind, and end their processes."""
        for folder in job_folders():
            status = known_status(folder)
            if (status and status.is_over) or (self._running and self._running.folder == folder):
                continue
            if (folder / ALIVE).exists():  # a child was started, whatever its status says
                _end_leftover(folder)
                status = known_status(folder)  # as the child last wrote it
            if status is None or status.state in (RUNNING, LEARNED):
                self._settle(folder, FAILED, SERVER_GONE)

    def _look(self) -> None:
        for folder, status in list(self._unwritten.items()):
            self._note(folder, status)
        for folder in job_folders():
            is_ours = self._running is not None and self._running.folder == folder
            if not (folder / CANCEL).exists() or folder in self._unwritten:
                continue
            if is_ours:
                assert self._running
                self._end(self._running, CANCELLED, WAS_CANCELLED)
            elif not (folder / STATUS).exists():
                self._note(folder, JobStatus(CANCELLED, "It had not started."))
        if self._running and self._running.process.poll() is not None:
            self._ended(self._running)
        if self._running is None:
            self._start_next()

    def _start_next(self) -> None:
        waiting = [
            folder for folder in job_folders() if not (folder / STATUS).exists() and folder not in self._unwritten
        ]
        if not waiting:
            return
        self._forget_old()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "mnist_app", "train", "--job", str(waiting[0])]
        try:
            with (waiting[0] / STDERR).open("wb") as stderr:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=environment,
                )
        except OSError as error:  # a job that cannot be started must not block the next one
            self._note(waiting[0], JobStatus(FAILED, f"The training could not be started: {error.strerror}."))
            return
        self._running = _Running(waiting[0], process)

    def _ended(self, running: "_Running") -> None:
        """Settle a job whose child has exited, by itself or because it was killed."""
        self._running = None
        said = running.last_word()
        code = running.process.returncode
        if code < 0:
            said = f"The training was killed from outside ({signal.Signals(-code).name}) before it finished."
        if not said:
            logging.getLogger(__name__).error("%s ended without a message: %s", running.folder, running.trace())
            said = "The training ended unexpectedly. The server's log says more."
        # The disk may have had no room for its final status, but how it ended is known here.
        self._settle(running.folder, FAILED if code else LEARNED, said)

    def _end(self, running: "_Running", state: str, reason: str) -> None:
        """Kill the child at once: its files appear whole or not at all, so there is nothing to wait for."""
        self._running = None
        running.process.kill()
        running.last_word()
        self._settle(running.folder, state, reason)

    def _settle(self, folder: Path, state: str, reason: str) -> None:
        """Move a job's model to the user's models; without one, it ends in ``state`` unless it reported its own end.

        A job cancelled before that leaves no model. A model that has been moved stays: the cancelling came too late.
        """
        status, request = known_status(folder), read_request(folder)
        if status is not None and status.is_over:
            return
        known = status or JobStatus(LEARNED, "The model was saved, but the status of the training was lost.")
        if state == LEARNED and request:
            known = dataclasses.replace(known, state=LEARNED, reason=reason, model=request.model)
        try:
            if request and known.state == LEARNED and (name := _name_in_place(folder, made_in(folder, request), known)):
                self._note(folder, _done(request, known, name))
                return
        except OSError as error:  # the model stays in the job's folder, and that is kept
            assert request
            where = made_in(folder, request).relative_to(home())
            said = f"The model could not be moved into place: {error.strerror}. It is in {where} of the app's folder."
            state, reason = FAILED, said
        else:
            shutil.rmtree(folder / "model", ignore_errors=True)
            if (folder / CANCEL).exists():
                state, reason = CANCELLED, WAS_CANCELLED
            elif state == LEARNED:
                state, reason = FAILED, "The trained model is no longer on the disk."
        ended = dataclasses.replace(known, state=state, reason=reason, model="")
        self._note(folder, dataclasses.replace(ended, doing="", seconds_left=None))

    def _note(self, folder: Path, status: JobStatus) -> None:
        """Write down how a job ended, or remember it until the disk has room."""
        try:
            write_status(folder, status)
            self._unwritten.pop(folder, None)
        except OSError:
            self._unwritten[folder] = status

    def _forget_old(self) -> None:
        clear_abandoned(jobs_folder())
        statuses = {folder: read_status(folder) for folder in job_folders()}
        ended = [folder for folder, status in statuses.items() if status.is_over]
        learned = [folder for folder in ended if statuses[folder].reports]
        homeless = [folder for folder in ended if (job := read_request(folder)) and _is_model(made_in(folder, job))]
        for folder in set(ended) - {*ended[-MAX_ENDED:], *learned[-MAX_ENDED:], *homeless[-MAX_ENDED:]}:
            hidden = folder.with_name(f".{folder.name}")  # half deleted, it would look like a waiting job
            with contextlib.suppress(OSError):
                folder.rename(hidden)
                shutil.rmtree(hidden, ignore_errors=True)


@dataclass(frozen=True)
class _Running:
    folder: Path
    process: "subprocess.Popen[bytes]"

    def last_word(self) -> str:
        """Wait until the child has ended, and return the last line of its output."""
        said, _ = self.process.communicate()
        lines: Sequence[str] = said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def trace(self) -> str:
        """The end of its standard error, which tells of an unforeseen error."""
        try:
            return (self.folder / STDERR).read_text(errors="replace")[-LONGEST_TRACE:].strip()
        except OSError:
            return ""


def _name_in_place(folder: Path, made: Path, learned: JobStatus) -> str | None:
    """Move a job's model to the user's models and return its name there; None if it has no model. Raises OSError.

    The name is written down before the move: if the server is killed in between, the next one can read it.
    """
    if not made.exists():  # an earlier server has moved it, unless it was never made
        return learned.model if learned.model and _is_model(user_models_folder() / learned.model) else None
    if not _is_model(made) or (folder / CANCEL).exists():
        return None
    taken = restorable()  # a deleted model can be restored only under its own name
    if (name := name_in_place(made, taken)) != learned.model:
        with contextlib.suppress(OSError):  # a folder can be moved even on a full disk
            write_status(folder, dataclasses.replace(learned, model=name))
    return put_in_place(made, taken)


def _done(request: Request, learned: JobStatus, name: str) -> JobStatus:
    """Give a job's model its title, now that it has been moved, and return the job's final status."""
    if request.title:
        with contextlib.suppress(ModelError):  # then it is shown by its name
            label(name, request.title, "")
    said = f"The name {request.model!r} was taken meanwhile, so the model is called {name!r}."
    reason = learned.reason if name == request.model else said
    return dataclasses.replace(learned, state=DONE, reason=reason, model=name, doing="", seconds_left=None)


def _is_model(folder: Path) -> bool:
    try:
        load_card(folder)
    except ModelError:
        return False
    return True


def _end_leftover(folder: Path) -> None:
    """Wait for a child whose server is gone, and kill it if it does not end by itself."""
    if _has_ended(folder, within=2):
        return
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((folder / PID).read_text()), signal.SIGKILL)  # it holds the lock, so the id is its own
    _has_ended(folder, within=10)  # before the next job starts, or both would train at once


def _has_ended(folder: Path, within: float) -> bool:
    """Whether a job's child releases its lock within so many seconds."""
    try:
        with FileLock(folder / ALIVE, timeout=within):
            return True
    except Timeout:
        return False
