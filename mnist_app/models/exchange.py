"""Export and import of models: as a folder in a ZIP file, and (export only) as ONNX for other programs."""

import dataclasses
import io
import tempfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from mnist_app.ink.preprocessing import VERSION
from mnist_app.ink.trajectory import POINTS
from mnist_app.models.graph import Graph, to_graph
from mnist_app.models.networks import REFUSING, count_parameters, logits_of
from mnist_app.models.registry import (
    CARD,
    COLDEST,
    LARGEST_FILE,
    PEN,
    WARMEST,
    WEIGHTS,
    Model,
    ModelError,
    find_model,
    free_name,
    load_model,
    put_in_place,
    save_model,
)
from mnist_app.storage import user_models_folder

LARGEST_CARD = 2**20  # bytes
LONGEST = 1e9  # seconds of training
AGREEMENT = 1e-4  # largest difference between the logits of ONNX Runtime and PyTorch
INPUT = "pictures, float32 (N, 1, 28, 28), 0 = paper, 1 = ink, the digit centred by mass as in MNIST"
CHECKED = 64  # pictures that both must agree on


def to_zip(name: str) -> bytes:
    """A model's files as a ZIP file that `from_zip` accepts. Raises ModelError."""
    folder = find_model(name)
    model = load_model(folder)  # so that no broken model is exported
    file = io.BytesIO()
    # Files dated before 1980, as in reproducible system images, get that year.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for part in (WEIGHTS, *([PEN] if model.pen else []), CARD):
            archive.write(folder / part, f"{name}/{part}")
    return file.getvalue()


def from_zip(content: bytes, taken: Collection[str] = ()) -> str:
    """Import a model, checked and never executed, under a name that is free, and return that name.

    Only a model's own files are read, and only as JSON and as numbers. Raises ModelError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, tempfile.TemporaryDirectory() as workshop:
            for part, largest in ((WEIGHTS, LARGEST_FILE), (PEN, LARGEST_FILE), (CARD, LARGEST_CARD)):
                found = [entry for entry in archive.infolist() if Path(entry.filename).name == part]
                if part == PEN and not found:
                    continue  # its card says whether it needs one
                if len(found) != 1:
                    raise ModelError(f"A model's ZIP file must contain one {part}, but this one has {len(found)}.")
                if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    # With other methods, zipfile unpacks without limit, however little is requested.
                    raise ModelError(f"Its {part} uses a compression method that is not supported.")
                if found[0].file_size > largest:
                    raise ModelError(f"Its {part} is larger than {largest // 2**20} MB.")
                with archive.open(found[0]) as packed:
                    unpacked = packed.read(largest + 1)  # whatever size it claims
                Path(workshop, part).write_bytes(unpacked)
            model = _checked(Path(workshop))
    except ModelError:
        raise
    # zipfile raises RuntimeError for an entry that it cannot unpack, ValueError for an invalid name or position.
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, EOFError, ValueError, OverflowError):
        raise ModelError("This is not a ZIP file that can be read.") from None
    name = free_name(model.card.name, taken)
    card = dataclasses.replace(model.card, name=name, parameters=count_parameters(model.network))
    if model.pen and card.pen:
        card = dataclasses.replace(card, pen=dataclasses.replace(card.pen, parameters=count_parameters(model.pen)))
    try:
        user_models_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=user_models_folder(), prefix=f".{name}.") as workshop:
            save_model(Path(workshop, name), model.network, card, model.pen)
            return put_in_place(Path(workshop, name), taken)
    except OSError as error:
        raise ModelError(f"{user_models_folder()} could not be written: {error.strerror}.") from None


def _checked(folder: Path) -> Model:
    """The model in a folder, if its card and its answers make sense. Raises ModelError without the folder's path."""
    try:
        model = load_model(folder)
    except ModelError as error:
        raise ModelError(str(error).replace(f"{folder}/", "Its ").replace(str(folder), "it")) from None
    card = model.card
    if card.preprocessing != VERSION:
        raise ModelError(
            f"It learned from pictures that were prepared differently (version {card.preprocessing} of the "
            f"preprocessing, while the app has {VERSION}), so it would misread the app's."
        )
    shares = [share for measures in card.metrics.values() for share in measures.values()]
    calibrations = [(each.temperature, each.refusal) for each in (card, card.pen) if each]
    if not all(0 <= share <= 1 for share in (*shares, *(refusal for _, refusal in calibrations))):
        raise ModelError("Its card has a measure or a refusal threshold that is not between 0 and 1.")
    if not all(0 <= each.seconds <= LONGEST for each in (card, card.pen) if each):
        raise ModelError("Its card gives an impossible training time.")
    if not all(COLDEST <= temperature <= WARMEST for temperature, _ in calibrations):
        raise ModelError(f"Its card's temperature is not between {COLDEST:g} and {WARMEST:g}.")
    said = [logits_of(model.network, _pictures())]
    if model.pen:
        with torch.inference_mode():
            said.append(model.pen(_trajectories()))
    if not all(torch.isfinite(logits).all() for logits in said):
        raise ModelError("Its weights give answers that are not finite numbers.")
    return model


def to_onnx(name: str) -> bytes:
    """A model's image network as ONNX (see `to_graph`). Raises ModelError if ONNX Runtime and PyTorch disagree on it.

    Both read the same pictures, and their logits must agree to within AGREEMENT.
    """
    model = load_model(find_model(name))
    content, pictures = to_graph(model.network), _pictures()
    theirs, _ = Graph(content).read(pictures)
    apart = float(np.abs(theirs - logits_of(model.network, pictures).numpy()).max())
    if not apart <= AGREEMENT:
        raise ModelError(f"ONNX Runtime and PyTorch differ by {apart:.1g} on this model, so it is not exported.")
    return _described(content, model)


def _described(content: bytes, model: Model) -> bytes:
    """An ONNX file with notes on how to use it."""
    card, graph = model.card, onnx.load_from_string(content)
    outputs = "logits, float32 (N, 10): one for each of the digits 0 to 9"
    use = 'Divide the ten digits\' "logits" by "temperature"; the softmax gives the probabilities of the digits.'
    notes = {"temperature": repr(float(card.temperature)), "preprocessing": str(card.preprocessing)}
    if card.architecture in REFUSING:
        outputs = 'logits, float32 (N, 11): one for each of the digits 0 to 9, then one for "not a digit"'
        use += ' Refuse the picture if the last value of the softmax of all eleven, undivided, is above "refusal".'
        notes["refusal"] = repr(float(card.refusal))
    if model.pen:
        use += " The pen network is left out: the app reads drawings with both networks, pictures with this one alone."
    notes |= {"input": INPUT, "outputs": f"{outputs}; features, float32 (N, F): the last before the logits", "use": use}
    graph.doc_string = f"{card.name}. Input: {INPUT}. Outputs: {notes['outputs']}. {use}"
    onnx.helper.set_model_props(graph, notes)
    return graph.SerializeToString()


def _trajectories() -> torch.Tensor:
    """Random trajectories (CHECKED, POINTS, 3) to check a model with; the pen is lifted a tenth of the time."""
    random = np.random.default_rng(0)
    at, on_paper = random.uniform(-1, 1, (CHECKED, POINTS, 2)), random.random((CHECKED, POINTS, 1)) > 0.1
    return torch.from_numpy(np.concatenate([at, on_paper], axis=2).astype(np.float32))


def _pictures() -> NDArray[np.uint8]:
    """Pictures (CHECKED, 28, 28) of noise, of every darkness, to check a model with."""
    return np.random.default_rng(0).integers(0, 256, (CHECKED, 28, 28)).astype(np.uint8)
