"""The study that varies one setting at a time."""

from dataclasses import asdict

import pytest
import torch
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.lab import effects
from mnist_app.lab.contender import Fitted, TrainingData
from mnist_app.lab.effects import EFFECTS, USUAL, EffectResult, Run, Setting, Subject, run_effects
from mnist_app.training.train import TrainConfig

from ..toy_lab import CURVES


def apart(setting: Setting) -> list[str]:
    """Return the names of what differs between a setting and the usual one."""
    usual = asdict(USUAL)
    knobs = [name for name, value in asdict(setting.config).items() if value != usual[name]]
    return [*knobs, *(["layers"] if str(setting.build()) != str(Subject()) else [])]


def test_the_runs_of_an_effect_differ_from_the_usual_one_in_a_single_setting() -> None:
    for effect in EFFECTS:
        knobs = [apart(setting) for setting in effect.settings]
        assert knobs.count([]) == 1, effect.title
        assert len({knob for found in knobs for knob in found}) == 1, effect.title


@pytest.mark.parametrize("has_norm", [True, False])
def test_the_network_has_ten_outputs_and_either_three_batch_norms_or_none(has_norm: bool) -> None:
    network = Subject(has_norm, dropout=0.5).eval()
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == 3 * has_norm


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch, few: Digits) -> list[tuple[str, TrainConfig]]:
    """The networks and configs that were trained. Training itself is skipped: the n-th gives curves of n epochs."""
    found: list[tuple[str, TrainConfig]] = []

    def learn(network: nn.Module, config: TrainConfig, data: TrainingData) -> Fitted:
        found.append((str(network), config))
        data.progress(1)
        return Fitted(lambda: b"", None, 0, curves=CURVES[:1] * len(found))

    monkeypatch.setattr(effects, "learned", learn)
    monkeypatch.setattr(effects, "load_split", lambda split: few)
    return found


def test_a_setting_shared_by_several_effects_is_trained_once(learned: list[tuple[str, TrainConfig]]) -> None:
    noted: list[float] = []
    seen = run_effects(False, noted.append)
    assert len({(built, str(config)) for built, config in learned}) == len(learned) == len(noted) == 10
    assert noted == pytest.approx([at / 10 for at in range(1, 11)])
    usual = [run.curves for found in seen for run in found.runs if run.setting in ("none", "with", "0.001", "32")]
    assert len(usual) == 5 and all(curves == usual[0] for curves in usual)


def test_every_effect_has_its_runs_in_order(learned: list[tuple[str, TrainConfig]]) -> None:
    seen = run_effects(False, lambda share: None)
    assert [[run.setting for run in found.runs] for found in seen] == [
        [setting.words for setting in effect.settings] for effect in EFFECTS
    ]


def test_a_rehearsal_trains_each_run_for_one_epoch(monkeypatch: pytest.MonkeyPatch, few: Digits) -> None:
    monkeypatch.setattr(effects, "load_split", lambda split: few[:100])
    monkeypatch.setattr(effects, "EFFECTS", EFFECTS[2:3])
    [seen] = run_effects(True, lambda share: None)
    assert [len(run.curves) for run in seen.runs] == [1, 1]
    assert EffectResult.from_json(asdict(seen)) == seen


@pytest.mark.parametrize("curves", [[], [{}], [CURVES[0] | {"passes": float("nan")}], None])
def test_a_run_that_cannot_be_plotted_is_rejected(curves: list[dict[str, float]]) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        Run("none", curves)
