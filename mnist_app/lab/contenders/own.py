"""The models that this app reads with, for comparison: they have learned before, by their cards' commands."""

from mnist_app.lab.contender import OWN, Contender, Expected, Fitted, Lesson
from mnist_app.models.graph import to_graph
from mnist_app.models.networks import fold_batch_norm, logits_of
from mnist_app.models.registry import find_model, load_card, load_model


def _own(name: str, title: str, expected: Expected | None = None) -> Contender:
    card = load_card(find_model(name))

    def fit(_: Lesson) -> Fitted:
        network = load_model(find_model(name)).network
        return Fitted(
            lambda: to_graph(fold_batch_norm(network)),
            lambda images: logits_of(network, images).numpy(),
            card.parameters,
            curves=tuple(card.curves),
            card=card,
        )

    knows_ink = card.config.get("ink") is not None
    return Contender(name, title, OWN, card.summary, card.command, fit, expected, knows_ink=knows_ink)


CONTENDERS = (
    _own("mnist-cnn", "mnist-cnn", Expected(0.997, "what this app asks of it")),
    _own("ink-cnn", "ink-cnn, the default"),
    _own("robust-cnn", "robust-cnn"),
)
