"""Trainings in the background, and the ways in which they can fail: processes and kills are real. The child needs all
of MNIST."""

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from filelock import FileLock

from mnist_app.data.dataset import load_split
from mnist_app.errors import AppError
from mnist_app.models.networks import logits_of
from mnist_app.models.registry import find_model, load_card, load_model, model_folders, save_model
from mnist_app.models.shelf import delete_model, read_shelf, restore_model
from mnist_app.storage import user_models_folder
from mnist_app.training import jobs
from mnist_app.training import queue as queue_module
from mnist_app.training.augmentation import STILL
from mnist_app.training.jobs import (
    CANCELLED,
    DONE,
    FAILED,
    LEARNED,
    RUNNING,
    WAITING,
    Job,
    JobError,
    JobStatus,
    list_jobs,
)
from mnist_app.training.queue import SERVER_STOPPED, Queue
from mnist_app.training.teach import lesson
from mnist_app.training.train import EpochReport, TrainConfig

from ..conftest import SEVEN, full_mnist
from ..processes import DYING, freeze, is_alive, until

ROOT = Path(__file__).parents[2]
SHORT = TrainConfig("quicknet", epochs=2, digits=2_000, augmentation=STILL, checks=2)
SHORTEST = dataclasses.replace(SHORT, epochs=1, checks=1)  # for tests in which a training only has to end
LONG = dataclasses.replace(SHORT, epochs=1000, digits=None)


@pytest.fixture
def queue() -> Iterator[Queue]:
    full_mnist()
    queue = Queue()
    queue.start()
    yield queue
    queue.stop()


def job(identity: str) -> Job:
    return next(job for job in list_jobs() if job.id == identity)


def is_learning(identity: str) -> bool:
    return job(identity).status.batch > 3


def ended(identity: str) -> JobStatus:
    until(lambda: job(identity).status.is_over)
    return job(identity).status


def child_of(identity: str) -> int:
    return int((jobs.jobs_folder() / identity / jobs.PID).read_text())


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*")) + sorted(path.name for path in folder.glob(".*"))


@pytest.fixture(scope="module")
def home_of_the_learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder in which the training of "mine" has finished."""
    full_mnist()
    home = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        # Module fixtures are set up before own_home, so this one needs a home of its own.
        patch.setenv("MNIST_APP_HOME", str(home))
        queue = Queue()
        queue.start()
        try:
            ended(jobs.submit("mine", SHORT))
        finally:
            queue.stop()
    return home


@pytest.fixture
def learned(home_of_the_learned: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A finished job, which tests must not change."""
    monkeypatch.setenv("MNIST_APP_HOME", str(home_of_the_learned))
    (only,) = list_jobs()
    return only


def test_a_job_becomes_a_model_with_its_curves(learned: Job) -> None:
    status = learned.status
    assert (status.state, status.passes) == (DONE, 2)
    assert "of the test digits are read right" in status.reason
    model = load_model(find_model("mine"))
    card = model.card
    assert [report.passes for report in status.reports] == [report["passes"] for report in card.curves]
    assert card.command == "python -m mnist_app train --name mine " + (
        "--architecture quicknet --epochs 2 --digits 2000 --checks 2 --rotation 0 --shift 0 --zoom 0 --shear 0"
    )
    validation = load_split("validation")
    read = logits_of(model.network, validation.images).argmax(dim=1).numpy()
    assert card.metrics["validation"]["accuracy"] == pytest.approx((read == validation.labels).mean())
    assert left_in(user_models_folder()) == ["mine"]


def test_a_home_folder_may_be_relative_to_the_servers_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_APP_DATA", str(full_mnist().absolute()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNIST_APP_HOME", "here")
    queue = Queue()
    queue.start()
    try:
        identity = jobs.submit("mine", LONG)
        until(lambda: job(identity).status.is_over or is_learning(identity))
        assert job(identity).status.state == RUNNING, job(identity).status.reason
    finally:
        queue.stop()
    assert left_in(tmp_path) == ["here"]


