"""Combine trained models into one that answers for all of them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mnist_app.data.dataset import load_split
from mnist_app.errors import AppError
from mnist_app.models.networks import MEMBERS, Ensemble, count_parameters
from mnist_app.models.registry import Model, ModelCard, check_saveable, save_model
from mnist_app.training.trainer import metrics_of

SUMMARY = (
    "A network that knows pen strokes and two that know MNIST alone answer together: the mean of their probabilities, "
    "half of it the first one's. Confidence and refusal are calibrated for the first one alone."
)
ARCHITECTURE = "trio"


def combine(folder: Path, members: Sequence[Model], command: str) -> ModelCard:
    """Measure an ensemble of models on validation and test, and save it with its card in ``folder``.

    ``command`` combines them again. The pen network, temperature and refusal threshold are the first member's. Raises
    AppError if the members are not the models that an ensemble needs.
    """
    check_saveable(folder)
    torch.set_num_threads(1)
    if tuple(member.card.architecture for member in members) != MEMBERS:
        raise AppError(f"An ensemble needs models with the architectures {', '.join(MEMBERS)}, in this order.")
    if [member.card.config.get("ink") is not None for member in members] != [True, False, False]:
        raise AppError("The first model of an ensemble must have learned from ink, and the others must not.")
    first, network = members[0].card, Ensemble([member.network for member in members]).eval()
    card = ModelCard(
        name=folder.name,
        summary=SUMMARY,
        architecture=ARCHITECTURE,
        parameters=count_parameters(network),
        preprocessing=first.preprocessing,
        data=first.data,  # the others learned from part of it
        command=command,
        config={"members": [member.card.command for member in members], "ink": first.config["ink"]},
        seconds=round(sum(member.card.seconds for member in members), 1),
        machine="; ".join(dict.fromkeys(member.card.machine for member in members)),
        metrics=metrics_of(network, {split: load_split(split) for split in ("validation", "test")}),
        temperature=first.temperature,
        refusal=first.refusal,
        pen=first.pen,
    )
    save_model(folder, network, card, members[0].pen)
    return card
