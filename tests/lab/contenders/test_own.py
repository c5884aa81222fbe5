import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnist_app.data.dataset import Digits
from mnist_app.lab.contender import TrainingData
from mnist_app.lab.contenders import own
from mnist_app.lab.contenders.own import CONTENDERS
from mnist_app.models.graph import Graph
from mnist_app.models.networks import logits_of
from mnist_app.models.registry import find_model, load_model, save_model


def test_a_recalibrated_model_has_another_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(find_model("mnist-cnn"), tmp_path / "mnist-cnn")
    monkeypatch.setattr(own, "find_model", lambda name: tmp_path / name)
    model = load_model(tmp_path / "mnist-cnn")
    [before] = (each.recipe for each in CONTENDERS if each.name == "mnist-cnn")
    assert own._own("mnist-cnn", "").recipe == before
    save_model(tmp_path / "mnist-cnn", model.network, replace(model.card, temperature=0.9))
    assert own._own("mnist-cnn", "").recipe not in (before, model.card.command)


def test_this_apps_own_models_enter_the_lab_unchanged(short_data: TrainingData, others: Digits) -> None:
    for contender in CONTENDERS:
        model, fitted = load_model(find_model(contender.name)), contender.fit(short_data)
        assert (fitted.card, fitted.parameters) == (model.card, model.card.parameters)
        expected = logits_of(model.network, others.images).numpy()
        np.testing.assert_allclose(Graph(fitted.graph()).read(others.images)[0], expected, atol=1e-4)