def test_each_snapshot_holds_the_network_that_its_report_measured(learned: Job) -> None:
    reports, snapshots = learned.status.reports, learned.status.snapshots
    validation, architecture = load_split("validation"), SHORT.architecture
    assert list(snapshots) == [report.passes for report in reports]
    for passes, report in zip(snapshots, reports, strict=True):
        network = jobs.snapshot_network(learned.id, architecture, passes)
        read = logits_of(network, validation.images).argmax(dim=1).numpy()
        assert (read == validation.labels).mean() == pytest.approx(report.validation_accuracy)
        assert sum(report.confusion[digit][digit] for digit in range(10)) == (read == validation.labels).sum()


def test_one_job_runs_while_the_others_wait_in_numbered_places(queue: Queue) -> None:
    first, second, third = (jobs.submit(name, LONG) for name in ("one", "two", "three"))
    until(lambda: job(first).status.state == RUNNING)
    assert [(job.name, job.status.state, job.place) for job in list_jobs()] == [
        ("one", RUNNING, 0),
        ("two", WAITING, 1),
        ("three", WAITING, 2),
    ]
    jobs.cancel(second)
    until(lambda: job(second).status.state == CANCELLED)
    assert job(third).place == 1
    jobs.cancel(first)
    until(lambda: job(third).status.state == RUNNING)


def test_cancelling_takes_effect_within_two_seconds_and_leaves_no_model(queue: Queue) -> None:
    identity = jobs.submit("mine", LONG)
    until(lambda: is_learning(identity))
    child = child_of(identity)
    began = time.monotonic()
    jobs.cancel(identity)
    until(lambda: job(identity).status.state == CANCELLED, 2)
    assert not is_alive(child)
    assert time.monotonic() - began < 2
    assert "mine" not in model_folders() and left_in(user_models_folder()) == []
    assert not (jobs.jobs_folder() / identity / "model").exists()


