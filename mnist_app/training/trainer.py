"""From a config to a model on disk, for the command line and for background jobs."""

import platform
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from torch import nn

from mnist_app.data.dataset import SPLITS, Digits, load_split
from mnist_app.ink import preprocessing
from mnist_app.models.networks import CLASSES, count_parameters, logits_of
from mnist_app.models.registry import CURVES, ModelCard, check_saveable, rounded, save_model
from mnist_app.training.inkset import load_ink, sources_of
from mnist_app.training.train import BatchReport, EpochReport, TrainConfig, check_device, fresh_network, train

MNIST_ONLY = "A small convolutional network that has seen nothing but MNIST."
WITH_INK = "A small convolutional network that has learned from MNIST and from real pen strokes."
ATTACKED = (
    "A small convolutional network that has learned from MNIST under attack: each digit was first changed by up to "
    "{} of 255 levels a pixel, in the way that misled it most."
)

# Called with every report, and the network as it is at that moment.
Watch = Callable[[BatchReport | EpochReport, nn.Module], None]


def train_model(
    folder: Path, config: TrainConfig, watch: Watch, command: str, ink_folder: Path | None = None, workers: int = 0
) -> ModelCard:
    """Train on one thread or a graphics card, measure on validation and test, and save model and card in ``folder``.

    ``command`` makes it again; ``workers`` are processes that paint ink meanwhile, if any. Raises AppError.
    """
    check_saveable(folder)
    check_device(config)
    torch.set_num_threads(1)  # for the same weights with any number of cores: more threads round sums differently
    # All three at once: if one is missing, it is better to say so before the training than after.
    digits, validation, test = (load_split(split) for split in SPLITS)
    ink = load_ink(ink_folder, config.ink.without) if ink_folder and config.ink else None
    network = fresh_network(config)
    history = []
    for report in train(network, config, digits, validation, ink, workers):
        watch(report, network)
        if isinstance(report, EpochReport):
            history.append(report)
    rounded(network.cpu())  # the figures below are those of the saved weights
    learned = min(config.digits or len(digits), len(digits))
    card = ModelCard(
        name=folder.name,
        summary=_summary(config, is_ink=ink is not None),
        architecture=config.architecture,
        parameters=count_parameters(network),
        preprocessing=preprocessing.VERSION,
        data="; ".join([mnist_source(learned), *(sources_of(ink.names) if ink else [])]),
        command=command,
        config=asdict(config),
        seconds=round(history[-1].seconds, 1),
        machine=machine_with(config.device),
        metrics=metrics_of(network, {"validation": validation, "test": test}),
        curves=[{name: getattr(report, name) for name in CURVES} for report in history],
    )
    save_model(folder, network, card)
    return card


def machine_with(device: str) -> str:
    """Describe what a training ran on, for its card."""
    processor = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, 1 thread"
    return f"{processor}, torch {torch.__version__}, Python {platform.python_version()}"


def _summary(config: TrainConfig, is_ink: bool) -> str:
    if config.attack_levels:
        return ATTACKED.format(config.attack_levels)
    return WITH_INK if is_ink else MNIST_ONLY


def mnist_source(count: int) -> str:
    """Name the source and licence of ``count`` training digits."""
    return f"MNIST, {count:,} of the training images (LeCun, Cortes and Burges; CC BY-SA 3.0)"


def metrics_of(network: nn.Module, splits: Mapping[str, Digits]) -> dict[str, dict[str, float]]:
    """The metrics of a newly trained network, by split."""
    return {split: {"accuracy": accuracy(network, digits)} for split, digits in splits.items()}


def accuracy(network: nn.Module, digits: Digits) -> float:
    """The share of digits that a network reads right, 0 to 1."""
    return float((logits_of(network, digits.images)[:, :CLASSES].argmax(dim=1).numpy() == digits.labels).mean())


def command_of(config: TrainConfig, where: Sequence[str]) -> str:
    """The command that trains with this config. It gives only the options that differ from the defaults."""
    return shlex.join(["python", "-m", "mnist_app", "train", *where, *_options(config)])


def _options(config: TrainConfig) -> Iterator[str]:
    usual = TrainConfig()
    for given, default in ((config, usual), (config.augmentation, usual.augmentation)):
        for name in (field.name for field in fields(given) if field.name not in ("augmentation", "ink")):
            if getattr(given, name) != getattr(default, name):
                yield from (f"--{name.replace('_', '-')}", str(getattr(given, name)))
    if config.ink:
        yield from ("--ink", "INK_FOLDER", *(word for name in config.ink.without for word in ("--without", name)))
