import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.models.networks import batch_of
from mnist_app.training.augmentation import Augmentation, augment

NOTHING = Augmentation(rotation=0, shift=0, zoom=0, shear=0)


@pytest.fixture
def pictures(tiny_digits: Digits) -> Tensor:
    return batch_of(torch.from_numpy(tiny_digits.images))


def at_most(monkeypatch: pytest.MonkeyPatch, *, angle: float = 0, right: float = 0, down: float = 0) -> None:
    """Let the next draws, each between -1 and 1, be these, in the order that `augment` makes them."""
    draws = iter([angle, 0.0, 0.0, 0.0, right, down])
    monkeypatch.setattr(torch, "rand", lambda count, generator: torch.full((count,), (next(draws) + 1) / 2))


def test_no_augmentation_changes_nothing(pictures: Tensor) -> None:
    torch.testing.assert_close(augment(pictures, NOTHING, torch.Generator()), pictures, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-1, 1)])
def test_a_shift_by_whole_pixels_is_a_roll(
    pictures: Tensor, monkeypatch: pytest.MonkeyPatch, right: int, down: int
) -> None:
    at_most(monkeypatch, right=right, down=down)
    shifted = augment(pictures, Augmentation(rotation=0, shift=2, zoom=0, shear=0), torch.Generator())
    rolled = np.roll(pictures.numpy(), (-2 * down, -2 * right), axis=(2, 3))  # nothing lies within 2 of the edges
    np.testing.assert_allclose(shifted.numpy(), rolled, atol=1e-4)


@pytest.mark.parametrize("angle", [1, -1])
def test_a_quarter_turn_is_a_quarter_turn(pictures: Tensor, monkeypatch: pytest.MonkeyPatch, angle: int) -> None:
    at_most(monkeypatch, angle=angle)
    turned = augment(pictures, Augmentation(rotation=90, shift=0, zoom=0, shear=0), torch.Generator())
    np.testing.assert_allclose(turned.numpy(), np.rot90(pictures.numpy(), angle, axes=(2, 3)), atol=1e-4)


def test_every_change_stays_within_its_bounds(pictures: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    dot = torch.zeros(500, 1, 28, 28)
    dot[:, :, 13:15, 13:15] = 1  # in the middle, where turning and zooming move nothing
    changed = augment(dot, Augmentation(rotation=30, shift=3, zoom=0.1, shear=0.2), generator).numpy()
    off = np.array([ndimage.center_of_mass(picture[0]) for picture in changed]) - 13.5
    reach = 3 * np.sqrt(2) * 1.1 * 1.2
    assert 2.5 < np.abs(off).max() < reach
    assert changed.min() >= 0 and changed.max() <= 1


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
    [("rotation", 181), ("rotation", -1), ("shift", 15), ("zoom", 1.0), ("shear", 3), ("shift", float("nan"))],
)
def test_a_change_beyond_reason_is_refused(name: str, value: float) -> None:
    with pytest.raises(AppError, match=f"{name} is between 0 and .*, not {value}"):
        Augmentation(**{name: value})
