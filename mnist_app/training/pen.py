"""Train a pen network to go with an image network that has learned from the same ink, and teach it in lessons."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_app.errors import AppError
from mnist_app.models.networks import REFUSING, count_parameters
from mnist_app.models.pennet import PenNet
from mnist_app.models.registry import ModelCard, PenCard, check_saveable, load_model, rounded, save_model
from mnist_app.training.inkset import Ink, InkConfig, fresh_trajectories, load_ink
from mnist_app.training.train import BatchReport
from mnist_app.training.trainer import machine_with
from mnist_app.training.twins import UNSEEN

PRECISION = torch.bfloat16  # for matrix products; halves the training time


@dataclass(frozen=True)
class PenConfig:
    """Everything that determines what a pen network learns."""

    ink: InkConfig
    epochs: int = 24  # with 15 it has not yet learned all it can
    batch_size: int = 128
    learning_rate: float = 0.004  # the peak of one cycle
    weight_decay: float = 0.05  # as for image networks that learn from ink
    label_smoothing: float = 0.05  # keeps confidence honest
    average: float = 0.995  # decay per batch of the moving average of weights that is kept in the end
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise AppError(f"seed must be between 0 and {2**32 - 1}, not {self.seed!r}.")


def train_pen(config: PenConfig, ink: Ink, pen: PenNet, workers: int = 0) -> Iterator[BatchReport]:
    """Train ``pen`` in place and yield a report after each batch; after the last, it holds the averaged weights.

    Each epoch restyles every drawing again; ``workers`` do so ahead of time, if any.
    """
    torch.manual_seed(config.seed)  # for the order of drawings, and for dropout
    pen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(pen, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True)
    optimiser = torch.optim.AdamW(pen.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = None
    coming = fresh_trajectories(ink, config.ink, config.seed, 1, workers)
    for epoch in range(1, config.epochs + 1):
        trajectories, labels = _whole(coming)
        if epoch < config.epochs:
            coming = fresh_trajectories(ink, config.ink, config.seed, epoch + 1, workers)
        batches = max(1, len(labels) // config.batch_size)
        schedule = schedule or torch.optim.lr_scheduler.OneCycleLR(
            optimiser, config.learning_rate, total_steps=batches * config.epochs, pct_start=0.25
        )
        order = torch.randperm(len(labels))
        pen.train()
        for batch in range(1, batches + 1):
            chosen = order[(batch - 1) * config.batch_size : batch * config.batch_size]
            with torch.autocast("cpu", PRECISION):
                logits = pen(trajectories[chosen]).float()
            loss = functional.cross_entropy(logits, labels[chosen], label_smoothing=config.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(pen)
            _check_finite(loss)
            yield BatchReport(epoch, batch, batches, loss.item())
    pen.load_state_dict(average.module.state_dict())


@dataclass(frozen=True)
class PenLesson:
    """Everything that determines what a lesson teaches a pen network."""

    ink: InkConfig
    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 0.001  # a quarter of the peak in training, and constant
    weight_decay: float = 0.05
    seed: int = 0


def teach_pen(config: PenLesson, ink: Ink, rehearsed: Ink, pen: PenNet) -> PenNet:
    """Return a copy of ``pen`` that has also learned ``ink``.

    To forget nothing, it rehearses its own answers to ``rehearsed`` drawings, right or wrong (Li and Hoiem, "Learning
    without forgetting", arXiv:1606.09282). If the ink that it once learned from is not at hand, traced digits will do.
    """
    torch.manual_seed(config.seed)
    pupil, teacher = copy.deepcopy(pen), copy.deepcopy(pen).eval()
    optimiser = torch.optim.AdamW(pupil.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    old = replace(config.ink, copies=1, nondigits=0)
    for epoch in range(1, config.epochs + 1):
        new_trajectories, labels = _whole(fresh_trajectories(ink, config.ink, config.seed, epoch))
        old_trajectories, _ = _whole(fresh_trajectories(rehearsed, old, config.seed, epoch))
        with torch.no_grad():
            answers = teacher(old_trajectories).softmax(dim=1)
        trajectories = torch.cat([new_trajectories, old_trajectories])
        targets = torch.cat([functional.one_hot(labels, answers.shape[1]), answers])
        pupil.train()
        for chosen in torch.randperm(len(trajectories)).split(config.batch_size):
            loss = functional.cross_entropy(pupil(trajectories[chosen]), targets[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            _check_finite(loss)
    return pupil.eval()


def _check_finite(loss: Tensor) -> None:
    if not math.isfinite(loss.item()):
        raise AppError("Training diverged: the loss is not a finite number. Try another seed.")


def _whole(parts: Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]) -> list[Tensor]:
    """All trajectories and labels of an epoch, in one tensor each."""
    return [torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)]


def give_pen(
    folder: Path, ink_folder: Path, seed: int, watch: Callable[[BatchReport], None], command: str, workers: int = 0
) -> ModelCard:
    """Train a pen network for the model in ``folder``, on one thread, and save it there beside the image network.

    It learns from the collections that the model has learned from. Until they are calibrated, the two together keep the
    model's temperature and refusal threshold. ``command`` makes the pen network again. Raises AppError if the model
    cannot have one.
    """
    check_saveable(folder)
    torch.set_num_threads(1)
    model = load_model(folder)
    learned = model.card.config.get("ink")
    if model.card.parent:
        raise AppError(
            f"{model.card.name!r} was taught in a lesson, of which a new pen network would know nothing. Teach its "
            "parent again instead: a lesson also teaches the pen network."
        )
    if "members" in model.card.config:
        raise AppError(f"{model.card.name!r} is an ensemble: give its first model a pen network, then combine again.")
    if not learned or model.card.architecture not in REFUSING:
        raise AppError(f"{model.card.name!r} cannot have a pen network: it has not learned from ink, or cannot refuse.")
    config = PenConfig(InkConfig(without=tuple(learned.get("without", ()))), seed=seed)
    ink = load_ink(ink_folder, config.ink.without)
    torch.manual_seed(seed)
    pen = PenNet()
    began = time.monotonic()
    for report in train_pen(config, ink, pen, workers):
        watch(report)
    seconds = round(time.monotonic() - began, 1)
    known = model.card.temperature, model.card.refusal
    pen_card = PenCard(count_parameters(pen), command, asdict(config), seconds, machine_with("cpu"), *known)
    metrics = {split: measures for split, measures in model.card.metrics.items() if not split.endswith(UNSEEN)}
    card = replace(model.card, metrics=metrics, pen=pen_card)
    save_model(folder, model.network, card, rounded(pen).eval())
    return card
