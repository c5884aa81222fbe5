"""Time to 99% of the validation digits, for our network and the tutorial's; and what 10 to 60 s of training achieve.

Both train in turn, on one thread. They are measured eight times an epoch, with the clock stopped, and end at the first
measurement that reaches the goal. The tutorial's network is stopped once it has taken LONGEST times as long as ours:
the time that it would still need is not known, which counts in its favour. Seconds are processor time, which on an
idle machine with one thread equals wall time.

For a given time, a recipe is shortened or extended to fit, by the speed of its first digits. So it ends as recipes do,
with small steps.
"""

import dataclasses
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_app.data.dataset import Digits, load_split
from mnist_app.models.networks import batch_of, logits_of
from mnist_app.training import jobs
from mnist_app.training.augmentation import Augmentation
from mnist_app.training.queue import Queue
from mnist_app.training.train import PRESETS, BatchReport, TrainConfig, fresh_network, train

from .figures import Figure

GOAL = 0.99
SEEDS, BUDGET_SEEDS = range(5), range(3)
CHECKS = 8  # an epoch
JOBS = 20
LONGEST = 20  # times as long as ours took
MAX_EPOCHS = 20
BUDGETS = {  # seconds, and the best recipe for them
    10: PRESETS["quick"].config,
    30: dataclasses.replace(PRESETS["minute"].config, augmentation=Augmentation(5, 1, 0.05, 0.08)),
    60: PRESETS["minute"].config,
}
PACED_BY = 10_000  # digits that the speed is measured on


class Tutorial(nn.Module):
    """The network of PyTorch's MNIST example."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = functional.relu(self.conv2(functional.relu(self.conv1(pictures))))
        maps = self.dropout1(functional.max_pool2d(maps, 2)).flatten(1)
        return self.fc2(self.dropout2(functional.relu(self.fc1(maps))))


class Clock:
    """Counts processor seconds, except while it is stopped."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = time.process_time()

    def stop(self) -> None:
        self.seconds += time.process_time() - self._began

    def go_on(self) -> None:
        self._began = time.process_time()


def measure() -> Iterator[Figure]:
    torch.set_num_threads(1)
    digits, validation, test = (load_split(split) for split in ("train", "validation", "test"))
    times: dict[str, list[float]] = {"ours": [], "the tutorial network": []}
    accuracies: dict[str, list[float]] = {name: [] for name in times}
    for seed in SEEDS:
        for name, steps in (("ours", _ours(seed, digits)), ("the tutorial network", _theirs(seed, digits))):
            most = float("inf") if name == "ours" else LONGEST * times["ours"][-1]
            seconds, network = _time_to_goal(steps, validation, most)
            times[name].append(seconds)
            accuracies[name].append(100 * _accuracy(network, test))
            print(f"seed {seed}, {name}: {seconds:.1f} s, test {accuracies[name][-1]:.2f}%", flush=True)
    for name, values in times.items():
        yield Figure.of(f"{name}: time to {GOAL:.0%} of validation, or until stopped", values, "s")
    ratios = [theirs / ours for ours, theirs in zip(*times.values(), strict=True)]
    yield Figure.of("times faster, seed by seed", ratios, "×")
    for name, values in accuracies.items():
        yield Figure.of(f"{name}: test accuracy there", values, "%")


def measure_budgets() -> Iterator[Figure]:
    """Measure the share of test digits read right after 10, 30 and 60 s of training."""
    torch.set_num_threads(1)
    digits, test = load_split("train"), load_split("test")
    for budget, recipe in BUDGETS.items():
        taken, read = [], []
        for seed in BUDGET_SEEDS:
            config = dataclasses.replace(recipe, seed=seed, checks=1)
            paced, _ = _learned(dataclasses.replace(config, epochs=1, digits=PACED_BY), digits)
            passes = budget / (paced / PACED_BY * len(digits))
            epochs = math.ceil(passes)
            fitting = dataclasses.replace(config, epochs=epochs, digits=int(len(digits) * passes / epochs))
            seconds, network = _learned(fitting, digits)
            taken.append(seconds)
            read.append(100 * _accuracy(network, test))
        yield Figure.of(f"a recipe for {budget} s takes", taken, "s")
        yield Figure.of("  and its test accuracy is", read, "%")


def _learned(config: TrainConfig, digits: Digits) -> tuple[float, nn.Module]:
    """Train; return the seconds that it took and the network."""
    network, clock = fresh_network(config), Clock()
    for _ in train(network, config, digits, digits[:2]):
        pass
    clock.stop()
    return clock.seconds, network


def measure_jobs() -> list[Figure]:
    """Measure from a job's request to its first report, and from its cancellation to the end of its process."""
    os.environ["MNIST_APP_HOME"] = tempfile.mkdtemp()
    queue = Queue()
    queue.start()
    begun, cancelled = [], []
    for _ in range(JOBS):
        asked = time.perf_counter()
        identity = jobs.submit("bench", PRESETS["best"].config)
        begun.append(_until(identity, lambda status: status.batch > 0) - asked)
        asked = time.perf_counter()
        jobs.cancel(identity)
        cancelled.append(_until(identity, lambda status: status.is_over) - asked)
    queue.stop()
    return [
        Figure.of("from the request of a training until it learns", begun, "s"),
        Figure.of("from its cancellation until it has ended", cancelled, "s"),
    ]


def _until(identity: str, is_so: Callable[[jobs.JobStatus], bool]) -> float:
    """Wait until a condition holds for a job; return that moment, by time.perf_counter()."""
    while True:
        status = next(job.status for job in jobs.list_jobs() if job.id == identity)
        if is_so(status):
            return time.perf_counter()
        assert not status.is_over, status.reason
        time.sleep(0.01)


Steps = Iterator[tuple[nn.Module, bool]]  # the network, and whether to measure it now


def _time_to_goal(steps: Steps, validation: Digits, most: float) -> tuple[float, nn.Module]:
    """Train until the goal is reached or more than ``most`` seconds are over; return the seconds and the network."""
    clock = Clock()
    for network, is_check in steps:
        if is_check:
            clock.stop()
            accuracy = _accuracy(network, validation)
            if accuracy >= GOAL:
                return clock.seconds, network
            if clock.seconds > most:
                break
            clock.go_on()
    print(f"goal not reached: {accuracy:.2%} of validation when it was stopped", flush=True)
    return clock.seconds, network


def _ours(seed: int, digits: Digits) -> Steps:
    config: TrainConfig = dataclasses.replace(PRESETS["quick"].config, seed=seed, checks=CHECKS)
    network = fresh_network(config)
    for report in train(network, config, digits, digits[:2]):
        yield network, not isinstance(report, BatchReport)


def _theirs(seed: int, digits: Digits) -> Steps:
    torch.manual_seed(seed)
    network = Tutorial()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    images, labels = torch.from_numpy(digits.images.copy()), torch.from_numpy(digits.labels)
    batches = len(digits) // 64
    checked = {round(batches * check / CHECKS) for check in range(1, CHECKS + 1)}
    for _ in range(MAX_EPOCHS):
        order = torch.randperm(len(labels))
        for batch in range(1, batches + 1):
            chosen = order[(batch - 1) * 64 : batch * 64]
            network.train()
            loss = functional.cross_entropy(network(batch_of(images[chosen])), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield network, batch in checked


def _accuracy(network: nn.Module, digits: Digits) -> float:
    return float(np.mean(logits_of(network, digits.images).argmax(dim=1).numpy() == digits.labels))
