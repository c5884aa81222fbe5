import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_app.data.dataset import Digits, load_split
from mnist_app.errors import AppError
from mnist_app.ink.strokes import Drawing
from mnist_app.models.networks import logits_of
from mnist_app.training import train as training
from mnist_app.training import trainer
from mnist_app.training.augmentation import Augmentation
from mnist_app.training.inkset import Ink, InkConfig, fresh_digits
from mnist_app.training.train import OPTIMISERS, PRESETS, BatchReport, EpochReport, TrainConfig, fresh_network, train
from mnist_app.training.trainer import train_model

from ..conftest import ONE, SEVEN, ZERO, full_mnist

STILL = Augmentation(rotation=0, shift=0, zoom=0, shear=0)


def quick(**changes: Any) -> TrainConfig:
    return dataclasses.replace(TrainConfig(epochs=2, batch_size=32, augmentation=STILL), **changes)


def trained(config: TrainConfig, digits: Digits) -> nn.Module:
    network = fresh_network(config)
    for _ in train(network, config, digits, digits):
        pass
    return network


def weights(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten().float() for value in network.state_dict().values()])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1001),
        ("batch_size", 1),
        ("learning_rate", 0),
        ("learning_rate", 2),
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("label_smoothing", 0.6),
        ("average", 1),
        ("seed", -1),
        ("seed", 2**32),
        ("digits", 9),
        ("digits", 55_001),
        ("attack_levels", -1),
        ("attack_levels", 128),
    ],
)
def test_a_setting_outside_its_limits_is_refused_naming_them(field: str, value: float) -> None:
    with pytest.raises(AppError, match=rf"{field} must be between \S+ and \S+, not {value}"):
        quick(**{field: value})


def test_a_fractional_number_of_attack_levels_is_refused() -> None:
    with pytest.raises(AppError, match=r"attack_levels must be a whole number, not 0\.5"):
        quick(attack_levels=0.5)


def test_an_unknown_architecture_is_refused_naming_the_available_ones() -> None:
    with pytest.raises(AppError, match=r"No architecture 'mlp'\. Available: convnet"):
        TrainConfig(architecture="mlp")


def test_the_same_seed_gives_the_same_weights_and_another_seed_different_ones(tiny_digits: Digits) -> None:
    config = quick(augmentation=Augmentation())
    once, again = weights(trained(config, tiny_digits)), weights(trained(config, tiny_digits))
    assert torch.equal(once, again)
    assert not torch.allclose(once, weights(trained(quick(augmentation=Augmentation(), seed=1), tiny_digits)))


def test_fresh_weights_depend_only_on_the_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(1)
    first, expected = fresh_network(quick(seed=7)), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(weights(first), weights(fresh_network(quick(seed=7))))


def test_training_with_attacks_is_reproducible_and_differs_from_without(tiny_digits: Digits) -> None:
    """The attacks start at random, but from the same seed."""
    plain, attacked = quick(), quick(attack_levels=32)
    once, again = weights(trained(attacked, tiny_digits)), weights(trained(attacked, tiny_digits))
    assert torch.equal(once, again)
    assert not torch.allclose(once, weights(trained(plain, tiny_digits)))


