"""Trained models put together to one that answers for all of them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mnist_app.data.dataset import load_split
from mnist_app.errors import AppError
from mnist_app.models.networks import TURN, Ensemble, build, count_parameters
from mnist_app.models.registry import Model, ModelCard, check_saveable, save_model
from mnist_app.training.trainer import metrics_of

SUMMARY = (
    "Networks that answer together, each trained from another start, each asked about the picture as it is and turned "
    f"by {TURN} degrees to either side: the mean of all their probabilities. Confidence and refusal are calibrated for "
    "the first one alone."
)
ARCHITECTURE = "ensemble"


def combine(folder: Path, members: Sequence[Model], command: str) -> ModelCard:
    """Save an ensemble of models with its card in ``folder``, measured on validation and test.

    ``command`` is what combines them again. Pen, temperature and refusal are the first one's. Raises AppError where
    they are not the networks an ensemble is made of.
    """
    check_saveable(folder)
    torch.set_num_threads(1)
    network = build(ARCHITECTURE)
    assert isinstance(network, Ensemble)
    made_of = [type(member) for member in network.members]
    if [type(member.network) for member in members] != made_of:
        raise AppError(f"An ensemble is made of {len(made_of)} models of the architecture 'handnet'.")
    first, network = members[0].card, Ensemble([member.network for member in members]).eval()
    card = ModelCard(
        name=folder.name,
        summary=SUMMARY,
        architecture=ARCHITECTURE,
        parameters=count_parameters(network),
        preprocessing=first.preprocessing,
        data="; ".join(dict.fromkeys(member.card.data for member in members)),
        command=command,
        config={"members": [member.card.command for member in members]},
        seconds=round(sum(member.card.seconds for member in members), 1),
        machine=first.machine,
        metrics=metrics_of(network, {split: load_split(split) for split in ("validation", "test")}),
        temperature=first.temperature,
        refusal=first.refusal,
        pen=first.pen,
    )
    save_model(folder, network, card, members[0].pen)
    return card
