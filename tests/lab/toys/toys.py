"""Contenders for tests: one that works, and some that fail in different ways."""

import os
import signal
import time
from collections.abc import Callable

from mnist_app.errors import AppError
from mnist_app.lab.contender import CLASSICAL, Contender, Fitted, TrainingData
from mnist_app.models.graph import to_graph
from mnist_app.storage import home
from tests.toy_lab import mean_digits


def well(data: TrainingData) -> Fitted:
    network = mean_digits(data.digits)
    return Fitted(lambda: to_graph(network), None, 7850)


def killed(_: TrainingData) -> Fitted:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def given_up(_: TrainingData) -> Fitted:
    raise AppError("It rained.")


def asleep(_: TrainingData) -> Fitted:
    (home() / "asleep").write_text(str(os.getpid()))
    time.sleep(600)
    raise AssertionError


def toy(fit: Callable[[TrainingData], Fitted]) -> Contender:
    name = fit.__name__.replace("_", "-")
    return Contender(name, f"The one that is {name}", CLASSICAL, "It plays.", "as one likes", fit)


CONTENDERS = tuple(map(toy, (killed, given_up, well, asleep)))
