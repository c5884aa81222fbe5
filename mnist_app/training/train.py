"""Train a network: recipes, and a plain generator of reports that knows nothing of files, processes or screens."""

import itertools
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError, FieldError
from mnist_app.models.networks import ARCHITECTURES, CLASSES, batch_of, build, logits_of
from mnist_app.training.adversary import attacked
from mnist_app.training.augmentation import STILL, Augmentation, augment
from mnist_app.training.inkset import Ink, InkConfig, fresh_digits

OPTIMISERS: dict[str, Callable[[Iterator[nn.Parameter], float, float], torch.optim.Optimizer]] = {
    "adamw": lambda parameters, rate, decay: torch.optim.AdamW(parameters, rate, weight_decay=decay),
    "sgd": lambda parameters, rate, decay: torch.optim.SGD(
        parameters, rate, momentum=0.9, nesterov=True, weight_decay=decay
    ),
}

SCHEDULES = ("one-cycle", "constant")

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

DEVICES = ("cpu", "cuda")

CHOICES: dict[str, Collection[str]] = {
    "architecture": ARCHITECTURES,
    "optimiser": OPTIMISERS,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "device": DEVICES,
}

_Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines what is learned. The defaults are the recipe of weights/mnist-cnn."""

    architecture: str = "convnet"
    epochs: int = 24  # validation stops improving at about 20
    batch_size: int = 128  # smaller steps generalise better here; larger ones gain no speed on one thread
    learning_rate: float = 0.01  # the peak of one cycle, or the rate of a constant schedule
    weight_decay: float = 0.01  # passed to the optimiser
    label_smoothing: float = 0.05  # keeps confidence honest on ink unlike textbook digits
    average: float = 0.998  # decay per batch of the moving average of weights that is kept in the end
    augmentation: Augmentation = field(default_factory=Augmentation)
    ink: InkConfig | None = None  # None learns from MNIST alone
    seed: int = 0
    optimiser: str = "adamw"  # of OPTIMISERS
    digits: int | None = None  # how many training digits to learn from, chosen by the seed; None for all
    checks: int = 1  # measurements on validation per epoch: several let people watch a short run
    schedule: str = "one-cycle"  # of SCHEDULES; one cycle needs half the epochs that a constant rate does
    attack_levels: int = 0  # of 255 that an attack may change each pixel by; 0 for no attacks
    precision: str = "float32"  # of PRECISIONS, for matrix products; bfloat16 halves the time if the CPU has it
    device: str = "cpu"  # of DEVICES; a graphics card learns in minutes what takes a CPU an hour

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise AppError(f"No {name} {getattr(self, name)!r}. Available: {', '.join(known)}.")
        whole = ("epochs", "batch_size", "seed", "checks", "attack_levels")
        for name in (*whole, *(["digits"] if self.digits is not None else [])):
            if not isinstance(getattr(self, name), int):
                raise FieldError(name, f"must be a whole number, not {getattr(self, name)!r}.")
        for name, least, most in (
            ("epochs", 1, 1000),
            ("batch_size", 2, 4096),
            ("learning_rate", 1e-6, 1),
            ("weight_decay", 0, 1),
            ("label_smoothing", 0, 0.5),
            ("average", 0, 0.99999),
            ("seed", 0, 2**32 - 1),
            ("digits", 10, 55_000),  # the rest of MNIST's 60,000 is for validation
            ("checks", 1, 20),
            ("attack_levels", 0, 127),  # with 128 every picture can be made the same grey
        ):
            value = getattr(self, name)
            if not (value is None and name == "digits") and not least <= value <= most:
                raise FieldError(name, f"must be between {least} and {most}, not {value!r}.")


@dataclass(frozen=True)
class Preset:
    """A recipe with a name, for people who do not want to choose."""

    title: str
    promise: str  # a sentence
    config: TrainConfig


PRESETS = {
    "quick": Preset(
        "10 seconds",
        "A very small network sees every digit once. It then reads about 99.2% right. Takes 10 to 20 seconds if the "
        "server is quiet.",
        TrainConfig("quicknet", epochs=1, augmentation=STILL, checks=8),
    ),
    "minute": Preset(
        "1 minute",
        "The same network sees every digit five times, changed a little each time. It then reads about 99.5% right. "
        "Takes one to two minutes.",
        TrainConfig("quicknet", epochs=5, augmentation=Augmentation(8, 1, 0.08, 0.12), checks=2),
    ),
    "best": Preset(
        "Best",
        "A larger network sees every digit 24 times, changed a lot each time. It then reads 99.7% right. Takes about "
        "twenty minutes.",
        TrainConfig(),
    ),
}


@dataclass(frozen=True)
class BatchReport:
    """Reported after each step of the optimiser."""

    epoch: int  # from 1
    batch: int  # from 1, within the epoch
    batches: int  # in an epoch
    loss: float


@dataclass(frozen=True)
class EpochReport:
    """Reported after each pass over the training digits, or each of its ``checks`` parts."""

    epoch: int  # from 1
    passes: float  # over the training digits so far
    train_loss: float  # mean since the last report, with smoothed labels, on augmented (and attacked) pictures
    train_accuracy: float  # 0 to 1, since the last report, on the same pictures
    validation_loss: float  # nats
    validation_accuracy: float  # 0 to 1
    seconds: float  # since training began
    # (10, 10) on validation: rows are the labels, columns what was read. Empty if a job has not kept it.
    confusion: tuple[tuple[int, ...], ...]


def check_device(config: TrainConfig) -> None:
    """Raise AppError if the device that the config asks for is not there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise AppError("There is no graphics card here that PyTorch can use. Choose the device 'cpu'.")


