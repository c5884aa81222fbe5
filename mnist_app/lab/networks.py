"""Networks as contenders: a module, a recipe, and the training loop that the whole app shares."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from mnist_app.lab.contender import NETWORK, Contender, Expected, Fitted, TrainingData
from mnist_app.models.graph import to_graph
from mnist_app.models.networks import count_parameters, logits_of
from mnist_app.models.registry import CURVES
from mnist_app.training.train import EpochReport, TrainConfig, train

ADDED_LATER = ("precision", "device")  # to TrainConfig, after networks had been measured


def network(
    name: str, title: str, idea: str, build: Callable[[], nn.Module], config: TrainConfig, expected: Expected
) -> Contender:
    """A contender trained by ``config``, whose architecture is ignored: ``build`` makes the network."""

    def fit(data: TrainingData) -> Fitted:
        torch.manual_seed(config.seed)
        return learned(build(), config, data)

    return Contender(name, title, NETWORK, idea, f"{build()}\n{recipe_of(config)}", fit, expected)


def recipe_of(config: TrainConfig) -> str:
    """The part of a config that decides what a given network learns.

    Fields ADDED_LATER are named only if they differ from the default, so that earlier measurements stay valid.
    """
    usual = vars(TrainConfig())
    unnamed = {"architecture", "ink", "checks", *(name for name in ADDED_LATER if vars(config)[name] == usual[name])}
    return ", ".join(f"{name}={value}" for name, value in vars(config).items() if name not in unnamed)


def learned(module: nn.Module, config: TrainConfig, data: TrainingData) -> Fitted:
    """Train a module in place."""
    if data.is_quick:
        config = replace(config, epochs=1)
    curves = []
    for report in train(module, config, data.digits, data.validation):
        if isinstance(report, EpochReport):
            curves.append({name: float(getattr(report, name)) for name in CURVES})
        else:
            data.progress((report.epoch - 1 + report.batch / report.batches) / config.epochs)
    module.eval()
    return Fitted(
        lambda: to_graph(module),
        lambda images: logits_of(module, images).numpy(),
        count_parameters(module),
        curves=tuple(curves),
    )