def busy_seconds(pid: int) -> dict[str, float]:
    """Return the processor time that each thread of a process has taken."""
    taken = {}
    for path in Path(f"/proc/{pid}/task").iterdir():
        fields = (path / "stat").read_text().rpartition(")")[2].split()
        taken[path.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return taken


def test_a_child_trains_on_one_thread_at_low_priority(queue: Queue) -> None:
    identity = jobs.submit("mine", LONG)
    until(lambda: is_learning(identity))
    child = child_of(identity)
    assert os.getpriority(os.PRIO_PROCESS, child) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    before, batch = busy_seconds(child), job(identity).status.batch
    until(lambda: job(identity).status.batch > batch + 30)
    worked = {thread: after - before.get(thread, 0) for thread, after in busy_seconds(child).items()}
    assert max(worked.values()) > 0.1, "it did learn"
    assert sum(worked.values()) < 1.2 * max(worked.values()), "and one thread did nearly all of it"


def test_a_killed_child_fails_its_job_with_a_reason_and_the_next_job_runs(queue: Queue) -> None:
    identity, following = jobs.submit("mine", LONG), jobs.submit("next", LONG)
    until(lambda: is_learning(identity))
    os.kill(child_of(identity), signal.SIGKILL)
    status = ended(identity)
    assert (status.state, status.reason) == (
        FAILED,
        "The training was killed from outside (SIGKILL) before it finished.",
    )
    assert status.losses, "its reports are kept"
    until(lambda: job(following).status.state == RUNNING)
    assert left_in(user_models_folder()) == []


SERVER = """
    import time
    from mnist_app.training.queue import Queue
    queue = Queue()
    queue.start()
    time.sleep(1000)
    """


@pytest.fixture
def server() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that only runs the queue."""
    full_mnist()
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(SERVER)], cwd=ROOT) as process:
        yield process
        process.kill()


def test_a_killed_server_leaves_no_orphan_and_the_next_continues_its_queue(server: "subprocess.Popen[bytes]") -> None:
    identity, waiting = jobs.submit("mine", LONG), jobs.submit("next", LONG)
    until(lambda: is_learning(identity))
    child = child_of(identity)
    server.kill()
    until(lambda: not is_alive(child), DYING)
    assert (job(identity).status.state, job(identity).status.reason) == (FAILED, jobs.SERVER_GONE)
    assert job(waiting).status.state == WAITING
    after = Queue()
    after.start()
    try:
        until(lambda: job(waiting).status.state == RUNNING)  # the next server continues the queue
    finally:
        after.stop()
    assert left_in(user_models_folder()) == []


# A server that ends just after a job has learned


class Killed(BaseException):
    """The sudden end of a server: nothing after it runs."""


@pytest.fixture
def about_to_settle(own_home: Path) -> tuple[str, Path]:
    """A job called "Anna's" that has just learned: its id, and the folder of the model that it made."""
    identity = jobs.submit("mine", SHORT, "Anna's")
    request = jobs.read_request(jobs.jobs_folder() / identity)
    assert request
    made = jobs.made_in(jobs.jobs_folder() / identity, request)
    made.parent.mkdir()
    model = load_model(find_model("mnist-cnn"))
    save_model(made, model.network, dataclasses.replace(model.card, name="mine"))
    learned = JobStatus(LEARNED, "99.12% of the test digits are read right.", model="mine")
    jobs.write_status(jobs.jobs_folder() / identity, learned)
    return identity, made


def next_server() -> None:
    queue = Queue()
    queue.start()
    try:
        until(lambda: all(job.status.is_over for job in list_jobs()), 10)
    finally:
        queue.stop()


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_job_cancelled_just_after_it_learned_leaves_no_model(
    about_to_settle: tuple[str, Path], is_stopped: bool
) -> None:
    identity, made = about_to_settle
    jobs.cancel(identity)
    if is_stopped:  # its own server settles it; otherwise the next one does
        Queue()._settle(made.parents[1], FAILED, SERVER_STOPPED)
    else:
        next_server()
    assert (job(identity).status.state, job(identity).status.reason) == (CANCELLED, "No model was saved.")
    assert "mine" not in model_folders() and not made.parent.exists()


@pytest.mark.parametrize("when", ["put_in_place", "label", "_done", "_note"])
@pytest.mark.parametrize("is_taken", [False, True])
@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_server_killed_while_moving_a_model_into_place_leaves_a_true_status(
    about_to_settle: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, when: str, is_taken: bool, is_cancelled: bool
) -> None:
    """The model may have been moved by then or not, and another may have taken its name."""
    identity, made = about_to_settle
    if is_taken:
        shutil.copytree(find_model("mnist-cnn"), user_models_folder() / "mine")
    name = "mine-2" if is_taken else "mine"

    def kill(*asked: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Queue if when == "_note" else queue_module, when, kill)
        with pytest.raises(Killed):
            Queue()._settle(made.parents[1], FAILED, "The training ended unexpectedly.")
    assert job(identity).status.state == LEARNED
    if is_cancelled:
        jobs.cancel(identity)
    next_server()
    status = job(identity).status
    if is_cancelled and when == "put_in_place":
        assert status.state == CANCELLED and name not in model_folders()
        return
    assert (status.state, status.model) == (DONE, name), "it was too late to cancel it"
    assert load_model(find_model(name)).card.name == name
    assert read_shelf().title(name) == "Anna's"
    assert ("The name 'mine' was taken meanwhile" in status.reason) == is_taken
    assert not made.exists() and left_in(user_models_folder()) == (["mine", "mine-2"] if is_taken else ["mine"])


def test_a_job_does_not_take_the_name_of_a_model_that_can_be_restored(about_to_settle: tuple[str, Path]) -> None:
    identity, _ = about_to_settle
    shutil.copytree(find_model("mnist-cnn"), user_models_folder() / "mine")
    delete_model("mine")
    next_server()
    assert job(identity).status.model == "mine-2"
    restore_model("mine")
    assert {"mine", "mine-2"} <= set(model_folders())


def test_a_job_fails_if_its_model_vanishes_before_it_is_moved_into_place(about_to_settle: tuple[str, Path]) -> None:
    identity, made = about_to_settle
    shutil.rmtree(made)
    next_server()
    assert (job(identity).status.state, job(identity).status.model) == (FAILED, "")


def test_a_final_status_that_a_full_disk_refuses_does_not_cost_the_model(
    about_to_settle: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child has succeeded, its status on disk is still "running", and the disk is full for the server, too."""
    identity, made = about_to_settle
    jobs.write_status(made.parents[1], JobStatus(RUNNING, doing="Measuring on validation and test", passes=2))
    ending = queue_module._Running(made.parents[1], Mock(returncode=0, communicate=lambda: (b"99.12%.\n", b"")))
    queue = Queue()
    with monkeypatch.context() as patch:
        patch.setattr(queue_module, "write_status", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        queue._ended(ending)
        (known,) = queue.jobs()
        assert (known.status.state, known.status.reason, known.status.doing) == (DONE, "99.12%.", "")
        assert job(identity).status.state == RUNNING
    queue._look()
    assert job(identity).status == known.status
    assert load_model(find_model("mine")).card.name == "mine"


def test_a_model_that_cannot_be_moved_into_place_stays_where_it_was_made(
    about_to_settle: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, made = about_to_settle
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        next_server()
    status = job(identity).status
    assert (status.state, status.model) == (FAILED, "")
    assert status.reason == (
        "The model could not be moved into place: No space left on device. "
        f"It is in jobs/{identity}/model/mine of the app's folder."
    )
    monkeypatch.setattr(queue_module, "MAX_ENDED", 1)
    for name in ("half", "next"):
        folder = jobs.jobs_folder() / jobs.submit(name, SHORT)
        jobs.write_status(folder, JobStatus(FAILED, "Not well."))
        (folder / "model" / f".{name}.abcdefgh").mkdir(parents=True)  # left by a child that was killed while it saved
    Queue()._forget_old()
    assert [job.name for job in list_jobs()] == ["mine", "next"]
    assert load_model(made).card.name == "mine" and left_in(user_models_folder()) == []


def trainers() -> list[int]:
    """Return the processes started for a job of this home, whether they have begun it or not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if str(jobs.jobs_folder()) in path.read_text():
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("sign", [jobs.STDERR, jobs.ALIVE])
def test_a_server_killed_just_as_a_child_starts_leaves_no_orphan(server: "subprocess.Popen[bytes]", sign: str) -> None:
    """The kill comes just before or after the child exists, or while it takes its lock."""
    identity = jobs.submit("mine", LONG)
    until((jobs.jobs_folder() / identity / sign).exists)
    server.kill()
    after = Queue()
    after.start()

    def is_clear() -> bool:
        """Either the child had begun and ended with its server, or only the next server's child does the job again."""
        status = job(identity).status
        if status.state == RUNNING:
            return after._running is not None and trainers() == [after._running.process.pid]
        return (status.state, status.reason) == (FAILED, jobs.SERVER_GONE) and trainers() == []

    try:
        until(is_clear)
    finally:
        after.stop()
    assert trainers() == [] and left_in(user_models_folder()) == []


@pytest.fixture
def child(own_home: Path) -> Iterator["subprocess.Popen[str]"]:
    """A child just started with a job, and the pipe to it that its server would hold."""
    command = [sys.executable, "-m", "mnist_app", "train", "--job", str(jobs.jobs_folder() / jobs.submit("mine", LONG))]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_child_whose_server_is_gone_before_it_begins_leaves_the_job_waiting(child: "subprocess.Popen[str]") -> None:
    said, _ = child.communicate()  # closes the pipe, as when the server ends
    assert (child.returncode, said) == (1, "")
    assert list_jobs()[0].status.state == WAITING


def test_two_children_never_do_the_same_job(child: "subprocess.Popen[str]") -> None:
    with FileLock(jobs.jobs_folder() / list_jobs()[0].id / jobs.ALIVE):
        assert child.stdout
        assert child.stdout.read() == "Another process is already working on this training.\n"
    assert list_jobs()[0].status.state == WAITING


def test_a_frozen_child_of_a_killed_server_is_ended_by_the_next_server(server: "subprocess.Popen[bytes]") -> None:
    identity = jobs.submit("mine", LONG)
    until(lambda: is_learning(identity))
    child = child_of(identity)
    freeze(child)
    server.kill()
    after = Queue()
    after.start()
    try:
        until(lambda: job(identity).status.state == FAILED)
        with FileLock(jobs.jobs_folder() / identity / jobs.ALIVE, timeout=0):
            pass  # nobody holds the lock: the child's end was awaited
        until(lambda: not is_alive(child), DYING)
    finally:
        after.stop()


HOLDING = """
    import os, sys, time
    from pathlib import Path
    from filelock import FileLock
    folder = Path(sys.argv[1])
    with FileLock(folder / "alive"):
        (folder / "pid").write_text(str(os.getpid()))
        print("holds", flush=True)
        time.sleep(1000)
    """


@pytest.mark.parametrize(("content", "state"), [(b"{", FAILED), (None, WAITING)])
def test_a_leftover_child_is_ended_if_its_status_is_corrupt_or_missing(
    own_home: Path, content: bytes | None, state: str
) -> None:
    folder = jobs.jobs_folder() / jobs.submit("mine", SHORT)
    command = [sys.executable, "-c", textwrap.dedent(HOLDING), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as leftover:
        assert leftover.stdout and leftover.stdout.readline() == b"holds\n"
        if content is not None:
            (folder / jobs.STATUS).write_bytes(content)
        try:
            Queue()._recover()
            assert leftover.wait(DYING) == -signal.SIGKILL
        finally:
            leftover.kill()
    assert job(folder.name).status.state == state


def test_a_server_that_stops_ends_its_child_and_says_so(queue: Queue) -> None:
    identity = jobs.submit("mine", LONG)
    until(lambda: is_learning(identity))
    child = child_of(identity)
    queue.stop()
    assert not is_alive(child)
    assert (job(identity).status.state, job(identity).status.reason) == (FAILED, SERVER_STOPPED)


def test_a_server_that_stops_before_its_child_has_begun_leaves_the_job_waiting(queue: Queue) -> None:
    identity = jobs.submit("mine", LONG)
    until(lambda: queue._running)
    assert queue._running
    child = queue._running.process
    freeze(child.pid)  # the child is slow
    queue.stop()
    assert child.returncode is not None
    assert job(identity).status.state == WAITING


def test_only_one_of_two_servers_runs_jobs(queue: Queue) -> None:
    other = Queue()
    other.start()
    identity = jobs.submit("mine", LONG)
    until(lambda: job(identity).status.state == RUNNING)
    assert (queue._running is None) != (other._running is None)
    other.stop()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"state": "running"}', b'{"losses": 3}'])
def test_a_job_with_a_corrupt_status_counts_as_failed_even_after_a_restart(content: bytes, own_home: Path) -> None:
    identity = jobs.submit("mine", SHORT)
    (jobs.jobs_folder() / identity / jobs.STATUS).write_bytes(content)
    assert (job(identity).status.state, job(identity).status.reason) == (
        FAILED,
        "The status of this training cannot be read.",
    )
    queue = Queue()
    queue.start()
    try:
        until(lambda: jobs.known_status(jobs.jobs_folder() / identity) is not None)
    finally:
        queue.stop()
    assert job(identity).status.state == FAILED


def test_a_running_jobs_corrupted_status_is_soon_rewritten(queue: Queue) -> None:
    identity = jobs.submit("mine", LONG)
    until(lambda: is_learning(identity))
    (jobs.jobs_folder() / identity / jobs.STATUS).write_bytes(b"{")
    until(lambda: job(identity).status.state == RUNNING)


def test_a_job_with_an_unreadable_request_fails(own_home: Path) -> None:
    identity = jobs.submit("mine", SHORT)
    (jobs.jobs_folder() / identity / jobs.REQUEST).write_text("{}")
    queue = Queue()
    queue.start()
    try:
        assert ended(identity).reason == "The request for this training cannot be read."
    finally:
        queue.stop()


def test_job_files_are_parsed_again_only_after_they_change(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = jobs.jobs_folder() / jobs.submit("mine", SHORT)
    jobs.write_status(folder, JobStatus(RUNNING, passes=0.1))
    parsed = Mock(wraps=json.loads)
    with monkeypatch.context() as patch:
        patch.setattr(json, "loads", parsed)
        for _ in range(30):
            list_jobs()
    assert parsed.call_count == 2, "the request and the status"
    for passes in (0.2, 0.3, 0.4):  # the same length as before, perhaps within one clock tick
        jobs.write_status(folder, JobStatus(RUNNING, passes=passes))
        assert list_jobs()[0].status.passes == passes
    (folder / jobs.STATUS).write_text("{")
    assert list_jobs()[0].status.state == FAILED


@pytest.fixture
def small_disk(own_home: Path) -> Iterator[Path]:
    """A home on a disk of its own with 300 kB of space."""
    own_home.mkdir(exist_ok=True)
    mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", own_home], capture_output=True)
    if mounting.returncode:
        pytest.skip("mounting a disk needs rights that this user does not have")
    yield own_home
    subprocess.run(["umount", "-l", own_home], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_full_disk_fails_a_training_with_a_reason(small_disk: Path, queue: Queue) -> None:
    identity = jobs.submit("mine", SHORTEST)
    until(lambda: job(identity).status.state == RUNNING)
    freeze(child_of(identity))
    fill(small_disk)
    os.kill(child_of(identity), signal.SIGCONT)
    until(lambda: any(job.status.is_over for job in queue.jobs()))
    assert queue.jobs()[0].status.state == FAILED
    assert "No space left on device" in queue.jobs()[0].status.reason
    with pytest.raises(JobError, match="could not be written: No space left on device"):
        jobs.submit("other", SHORT)
    queue.stop()
    queue = Queue()  # starts with the disk still full
    queue.start()
    try:
        until(lambda: [job.status.state for job in queue.jobs()] == [FAILED])
        (small_disk / "ballast").unlink()
        until(lambda: job(identity).status.state == FAILED)
    finally:
        queue.stop()
    assert list(user_models_folder().glob("*")) == []


def test_a_disk_that_is_full_when_a_training_begins_is_given_as_the_reason(small_disk: Path) -> None:
    identity = jobs.submit("mine", SHORTEST)
    folder = jobs.jobs_folder() / identity
    for name in (jobs.ALIVE, jobs.STDERR):
        (folder / name).touch()
    fill(small_disk)
    queue = Queue()
    queue.start()
    try:
        until(lambda: any(job.status.is_over for job in queue.jobs()))
        assert queue.jobs()[0].status.reason == "The training could not continue: No space left on device."
    finally:
        queue.stop()


@pytest.mark.parametrize("refusing", ["open", "Popen"])
def test_a_job_that_cannot_be_started_fails_and_the_next_one_starts(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    first, second = (jobs.submit(name, SHORT) for name in ("one", "two"))
    queue, start = Queue(), Mock()
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(subprocess, "Popen", start)
    with monkeypatch.context() as patch:
        # All its writes fail, including the status that would say so.
        patch.setattr(queue_module, "write_status", Mock(side_effect=full))
        if refusing == "open":
            patch.setattr(Path, "open", Mock(side_effect=full))
        else:
            start.side_effect = full
        queue._look()
        assert [(job.status.state, job.status.reason, job.place) for job in queue.jobs()] == [
            (FAILED, "The training could not be started: No space left on device.", 0),
            (WAITING, "", 1),
        ]
    start.side_effect = None
    start.return_value.poll.return_value = None
    queue._look()  # the disk has space again
    assert job(first).status.state == FAILED, "by now it is on disk"
    assert queue._running and queue._running.folder.name == second


def test_an_unforeseen_error_of_a_child_is_in_the_servers_log(own_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = jobs.jobs_folder() / jobs.submit("mine", SHORT)
    jobs.write_status(folder, JobStatus(RUNNING, passes=0.5))
    with (folder / jobs.STDERR).open("wb") as stderr:
        command = [sys.executable, "-c", "print('x' * 9000, file=__import__('sys').stderr); {}['a bug of ours']"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr)
    Queue()._ended(queue_module._Running(folder, process))
    assert job(folder.name).status.state == FAILED
    assert job(folder.name).status.reason == "The training ended unexpectedly. The server's log says more."
    (record,) = caplog.records
    assert record.levelname == "ERROR" and folder.name in record.getMessage()
    assert record.getMessage().endswith("KeyError: 'a bug of ours'")
    assert len(record.getMessage()) < 5_000


def test_a_name_taken_by_a_queued_job_or_a_model_is_refused(own_home: Path) -> None:
    jobs.submit("mine", SHORT)
    with pytest.raises(JobError, match="A training of 'mine' is already in the queue"):
        jobs.submit("mine", SHORT)
    with pytest.raises(AppError, match="There is a model named 'mnist-cnn' already"):
        jobs.submit("mnist-cnn", SHORT)


def test_a_title_taken_by_a_queued_job_is_refused(own_home: Path) -> None:
    jobs.submit("mine", SHORT, "My net")
    jobs.submit("other", SHORT, "Another")
    with pytest.raises(JobError, match="A training named 'My net' is already in the queue"):
        jobs.submit("mine-2", SHORT, "My net")


def test_a_half_deleted_job_is_not_listed_as_waiting(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "MAX_ENDED", 1)
    for name in ("mine", "next"):
        folder = jobs.jobs_folder() / jobs.submit(name, SHORT)
        jobs.write_status(folder, JobStatus(FAILED, "Not well."))

    def by_half(folder: Path, ignore_errors: bool) -> None:
        (folder / jobs.STATUS).unlink()

    monkeypatch.setattr("shutil.rmtree", by_half)
    Queue()._forget_old()
    assert [job.name for job in list_jobs()] == ["next"]


def test_ended_jobs_with_reports_are_kept_longer_than_those_without(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "MAX_ENDED", 2)
    report = EpochReport(1, 1, 0.4, 0.9, 0.2, 0.95, 3.0, ())
    for name in ("first", "second", "third", "a", "b", "c"):
        reports = (report,) if len(name) > 1 else ()
        folder = jobs.jobs_folder() / jobs.submit(name, SHORT)
        jobs.write_status(folder, JobStatus(DONE if reports else CANCELLED, "Well.", reports=reports))
    Queue()._forget_old()
    assert [job.name for job in list_jobs()] == ["second", "third", "b", "c"]


def test_a_job_deleted_while_jobs_are_listed_is_left_out(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "next"):
        jobs.submit(name, SHORT)
    first = jobs.job_folders()[0]

    def gone(folder: Path) -> jobs.Request | None:
        if folder == first:
            os.replace(folder, folder.with_name(".forgotten"))
        return read_request(folder)

    read_request = jobs.read_request
    monkeypatch.setattr(jobs, "read_request", gone)
    assert [(job.name, job.place) for job in list_jobs()] == [("next", 1)]


def test_a_full_queue_refuses_another_job(own_home: Path) -> None:
    for number in range(jobs.MAX_WAITING + 1):
        jobs.submit(f"m{number}", SHORT)
    with pytest.raises(JobError, match="8 trainings are already waiting"):
        jobs.submit("one-more", SHORT)


def test_a_model_that_took_the_jobs_name_meanwhile_is_left_alone(queue: Queue) -> None:
    identity = jobs.submit("mine", SHORTEST)
    until(lambda: job(identity).status.state == RUNNING)
    (user_models_folder() / "mine").mkdir(parents=True)
    (user_models_folder() / "mine" / "precious").touch()
    until(lambda: job(identity).status.state == DONE)
    assert "the model is called 'mine-2'" in job(identity).status.reason
    assert job(identity).name == "mine-2", "the job is listed under the name of the model that it made"
    assert (user_models_folder() / "mine" / "precious").exists()
    assert load_model(find_model("mine-2")).card.name == "mine-2"


# Lessons


def a_lesson(drawings: str) -> str:
    card = load_card(find_model("mnist-cnn"))
    return jobs.submit("taught", lesson(card, 1), "", "mnist-cnn", drawings)


def test_a_cancelled_lesson_leaves_no_model(queue: Queue) -> None:
    identity = a_lesson(json.dumps({"label": 7, "strokes": SEVEN}))
    until(lambda: job(identity).status.state == RUNNING)
    jobs.cancel(identity)
    assert ended(identity).state == CANCELLED
    assert "taught" not in model_folders() and jobs.taught(job(identity)) is None


def test_a_lesson_with_unreadable_drawings_fails_with_a_reason(queue: Queue) -> None:
    status = ended(a_lesson("no drawing at all"))
    assert status.state == FAILED and "holds no labelled drawings to learn from" in status.reason
    assert "taught" not in model_folders()
