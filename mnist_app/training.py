"""Train a network: a plain generator of reports that knows no files, no processes and no screen."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_app.augmentation import Augmentation, augment
from mnist_app.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.inkset import Ink, InkConfig, fresh_digits
from mnist_app.models import ARCHITECTURES, CLASSES, batch_of, build, logits_of

_Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what is learned. The defaults are the recipe of weights/mnist-cnn."""

    architecture: str = "convnet"
    epochs: int = 24  # validation stops improving at about 20
    batch_size: int = 128  # smaller steps generalise better here; larger ones gain no speed on one thread
    learning_rate: float = 0.01  # the peak of one cycle
    weight_decay: float = 0.01  # AdamW's
    label_smoothing: float = 0.05  # keeps confidence honest on ink that is no textbook digit
    average: float = 0.998  # decay a batch of the moving average of weights that is kept in the end
    augmentation: Augmentation = field(default_factory=Augmentation)
    ink: InkConfig | None = None  # None learns from MNIST alone
    seed: int = 0

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise AppError(f"No architecture {self.architecture!r}. Available: {', '.join(ARCHITECTURES)}.")
        for name in ("epochs", "batch_size", "seed"):
            if not isinstance(getattr(self, name), int):
                raise AppError(f"{name} is a whole number, not {getattr(self, name)!r}.")
        for name, least, most in (
            ("epochs", 1, 1000),
            ("batch_size", 2, 4096),
            ("learning_rate", 1e-6, 1),
            ("weight_decay", 0, 1),
            ("label_smoothing", 0, 0.5),
            ("average", 0, 0.99999),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise AppError(f"{name} is between {least} and {most}, not {value!r}.")


@dataclass(frozen=True)
class BatchReport:
    """One step of the optimiser was taken."""

    epoch: int  # from 1
    batch: int  # from 1, within the epoch
    batches: int  # in an epoch
    loss: float


@dataclass(frozen=True)
class EpochReport:
    """One pass over the training digits is done."""

    epoch: int  # from 1
    train_loss: float  # mean over the epoch, with smoothed labels on augmented digits
    validation_loss: float  # nats
    validation_accuracy: float  # 0 to 1
    seconds: float  # since training began


def fresh_network(config: TrainConfig) -> nn.Module:
    """The network that this config starts from: the same seed, the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build(config.architecture)


def train(
    network: nn.Module, config: TrainConfig, digits: Digits, validation: Digits, ink: Ink | None = None
) -> Iterator[BatchReport | EpochReport]:
    """Train ``network`` in place, a report after each batch and each epoch.

    With ``ink``, as ``config.ink`` says, each epoch has new pictures of it besides the digits.

    After an EpochReport and until the next BatchReport the network holds the averaged weights, the ones it was
    measured with and the ones to keep. Stop by not asking for the next report. The same config, digits and number of
    torch threads give the same weights.
    """
    torch.manual_seed(config.seed)  # dropout draws from the global generator
    generator = torch.Generator().manual_seed(config.seed)
    course = _course(config, digits, ink)
    lesson = next(course)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth quicker on a CPU
    batches = max(1, len(lesson) // config.batch_size)
    optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        config.learning_rate,
        total_steps=max(5, batches * config.epochs),  # with 4 the rise has no length, and PyTorch divides by it
        pct_start=0.25,
    )
    average = AveragedModel(network, multi_avg_fn=_moving_average(config.average), use_buffers=True)
    began = time.monotonic()
    for epoch in range(1, config.epochs + 1):
        network.train()
        images, labels = torch.from_numpy(lesson.images.copy()), torch.from_numpy(lesson.labels)
        order = torch.randperm(len(labels), generator=generator)
        losses: list[float] = []
        for batch in range(1, batches + 1):
            chosen = order[(batch - 1) * config.batch_size : batch * config.batch_size]
            pictures = augment(batch_of(images[chosen]), config.augmentation, generator)
            loss = functional.cross_entropy(network(pictures), labels[chosen], label_smoothing=config.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            losses.append(loss.item())
            yield BatchReport(epoch, batch, batches, losses[-1])
        learning = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(average.module.state_dict())
        logits = logits_of(network, validation.images)
        answers = torch.from_numpy(validation.labels)
        yield EpochReport(
            epoch,
            train_loss=sum(losses) / len(losses),
            validation_loss=functional.cross_entropy(logits, answers).item(),
            validation_accuracy=(logits[:, :CLASSES].argmax(dim=1) == answers).float().mean().item(),
            seconds=time.monotonic() - began,
        )
        if epoch < config.epochs:
            network.load_state_dict(learning)
            lesson = next(course)


def _course(config: TrainConfig, digits: Digits, ink: Ink | None) -> Iterator[Digits]:
    """What is learned from in one epoch after another."""
    random = np.random.default_rng(config.seed)
    while True:
        if ink is None or config.ink is None:
            yield digits
        else:
            fresh = fresh_digits(ink, config.ink, random)
            yield Digits(np.concatenate([digits.images, fresh.images]), np.concatenate([digits.labels, fresh.labels]))


def _moving_average(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    """A moving average that forgets its first steps sooner: they are nothing to remember."""

    def update(averaged: _Tensors, current: _Tensors, steps: Tensor | int) -> None:
        get_ema_multi_avg_fn(min(decay, (1 + int(steps)) / (10 + int(steps))))(averaged, current, steps)

    return update