def fresh_network(config: TrainConfig) -> nn.Module:
    """The untrained network that this config starts from; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build(config.architecture)


def train(
    network: nn.Module,
    config: TrainConfig,
    digits: Digits,
    validation: Digits,
    ink: Ink | None = None,
    workers: int = 0,
) -> Iterator[BatchReport | EpochReport]:
    """Train ``network`` in place, and yield a report after each batch and each epoch.

    With ``ink``, each epoch adds new pictures of it to the digits, as ``config.ink`` says; ``workers`` paint them ahead
    of time, if any.

    After an EpochReport and until the next BatchReport, the network holds the averaged weights: those that were
    measured and should be kept. To stop, do not ask for the next report. The same config, digits and number of torch
    threads give the same weights on the same kind of processor.
    """
    torch.manual_seed(config.seed)  # dropout draws from the global generator
    generator = torch.Generator(config.device).manual_seed(config.seed)
    epochs = _digits_by_epoch(config, _chosen(digits, config), ink, workers)
    network.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster
    epoch_digits = next(epochs)
    batches = max(1, len(epoch_digits) // config.batch_size)
    checked = {max(1, round(batches * check / config.checks)) for check in range(1, config.checks + 1)}
    optimiser = OPTIMISERS[config.optimiser](network.parameters(), config.learning_rate, config.weight_decay)
    schedule = _schedule(optimiser, config, batches * config.epochs)
    average = AveragedModel(network, multi_avg_fn=_moving_average(config.average), use_buffers=True)
    began = time.monotonic()
    for epoch in range(1, config.epochs + 1):
        network.train()
        images = torch.from_numpy(epoch_digits.images.copy()).to(config.device)
        labels = torch.from_numpy(epoch_digits.labels).to(config.device)
        order = torch.randperm(len(labels), generator=generator, device=config.device)
        losses: list[float] = []
        right = seen = 0
        for batch in range(1, batches + 1):
            chosen = order[(batch - 1) * config.batch_size : batch * config.batch_size]
            pictures = augment(batch_of(images[chosen]), config.augmentation, generator)
            if config.attack_levels:
                pictures = attacked(network, pictures, labels[chosen], config.attack_levels, generator)
            with torch.autocast(config.device, PRECISIONS[config.precision], enabled=config.precision != "float32"):
                logits = network(pictures).float()
            loss = functional.cross_entropy(logits, labels[chosen], label_smoothing=config.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise AppError("Training diverged: the loss is not a finite number. Try a lower learning rate.")
            right += int((logits.argmax(dim=1) == labels[chosen]).sum())
            seen += len(chosen)
            yield BatchReport(epoch, batch, batches, losses[-1])
            if batch not in checked:
                continue
            learning = {name: value.clone() for name, value in network.state_dict().items()}
            network.load_state_dict(average.module.state_dict())
            logits = logits_of(network, validation.images, device=config.device)
            read = logits[:, :CLASSES].argmax(dim=1)
            answers = torch.from_numpy(validation.labels)
            yield EpochReport(
                epoch,
                passes=epoch - 1 + batch / batches,
                train_loss=sum(losses) / len(losses),
                train_accuracy=right / seen,
                validation_loss=functional.cross_entropy(logits, answers).item(),
                validation_accuracy=(read == answers).float().mean().item(),
                seconds=time.monotonic() - began,
                confusion=_confusion(answers, read),
            )
            if epoch < config.epochs or batch < batches:
                network.load_state_dict(learning)
                network.train()
            losses, right, seen = [], 0, 0
        if epoch < config.epochs:
            epoch_digits = next(epochs)


def _schedule(
    optimiser: torch.optim.Optimizer, config: TrainConfig, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The schedule of the learning rate over the ``steps`` of a training."""
    if config.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        config.learning_rate,
        total_steps=max(5, steps),  # with 4, the rise takes 0 steps, and PyTorch divides by that
        pct_start=0.25,
    )


def _confusion(labels: Tensor, read: Tensor) -> tuple[tuple[int, ...], ...]:
    counts = torch.bincount(labels * CLASSES + read, minlength=CLASSES**2).view(CLASSES, CLASSES)
    return tuple(tuple(row) for row in counts.tolist())


def _chosen(digits: Digits, config: TrainConfig) -> Digits:
    """The digits to learn from: all of them, or as many as the config says, chosen by its seed."""
    if config.digits is None or config.digits >= len(digits):
        return digits
    return digits[np.random.default_rng(config.seed).permutation(len(digits))[: config.digits]]


def _digits_by_epoch(config: TrainConfig, digits: Digits, ink: Ink | None, workers: int) -> Iterator[Digits]:
    """Yield the digits to learn from in each epoch."""
    if ink is None or config.ink is None:
        yield from itertools.repeat(digits, config.epochs)
        return
    coming = fresh_digits(ink, config.ink, config.seed, 1, workers)
    for epoch in range(1, config.epochs + 1):
        fresh = list(coming)
        if epoch < config.epochs:
            coming = fresh_digits(ink, config.ink, config.seed, epoch + 1, workers)
        everything = [digits, *fresh]
        yield Digits(
            np.concatenate([part.images for part in everything]), np.concatenate([part.labels for part in everything])
        )


def _moving_average(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    """A moving average that forgets its first steps sooner, because their weights are not worth keeping."""

    def update(averaged: _Tensors, current: _Tensors, steps: Tensor | int) -> None:
        get_ema_multi_avg_fn(min(decay, (1 + int(steps)) / (10 + int(steps))))(averaged, current, steps)

    return update
