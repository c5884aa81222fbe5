"""One contender after another: no work is done twice, and none is lost if its process dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.data.inkfiles import InkFileError
from mnist_app.errors import AppError
from mnist_app.lab import run as run_module
from mnist_app.lab.contender import NETWORK, Contender, Fitted, TrainingData
from mnist_app.lab.figures import FIGURES, Latency, problem_of, read_figures, table
from mnist_app.lab.run import Result, chosen, results_folder, run, time_all
from mnist_app.lab.studies import STUDIES
from mnist_app.models.registry import GRAPH
from mnist_app.storage import home, lab_folder

from ..processes import DYING, is_alive, until
from ..toy_lab import figures, put

ROOT = Path(__file__).parents[2]


# Real processes that really fail


@dataclass(frozen=True)
class AtWork:
    """A running lab that has reached a contender that sleeps."""

    process: "subprocess.Popen[bytes]"
    home: Path
    said: str

    @property
    def sleeper(self) -> int:
        """The process of that contender."""
        return int((self.home / "asleep").read_text())


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtWork]:
    folder = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "MNIST_APP_HOME": str(folder), "PYTHONPATH": str(ROOT), "MNIST_APP_DATA": ""}
    command = [sys.executable, str(Path(__file__).parent / "lab_of_toys.py"), "lab"]
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT) as process,
    ):
        try:
            until(lambda: (folder / "asleep").exists() or process.poll() is not None, 240)
            yield AtWork(process, folder, (folder / "said").read_text())
        finally:
            process.kill()


def test_a_contender_that_is_killed_or_fails_is_reported_and_the_next_one_runs(at_work: AtWork) -> None:
    first, second, third = at_work.said.splitlines()
    ended = "Its process ended unexpectedly, with exit code -9."
    assert first == f"1/4 The one that is killed: not measured. {ended}"
    assert second == "2/4 The one that is given-up: not measured. It rained."
    assert third.startswith("3/4 The one that is well: ") and "7,850 parameters" in third
    assert [problem_of(at_work.home / "lab" / name) for name in ("killed", "given-up")] == [ended, "It rained."]
    found = read_figures(at_work.home / "lab" / "well")
    assert found and found.accuracy > 0.6 and found.memory


def test_a_contenders_process_ends_when_the_lab_is_killed(at_work: AtWork) -> None:
    assert is_alive(at_work.sleeper)
    at_work.process.send_signal(signal.SIGKILL)
    until(lambda: not is_alive(at_work.sleeper), DYING)


# In this process, with a line-up of its own


@dataclass
class School:
    """A line-up, and the names of those that have learned."""

    line_up: Sequence[Contender]
    learned: list[str]

    def learn(self, name: str, folder: Path, ink: Path | None, is_quick: bool) -> str | None:
        self.learned.append(name)
        contender = next(each for each in self.line_up if each.name == name)
        put(folder.parent, figures(name, recipe=contender.recipe, ink=0.5 if ink else None))
        return None


def never(_: TrainingData) -> Fitted:
    raise AssertionError("it learned")


def toy(name: str, recipe: str = "as one likes") -> Contender:
    return Contender(name, f"A {name}", NETWORK, "It plays.", recipe, never)


@pytest.fixture
def school(monkeypatch: pytest.MonkeyPatch, nothing_shipped: Path) -> School:
    """Three toys that learn immediately."""
    found = School([toy("ball"), toy("robot"), toy("kite")], [])
    monkeypatch.setattr(run_module, "contenders", lambda: found.line_up)
    monkeypatch.setattr(run_module, "_in_a_process", found.learn)
    return found


def ran(*names: str, ink: Path | None = None, is_quick: bool = False, is_forced: bool = False) -> list[Result]:
    return list(run(names, ink, is_quick=is_quick, is_forced=is_forced))


def test_a_run_goes_on_where_the_last_one_stopped(school: School) -> None:
    ran("ball")
    results = ran("ball", "robot", "kite")
    assert school.learned == ["ball", "robot", "kite"]
    assert [(result.number, result.count, result.was_there) for result in results] == [
        (1, 3, True),
        (2, 3, False),
        (3, 3, False),
    ]
    assert [found.name for found in table()] == ["ball", "kite", "robot"]


def test_contenders_are_measured_again_if_their_recipe_changed_or_if_forced(school: School) -> None:
    ran("ball", "robot")
    school.line_up = [toy("ball", "in another way"), toy("robot")]
    assert [result.was_there for result in ran("ball", "robot")] == [False, True]
    assert [result.was_there for result in ran("ball", "robot", is_forced=True)] == [False, False]
    assert school.learned == ["ball", "robot", "ball", "ball", "robot"]


def test_broken_figures_or_figures_without_requested_ink_are_measured_again(school: School, tmp_path: Path) -> None:
    ran("ball", "robot")
    (lab_folder() / "ball" / FIGURES).write_text("{")
    ran("ball", "robot")
    (tmp_path / "ink.jsonl").write_text("")
    ran("robot", ink=tmp_path)
    ran("robot", ink=tmp_path)
    assert school.learned == ["ball", "robot", "ball", "robot"]


def test_missing_ink_is_an_error_before_any_training(school: School, tmp_path: Path) -> None:
    with pytest.raises(InkFileError, match="is missing"):
        ran("ball", ink=tmp_path / "nowhere")
    assert not school.learned


def test_results_of_a_rehearsal_are_kept_apart_and_never_shown(school: School) -> None:
    ran("ball", is_quick=True)
    assert read_figures(results_folder(is_quick=True) / "ball")
    assert table() == [] and not lab_folder().exists()
    assert [result.was_there for result in ran("ball")] == [False]
    assert results_folder(is_quick=True).parent == home() == results_folder(is_quick=False).parent


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(school: School) -> None:
    with pytest.raises(AppError, match=r"Nothing in the lab is called 'car'\. There are: ball, kite, robot, effects"):
        chosen(["ball", "car"])


def test_chosen_names_follow_the_line_ups_order_and_no_name_means_all(school: School) -> None:
    assert chosen(["kite", "ball", *STUDIES]) == ["ball", "kite"]
    assert chosen([]) == ["ball", "robot", "kite"]
    assert chosen(STUDIES) == []


def test_a_result_is_summarised_in_a_sentence() -> None:
    known = figures(ink=None, zipped=29_499, seconds=1234.5)
    said = "A toy: 90.00%, 7,850 parameters, 29 kB, learned in 1,234 s, reads one in 0.05 ms"
    assert Result(toy("toy"), 1, 1, known, None, False).sentence == said
    before = Result(toy("toy"), 1, 1, replace(known, ink=0.5), None, True).sentence
    assert before == said.replace("90.00%", "90.00%, real ink 50.00%") + " (measured before)"


# All latencies in one go


@pytest.fixture
def a_test_split(monkeypatch: pytest.MonkeyPatch, others: Digits) -> None:
    monkeypatch.setattr(run_module, "load_split", lambda split: others)


def test_timing_updates_latency_and_throughput_and_nothing_else(
    a_test_split: None, a_toy: Path, mean_digit: nn.Module
) -> None:
    slow = Latency(1e6, 1e6)
    own = put(lab_folder(), figures("mnist-cnn", latency=slow))  # its model is in another folder
    put(lab_folder(), figures("toy", latency=slow, throughput=0.001), mean_digit)
    time_all(["toy", "nobody", "mnist-cnn"], is_quick=False)
    for folder in (a_toy, own):
        found = read_figures(folder)
        assert found and 0 < found.latency.median <= found.latency.p95 < 1000 and found.throughput > 1
        before = figures(folder.name, latency=found.latency, throughput=found.throughput)
        assert asdict(replace(found, curves=())) == asdict(replace(before, curves=()))


def test_a_damaged_graph_is_an_error_that_names_it(a_test_split: None, a_toy: Path) -> None:
    (a_toy / GRAPH).write_bytes((a_toy / GRAPH).read_bytes()[:-1])
    with pytest.raises(AppError, match=f"toy/{GRAPH} cannot be read: it is broken"):
        time_all(["toy"], is_quick=False)


def test_a_full_disk_is_an_error_with_the_reason(
    a_test_split: None, a_toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "write_json", full)
    with pytest.raises(AppError, match=r"toy could not be written: No space left on device\."):
        time_all(["toy"], is_quick=False)
