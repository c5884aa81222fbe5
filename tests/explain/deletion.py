"""Delete ink to test whether what is marked as evidence really matters."""

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_app.models.networks import batch_of
from mnist_app.models.registry import Model
from mnist_app.reading.recognition import digit_logits


@torch.inference_mode()
def deletion(
    model: Model, pixels: NDArray[np.uint8], digit: int, order: NDArray[np.intp], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The digit's probability (S,) after erasing each of ``shares`` of the inked pixels in the given flat order."""
    batch = np.repeat(pixels.reshape(1, -1), len(shares), axis=0)
    for row, share in zip(batch, shares, strict=True):
        row[order[: round(share * len(order))]] = 0
    pictures = batch_of(torch.from_numpy(batch.reshape(-1, *pixels.shape)))
    return digit_logits(model, pictures).double().softmax(dim=1)[:, digit].numpy()
