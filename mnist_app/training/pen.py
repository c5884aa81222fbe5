"""Train what follows the pen beside a network that has learned from pictures of the same ink, and teach it lessons."""

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

PRECISION = torch.bfloat16  # of what is multiplied: half the time


@dataclass(frozen=True)
class PenConfig:
    """Everything that decides what is learned."""

    ink: InkConfig
    epochs: int = 24  # with 15 the last of what it can learn is still to come
    batch_size: int = 128
    learning_rate: float = 0.004  # the peak of one cycle
    weight_decay: float = 0.05  # as what sees pictures of ink has
    label_smoothing: float = 0.05  # keeps confidence honest, likewise
    average: float = 0.995  # decay a batch of the moving average of weights that is kept in the end
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise AppError(f"seed is between 0 and {2**32 - 1}, not {self.seed!r}.")


def train_pen(config: PenConfig, ink: Ink, pen: PenNet, workers: int = 0) -> Iterator[BatchReport]:
    """Train ``pen`` in place, a report after each batch; after the last it holds the averaged weights.

    Each epoch has every drawing written anew, ahead by ``workers``, if any.
    """
    torch.manual_seed(config.seed)  # the order, and what dropout leaves out
    pen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(pen, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True)
    optimiser = torch.optim.AdamW(pen.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = None
    coming = fresh_trajectories(ink, config.ink, config.seed, 1, workers)
    for epoch in range(1, config.epochs + 1):
        ways, labels = _whole(coming)
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
                logits = pen(ways[chosen]).float()
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
    """Everything that decides what a pen is taught by a few drawings."""

    ink: InkConfig
    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 0.001  # a quarter of that by which it has learned, and constant
    weight_decay: float = 0.05
    seed: int = 0


def teach_pen(config: PenLesson, ink: Ink, rehearsed: Ink, pen: PenNet) -> PenNet:
    """A copy of ``pen`` that has learned ``ink``, too.

    So that it forgets nothing it rehearses its own answers to other drawings, right or wrong (Li and Hoiem, "Learning
    without forgetting", arXiv:1606.09282): where the ink is not at hand that it once learned from, traced digits do.
    """
    torch.manual_seed(config.seed)
    pupil, teacher = copy.deepcopy(pen), copy.deepcopy(pen).eval()
    optimiser = torch.optim.AdamW(pupil.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    old = replace(config.ink, copies=1, nondigits=0)
    for epoch in range(1, config.epochs + 1):
        new_ways, labels = _whole(fresh_trajectories(ink, config.ink, config.seed, epoch))
        old_ways, _ = _whole(fresh_trajectories(rehearsed, old, config.seed, epoch))
        with torch.no_grad():
            answers = teacher(old_ways).softmax(dim=1)
        ways = torch.cat([new_ways, old_ways])
        targets = torch.cat([functional.one_hot(labels, answers.shape[1]), answers])
        pupil.train()
        for chosen in torch.randperm(len(ways)).split(config.batch_size):
            loss = functional.cross_entropy(pupil(ways[chosen]), targets[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            _check_finite(loss)
    return pupil.eval()


def _check_finite(loss: Tensor) -> None:
    if not math.isfinite(loss.item()):
        raise AppError("The learning went astray: its loss is no number. Choose another seed.")


def _whole(parts: Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]) -> list[Tensor]:
    """An epoch's trajectories and labels."""
    return [torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)]


def give_pen(
    folder: Path, ink_folder: Path, seed: int, watch: Callable[[BatchReport], None], command: str, workers: int = 0
) -> ModelCard:
    """Have the model in ``folder`` follow the pen from now on: train that on one thread, and save it beside the model.

    It learns from the collections that the model has learned from. Until they are calibrated the two are as sure and as
    soon in doubt as the model was. ``command`` makes the pen again. Raises AppError where a model cannot have one.
    """
    check_saveable(folder)
    torch.set_num_threads(1)
    model = load_model(folder)
    learned = model.card.config.get("ink")
    if model.card.parent:
        raise AppError(
            f"{model.card.name!r} was taught by a lesson, of which a pen would know nothing. Teach its parent "
            "again: what follows the pen is taught, too."
        )
    if "members" in model.card.config:
        raise AppError(f"{model.card.name!r} is made of others: give the first of them a pen, and combine them again.")
    if not learned or model.card.architecture not in REFUSING:
        raise AppError(f"{model.card.name!r} has learned from no ink, so there is none for a pen to learn from.")
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
