import numpy as np

from mnist_app.data.dataset import Digits
from mnist_app.lab.contender import Lesson
from mnist_app.lab.contenders.own import CONTENDERS
from mnist_app.models.graph import Graph
from mnist_app.models.networks import logits_of
from mnist_app.models.registry import find_model, load_model


def test_this_app_s_own_models_stand_in_the_table_as_they_are(short_lesson: Lesson, others: Digits) -> None:
    for contender in CONTENDERS:
        model, fitted = load_model(find_model(contender.name)), contender.fit(short_lesson)
        assert (fitted.card, fitted.parameters) == (model.card, model.card.parameters)
        expected = logits_of(model.network, others.images).numpy()
        np.testing.assert_allclose(Graph(fitted.graph()).read(others.images)[0], expected, atol=1e-4)