def test_sgd_uses_nesterov_momentum_and_weight_decay() -> None:
    """Compares three steps on one batch with the formula of Sutskever et al. in PyTorch's form, in NumPy."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    step = OPTIMISERS["sgd"](iter([weight]), 0.1, 0.01)
    by_hand, speed = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(3):
        step.zero_grad()
        (weight**2).sum().backward()
        step.step()
        slope = 2 * by_hand + 0.01 * by_hand
        speed = 0.9 * speed + slope
        by_hand = by_hand - 0.1 * (slope + 0.9 * speed)
    np.testing.assert_allclose(weight.detach().numpy(), by_hand, rtol=1e-5)


@pytest.mark.parametrize(("optimiser", "rate"), [("adamw", 0.01), ("sgd", 0.2)])
def test_two_batches_are_learned_by_heart(tiny_digits: Digits, optimiser: str, rate: float) -> None:
    config = quick(epochs=40, label_smoothing=0, average=0.5, weight_decay=0, optimiser=optimiser, learning_rate=rate)
    network = fresh_network(config)
    last = [report for report in train(network, config, tiny_digits, tiny_digits) if isinstance(report, EpochReport)][
        -1
    ]
    assert last.validation_loss < 0.02
    assert last.validation_accuracy == 1


@pytest.fixture
def noted_rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate of each step of the optimiser."""
    noted: list[float] = []

    class Noting(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            noted.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setitem(OPTIMISERS, "sgd", lambda parameters, rate, decay: Noting(parameters, rate))
    return noted


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_a_constant_learning_rate_stays_and_a_one_cycle_rate_rises_and_falls(
    schedule: str, noted_rates: list[float], tiny_digits: Digits
) -> None:
    config = quick(epochs=20, schedule=schedule, learning_rate=0.02, optimiser="sgd")
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    assert len(list(train(network, config, tiny_digits, tiny_digits))) == 60
    if schedule == "constant":
        assert noted_rates == [0.02] * 40
        return
    top = noted_rates.index(max(noted_rates))
    assert noted_rates[top] == pytest.approx(0.02) and top == 9, "a quarter of the way"
    assert noted_rates[0] < 0.001 and noted_rates[-1] < 1e-6
    assert noted_rates == sorted(noted_rates[:top]) + sorted(noted_rates[top:], reverse=True)


def test_an_unknown_schedule_is_refused_naming_the_available_ones() -> None:
    with pytest.raises(AppError, match=r"No schedule 'sawtooth'\. Available: one-cycle, constant\."):
        TrainConfig(schedule="sawtooth")


def test_an_unknown_device_is_refused_naming_the_available_ones() -> None:
    with pytest.raises(AppError, match=r"No device 'abacus'\. Available: cpu, cuda\."):
        TrainConfig(device="abacus")


def test_a_missing_graphics_card_is_reported_before_training_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(trainer, "load_split", None)  # a training that begins would fail
    with pytest.raises(AppError, match="There is no graphics card here"):
        train_model(tmp_path / "model", quick(device="cuda"), lambda report, network: None, "a command")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12, at any fork with threads
def test_each_epoch_has_freshly_painted_ink_and_workers_change_nothing(
    tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings = tuple(Drawing.from_points(strokes) for strokes in (ZERO, ONE, SEVEN))
    ink = Ink(drawings, np.array([0, 1, 7]), ("three",))
    config = quick(architecture="handnet", epochs=3, ink=InkConfig(copies=2, nondigits=0))
    learned, painted = [], []

    def fresh(*arguments: Any) -> Iterator[Digits]:
        for part in fresh_digits(*arguments):
            painted.append((arguments[-1], part.images.tobytes()))
            yield part

    monkeypatch.setattr(training, "fresh_digits", fresh)
    for workers in (0, 1):
        network = fresh_network(config)
        reports = list(train(network, config, tiny_digits, tiny_digits, ink, workers))
        assert sum(isinstance(report, EpochReport) for report in reports) == 3
        learned.append(torch.cat([value.flatten().float() for value in network.state_dict().values()]))
    assert torch.equal(*learned)
    assert [workers for workers, _ in painted] == [0] * 3 + [1] * 3
    assert len({pictures for _, pictures in painted}) == 3
    assert [pictures for _, pictures in painted[:3]] == [pictures for _, pictures in painted[3:]]


def test_an_unknown_precision_is_refused_naming_the_available_ones() -> None:
    with pytest.raises(AppError, match=r"No precision 'float8'\. Available: float32, bfloat16\."):
        TrainConfig(precision="float8")


def test_bfloat16_learns_nearly_the_same_and_leaves_float32_weights(tiny_digits: Digits) -> None:
    learned = {}
    for precision in ("float32", "bfloat16"):
        network = fresh_network(quick())
        reports = train(network, quick(precision=precision), tiny_digits, tiny_digits)
        learned[precision] = [report.loss for report in reports if isinstance(report, BatchReport)]
        assert all(each.dtype == torch.float32 for each in network.parameters())
    assert learned["bfloat16"] != learned["float32"]
    assert learned["bfloat16"] == pytest.approx(learned["float32"], rel=0.02)


def test_reports_come_in_order(tiny_digits: Digits) -> None:
    reports = list(train(fresh_network(quick()), quick(), tiny_digits, tiny_digits))
    assert [(report.epoch, getattr(report, "batch", "end")) for report in reports] == [
        (1, 1),
        (1, 2),
        (1, "end"),
        (2, 1),
        (2, 2),
        (2, "end"),
    ]
    assert all(report.batches == 2 for report in reports if isinstance(report, BatchReport))
    assert reports[2].train_loss == pytest.approx((reports[0].loss + reports[1].loss) / 2)  # type: ignore[union-attr]


def test_an_epoch_report_measures_the_weights_the_network_then_holds(tiny_digits: Digits) -> None:
    network = fresh_network(quick(epochs=3))
    labels = torch.from_numpy(tiny_digits.labels)
    for report in train(network, quick(epochs=3), tiny_digits, tiny_digits):
        if isinstance(report, EpochReport):
            logits = logits_of(network, tiny_digits.images)
            assert functional.cross_entropy(logits, labels).item() == pytest.approx(report.validation_loss, rel=1e-5)
            assert (logits.argmax(dim=1) == labels).float().mean() == report.validation_accuracy


def test_a_trained_network_holds_averaged_weights_not_those_of_the_last_step(tiny_digits: Digits) -> None:
    network, config = fresh_network(quick()), quick(average=0.9)
    steps = []
    for report in train(network, config, tiny_digits, tiny_digits):
        if isinstance(report, BatchReport):
            steps.append(network.get_parameter("classifier.weight").detach().clone())
    # The average starts as the first step; step n replaces a share of 1 - (1 + n) / (10 + n), at least 0.1.
    average = steps[0]
    for n, step in enumerate(steps[1:], start=1):
        keep = min(0.9, (1 + n) / (10 + n))
        average = keep * average + (1 - keep) * step
    torch.testing.assert_close(network.get_parameter("classifier.weight"), average)


def test_closing_the_iterator_of_reports_stops_the_training(tiny_digits: Digits) -> None:
    network = fresh_network(quick())
    reports = train(network, quick(), tiny_digits, tiny_digits)
    next(reports)
    before = weights(network)
    reports.close()  # type: ignore[attr-defined]  # it is a generator
    assert torch.equal(weights(network), before)
    assert next(reports, None) is None


@pytest.mark.parametrize("steps", range(1, 7))
def test_a_training_of_only_a_few_steps_completes(steps: int, tiny_digits: Digits) -> None:
    reports = train(fresh_network(quick()), quick(epochs=steps, batch_size=64), tiny_digits, tiny_digits)
    assert sum(isinstance(report, BatchReport) for report in reports) == steps


def test_fewer_digits_than_a_batch_are_one_batch(tiny_digits: Digits) -> None:
    reports = list(train(fresh_network(quick()), quick(epochs=1, batch_size=100), tiny_digits, tiny_digits))
    assert len(reports) == 2


def test_training_does_not_change_the_pictures(tiny_digits: Digits) -> None:
    before = tiny_digits.images.copy()
    trained(quick(epochs=1, augmentation=Augmentation()), tiny_digits)
    np.testing.assert_array_equal(tiny_digits.images, before)


def test_logits_do_not_depend_on_how_pictures_are_batched(tiny_digits: Digits) -> None:
    network = fresh_network(quick())
    torch.testing.assert_close(
        logits_of(network, tiny_digits.images, 7), logits_of(network, tiny_digits.images), atol=1e-5, rtol=1e-4
    )


def test_the_quick_preset_reaches_99_percent_on_test() -> None:
    full_mnist()
    config = PRESETS["quick"].config
    network, test = fresh_network(config), load_split("test")
    for _ in train(network, config, load_split("train"), load_split("validation")):
        pass
    read = logits_of(network, test.images).argmax(dim=1).numpy()
    assert (read == test.labels).mean() >= 0.99
