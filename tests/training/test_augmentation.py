import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.models.networks import batch_of
from mnist_app.training.augmentation import Augmentation, augment, thicken

NOTHING = Augmentation(rotation=0, shift=0, zoom=0, shear=0)


@pytest.fixture
def pictures(tiny_digits: Digits) -> Tensor:
    return batch_of(torch.from_numpy(tiny_digits.images))


def at_most(monkeypatch: pytest.MonkeyPatch, *, angle: float = 0, right: float = 0, down: float = 0) -> None:
    """Fix the next random draws, each between -1 and 1, in the order in which `augment` makes them."""
    draws = iter([angle, 0.0, 0.0, 0.0, right, down])
    monkeypatch.setattr(torch, "rand", lambda count, generator, device: torch.full((count,), (next(draws) + 1) / 2))


def test_an_augmentation_of_all_zeros_leaves_pictures_unchanged(pictures: Tensor) -> None:
    torch.testing.assert_close(augment(pictures, NOTHING, torch.Generator()), pictures, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-1, 1)])
def test_a_shift_by_whole_pixels_is_a_roll(
    pictures: Tensor, monkeypatch: pytest.MonkeyPatch, right: int, down: int
) -> None:
    at_most(monkeypatch, right=right, down=down)
    shifted = augment(pictures, Augmentation(rotation=0, shift=2, zoom=0, shear=0), torch.Generator())
    rolled = np.roll(pictures.numpy(), (-2 * down, -2 * right), axis=(2, 3))  # no ink is within 2 pixels of the edges
    np.testing.assert_allclose(shifted.numpy(), rolled, atol=1e-4)


@pytest.mark.parametrize("angle", [1, -1])
def test_a_rotation_by_90_degrees_is_an_exact_quarter_turn(
    pictures: Tensor, monkeypatch: pytest.MonkeyPatch, angle: int
) -> None:
    at_most(monkeypatch, angle=angle)
    turned = augment(pictures, Augmentation(rotation=90, shift=0, zoom=0, shear=0), torch.Generator())
    np.testing.assert_allclose(turned.numpy(), np.rot90(pictures.numpy(), angle, axes=(2, 3)), atol=1e-4)


def test_a_random_change_shifts_within_its_limit_and_keeps_ink_from_0_to_1(pictures: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    dot = torch.zeros(500, 1, 28, 28)
    dot[:, :, 13:15, 13:15] = 1  # in the middle, which turning and zooming do not move
    changed = augment(dot, Augmentation(rotation=30, shift=3, zoom=0.1, shear=0.2), generator).numpy()
    off = np.array([ndimage.center_of_mass(picture[0]) for picture in changed]) - 13.5
    reach = 3 * np.sqrt(2) * 1.1 * 1.2
    assert 2.5 < np.abs(off).max() < reach
    assert changed.min() >= 0 and changed.max() <= 1


@pytest.mark.parametrize("pixels", [1, 2, -1, -2])
def test_thickness_makes_strokes_wider_or_narrower_by_that_many_pixels(
    monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    """Uses a bar of 6 × 20 pixels: the sum of the ink across it is its thickness."""
    bar = torch.zeros(1, 1, 28, 28)
    bar[:, :, 4:24, 11:17] = 1
    draws = iter([0.0] * 6 + [pixels / 2])  # six for the moves, then a share of the two pixels
    monkeypatch.setattr(torch, "rand", lambda count, generator, device: torch.full((count,), (next(draws) + 1) / 2))
    changed = augment(bar, dataclasses.replace(NOTHING, thickness=2), torch.Generator())
    assert changed[0, 0, 14].sum() == pytest.approx(6 + pixels, abs=1e-4)
    assert changed[0, 0, :, 14].sum() == pytest.approx(20 + pixels, abs=1e-4)
    assert changed.min() >= 0 and changed.max() <= 1 + 1e-6


def test_each_picture_gets_its_own_thickness_within_the_limit(pictures: Tensor) -> None:
    alike = pictures[:1].repeat(300, 1, 1, 1)
    changed = augment(alike, dataclasses.replace(NOTHING, thickness=1), torch.Generator().manual_seed(0))
    ends = [thicken(pictures[:1], torch.tensor([by])).sum() for by in (-1.0, 1.0)]
    ink = changed.sum(dim=(1, 2, 3))
    assert ends[0] <= ink.min() + 1e-3 and ink.max() <= ends[1] + 1e-3
    assert ink.max() - ink.min() > 0.9 * (ends[1] - ends[0])


def test_an_elastic_change_moves_parts_separately_and_none_too_far() -> None:
    """Uses dots far from each other and from the edges, so that each can be followed."""
    places = [(row, column) for row in (6, 14, 22) for column in (6, 14, 22)]
    dots = torch.zeros(200, 1, 28, 28)
    for row, column in places:
        dots[:, :, row - 1 : row + 1, column - 1 : column + 1] = 1
    changed = augment(dots, dataclasses.replace(NOTHING, elastic=2), torch.Generator().manual_seed(0)).numpy()
    moved = np.array(
        [
            [
                np.subtract(ndimage.center_of_mass(picture[0, row - 4 : row + 4, column - 4 : column + 4]), 3.5)
                for row, column in places
            ]
            for picture in changed
        ]
    )  # (200, 9, 2)
    assert 1 < np.abs(moved).max() < 2 * 1.3, "a bicubic field overshoots its knots a little"
    assert np.abs(moved.mean(axis=(0, 1))).max() < 0.2, "no direction is preferred"
    apart = moved - moved.mean(axis=1, keepdims=True)
    assert np.abs(apart).max(axis=(1, 2)).min() > 0.2, "within each picture; a mere shift would move all dots equally"
    assert len({picture.tobytes() for picture in changed}) == 200


def test_each_picture_is_changed_in_its_own_way() -> None:
    same = torch.rand(1, 1, 28, 28).repeat(8, 1, 1, 1)
    assert len({picture.numpy().tobytes() for picture in augment(same, Augmentation(), torch.Generator())}) == 8


def test_the_same_seed_gives_the_same_changes(pictures: Tensor) -> None:
    once, again, otherwise = (
        augment(pictures, Augmentation(), torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, otherwise)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("rotation", 181), ("rotation", -1), ("shift", 15), ("shift", float("nan")), ("zoom", 1.0), ("shear", 3)),
        *(("thickness", 50), ("elastic", 50), ("elastic", -1)),
    ],
)
def test_an_augmentation_outside_its_limits_is_refused(name: str, value: float) -> None:
    with pytest.raises(AppError, match=f"{name} must be between 0 and .*, not {value}"):
        Augmentation(**{name: value})
