"""What augmentation, dropout, batch norm, learning rate and batch size do: one network, few digits, one change per run.

A network soon knows 2,000 digits by heart, so overfitting can be seen as it happens.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mnist_app.data.dataset import load_split
from mnist_app.lab.contender import TrainingData
from mnist_app.lab.figures import check_curves
from mnist_app.lab.networks import learned
from mnist_app.training.augmentation import STILL, Augmentation
from mnist_app.training.train import TrainConfig

DIGITS = 2_000
# All that helps is off, except batch norm: each run switches one thing on, or turns one knob.
USUAL = TrainConfig(
    epochs=30,
    batch_size=32,
    learning_rate=1e-3,
    schedule="constant",
    weight_decay=0,
    label_smoothing=0,
    average=0,
    augmentation=STILL,
    digits=DIGITS,
)


class Subject(nn.Module):
    """Three convolutions of stride 2 and a linear layer, with or without batch norm and dropout."""

    def __init__(self, has_norm: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)]  # (B, outputs, 14, 14), 7 and 4
            layers += [nn.BatchNorm2d(outputs)] if has_norm else []
            layers += [nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout))  # (B, 1024)
        self.classifier = nn.Linear(1024, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


@dataclass(frozen=True, eq=False)
class Setting:
    """One run: its name, its network and how that learns."""

    words: str
    build: Callable[[], nn.Module] = Subject
    config: TrainConfig = USUAL


@dataclass(frozen=True, eq=False)
class Effect:
    """One knob, turned from run to run."""

    title: str
    what: str  # what the knob does, in a sentence
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Run:
    """The result of one setting."""

    setting: str
    curves: Sequence[Mapping[str, float]]  # registry.CURVES by epoch

    def __post_init__(self) -> None:
        """Check what came from a file. Raises TypeError, ValueError or KeyError if a page could not draw it."""
        check_curves(self.curves)
        if not self.curves:
            raise ValueError("there are no epochs")


@dataclass(frozen=True)
class EffectResult:
    """The results of one effect's runs."""

    title: str
    what: str
    runs: Sequence[Run]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "EffectResult":
        return cls(content["title"], content["what"], [Run(**run) for run in content["runs"]])


EFFECTS = (
    Effect(
        "Augmentation",
        "Digits a little turned, moved and stretched, anew in every epoch: the network never sees the same one twice.",
        (
            Setting("none"),
            Setting("a little", config=replace(USUAL, augmentation=Augmentation(8, 1, 0.08, 0.12))),
            Setting("much", config=replace(USUAL, augmentation=Augmentation(25, 4, 0.3, 0.4))),
        ),
    ),
    Effect(
        "Dropout",
        "A share of the last features is switched off at random in every step, so that none may rely on another.",
        (
            Setting("none"),
            Setting("a quarter", lambda: Subject(dropout=0.25)),
            Setting("three quarters", lambda: Subject(dropout=0.75)),
        ),
    ),
    Effect(
        "Batch norm",
        "Each map is brought to the same mean and spread over the batch, so that every layer learns at the same pace.",
        (Setting("without", lambda: Subject(has_norm=False)), Setting("with")),
    ),
    Effect(
        "Learning rate",
        "How far each step goes: too short, and it creeps; too far, and its loss jumps about.",
        tuple(Setting(f"{rate:g}", config=replace(USUAL, learning_rate=rate)) for rate in (1e-5, 1e-3, 3e-2)),
    ),
    Effect(
        "Batch size",
        "How many digits are looked at before each step: few give many rough steps, many give few steady ones.",
        tuple(Setting(str(size), config=replace(USUAL, batch_size=size)) for size in (8, 32, 512)),
    ),
)


def run_effects(is_quick: bool, progress: Callable[[float], None]) -> list[EffectResult]:
    """Train every setting; one that belongs to several effects is trained once."""
    torch.set_num_threads(1)
    digits, validation = load_split("train"), load_split("validation")
    learners = {_recipe(setting): setting for effect in EFFECTS for setting in effect.settings}
    curves: dict[str, Sequence[Mapping[str, float]]] = {}
    for number, (recipe, setting) in enumerate(learners.items()):

        def note(share: float, number: int = number) -> None:
            progress((number + share) / len(learners))

        torch.manual_seed(setting.config.seed)
        curves[recipe] = learned(
            setting.build(), setting.config, TrainingData(digits, validation, is_quick, note)
        ).curves
    return [
        EffectResult(effect.title, effect.what, [Run(each.words, curves[_recipe(each)]) for each in effect.settings])
        for effect in EFFECTS
    ]


def _recipe(setting: Setting) -> str:
    return f"{setting.build()} {setting.config}"
