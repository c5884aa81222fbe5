"""Training data small enough for tests."""

from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mnist_app.data.dataset import Digits
from mnist_app.lab.contender import TrainingData


@pytest.fixture(scope="package", autouse=True)
def one_thread_for_all() -> Iterator[None]:
    """Use one thread, as the lab does: several threads of scikit-learn's libraries block each other on busy cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def few(validation: Digits) -> Digits:
    """Three hundred random digits to learn from."""
    return validation[np.random.default_rng(0).permutation(len(validation))[:300]]


@pytest.fixture(scope="session")
def others(validation: Digits) -> Digits:
    """Three hundred other digits, which are not trained on."""
    return validation[np.random.default_rng(0).permutation(len(validation))[300:600]]


@pytest.fixture
def short_data(few: Digits, others: Digits) -> TrainingData:
    return TrainingData(few, others, is_quick=True, progress=lambda share: None)
