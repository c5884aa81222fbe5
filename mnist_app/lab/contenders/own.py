"""This app's own models, for comparison. They are trained already, by the commands on their cards."""

import hashlib

from mnist_app.lab.contender import OWN, Contender, Expected, Fitted, TrainingData
from mnist_app.models.graph import to_graph
from mnist_app.models.networks import fold_batch_norm, logits_of
from mnist_app.models.registry import answering_file, find_model, load_card, load_model


def _own(name: str, title: str, expected: Expected | None = None) -> Contender:
    folder = find_model(name)
    card = load_card(folder)
    weights = hashlib.sha256(answering_file(folder).read_bytes()).hexdigest()[:8]
    # A model retrained by the same command, or recalibrated, is another one: weights and temperature tell them apart.
    recipe = f"{card.command}\n# weights {weights}, temperature {card.temperature:.3f}"

    def fit(_: TrainingData) -> Fitted:
        network = load_model(folder).network
        return Fitted(
            lambda: to_graph(fold_batch_norm(network)),
            lambda images: logits_of(network, images).numpy(),
            card.parameters,
            curves=tuple(card.curves),
            card=card,
        )

    knows_ink = card.config.get("ink") is not None
    return Contender(name, title, OWN, card.summary, recipe, fit, expected, knows_ink=knows_ink)


CONTENDERS = (
    _own("mnist-cnn", "mnist-cnn", Expected(0.997, "what this app asks of it")),
    _own("ink-cnn", "ink-cnn, the default"),
    _own("robust-cnn", "robust-cnn"),
)
