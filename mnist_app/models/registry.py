"""Models on disk: one folder per model, whose weights and card are saved and loaded together."""

import contextlib
import gzip
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from mnist_app.errors import AppError
from mnist_app.models.networks import ARCHITECTURES, REFUSING, build
from mnist_app.models.pennet import PenNet
from mnist_app.storage import SHIPPED_LAB, SHIPPED_WEIGHTS, lab_folder, user_models_folder, write_whole

DEFAULT_MODEL = "ink-cnn"
ROBUST_MODEL = "robust-cnn"  # trained under attack
WEIGHTS, CARD = "model.safetensors", "card.json"
PEN = "pen.safetensors"  # the weights of the pen network, if the model has one
FILES = {WEIGHTS, CARD, PEN}
GRAPH = "model.onnx.gz"  # instead of weights, if a lab model is not one of our networks
ONLY_A_GRAPH = "onnx"  # the architecture of such a model
CURVES = ("passes", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds")
COLDEST, WARMEST = 0.05, 20.0  # temperatures; a network that needs one outside of these is beyond repair
LEFT_BEHIND = 7 * 24 * 3600  # seconds after which a half-made model beside the users' models is surely abandoned
LARGEST_FILE = 64 * 2**20  # bytes; the shipped models have less than two MB
# Limits for a card, in characters; the shipped ones have at most 250, 20 and 600.
LONGEST_TEXT, LONGEST_MEASURE, LONGEST_CONFIG = 4_000, 100, 20_000
MAX_MEASURES, MAX_REPORTS = 40, 20_000  # splits, and measures of each; the longest training gives as many reports

_Network = TypeVar("_Network", bound=nn.Module)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class ModelError(AppError):
    """A model cannot be found, loaded, saved or changed as requested; the message says why and what is possible."""


@dataclass(frozen=True)
class PenCard:
    """The part of a model's card about its pen network."""

    parameters: int
    command: str  # makes the same network again
    config: Mapping[str, Any]  # the whole PenConfig, or the whole PenLesson if a lesson taught it
    seconds: float  # of training
    machine: str
    temperature: float = 1.0  # for the joint answer of image network and pen network
    refusal: float = 1.0  # their joint probability of "not a digit" above which a drawing is refused

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError, as ModelCard does."""
        _check_kinds(self, ("command", "machine"), ("parameters", "seconds", "temperature", "refusal"))
        if (
            max(len(self.command), len(self.machine)) > LONGEST_TEXT
            or len(json.dumps(dict(self.config))) > LONGEST_CONFIG
        ):
            raise ValueError("a text or the config is too long")


@dataclass(frozen=True)
class ModelCard:
    """The description of a model: all it takes to rebuild it, and how well it does."""

    name: str
    summary: str  # one sentence for people
    architecture: str  # a key of models.networks.ARCHITECTURES, or ONLY_A_GRAPH
    parameters: int
    preprocessing: int  # preprocessing.VERSION that it learned with
    data: str  # what it learned from, with the licence
    command: str  # makes the same model again
    config: Mapping[str, Any]  # the whole TrainConfig; for an ensemble, its members' commands and ink
    seconds: float  # of training
    machine: str
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # split -> measure -> value
    parent: str | None = None  # the name, at that time, of the model that training started from
    temperature: float = 1.0  # the logits are divided by it, so that confidence is neither too high nor too low
    refusal: float = 1.0  # probability of "not a digit" above which a drawing is refused; 1 never refuses
    curves: Sequence[Mapping[str, float]] = field(default_factory=list)  # the training's EpochReports, in order
    pen: PenCard | None = None  # for a model that has a pen network

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError if a field could not be shown to people: a card may come from anywhere."""
        texts = ("name", "summary", "architecture", "data", "command", "machine")
        _check_kinds(self, texts, ("parameters", "preprocessing", "seconds", "temperature", "refusal"))
        if not isinstance(self.parent, str | None):
            raise TypeError("the parent is not a name")
        ink = {} if self.config.get("ink") is None else self.config["ink"]
        if not isinstance(ink, Mapping) or not _are_texts(ink.get("without", [])):
            raise TypeError("the config's ink has another type")
        self._check_figures()
        self._check_sizes()
        # Every text in it must be valid: a page that contains half a UTF-16 character cannot be sent at all.
        json.dumps(asdict(self), ensure_ascii=False).encode()

    def _check_figures(self) -> None:
        for measures in self.metrics.values() if isinstance(self.metrics, Mapping) else [None]:
            if not isinstance(measures, Mapping) or not all(
                map(_is_number, (measures.get("accuracy"), *measures.values()))
            ):
                raise TypeError("'metrics' must be numbers by split, each split with its accuracy")
        for report in self.curves if isinstance(self.curves, Sequence) else [None]:
            if not isinstance(report, Mapping) or not all(_is_number(report.get(name)) for name in CURVES):
                raise TypeError(f"'curves' must be a list of reports with the numbers {', '.join(CURVES)}")

    def _check_sizes(self) -> None:
        texts = (self.name, self.summary, self.architecture, self.data, self.command, self.machine, self.parent or "")
        splits = (self.metrics, *self.metrics.values())
        if any(len(text) > LONGEST_TEXT for text in texts) or len(json.dumps(dict(self.config))) > LONGEST_CONFIG:
            raise ValueError("a text or the config is too long")
        if any(len(str(name)) > LONGEST_MEASURE for names in splits for name in names):
            raise ValueError("a split or a measure has too long a name")
        if any(len(names) > MAX_MEASURES for names in splits) or len(self.curves) > MAX_REPORTS:
            raise ValueError("there are more figures than a training can give")


def _check_kinds(card: ModelCard | PenCard, texts: Sequence[str], numbers: Sequence[str]) -> None:
    """Raises TypeError that names the first field of a wrong type."""
    for name in texts:
        if not isinstance(getattr(card, name), str):
            raise TypeError(f"{name!r} must be a string")
    for name in numbers:
        if not _is_number(getattr(card, name)):
            raise TypeError(f"{name!r} must be a finite number")
    if not isinstance(card.config, Mapping):
        raise TypeError("'config' must be an object")
    if card.temperature <= 0:
        raise TypeError("the temperature must be above 0")


def _are_texts(values: object) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _is_number(value: object) -> bool:
    """Whether a value is a finite number; true and false are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


@dataclass(frozen=True, eq=False)
class Model:
    """An image network with its card, and with a pen network if the card describes one."""

    network: nn.Module
    card: ModelCard
    pen: PenNet | None = None


def save_model(folder: Path, network: nn.Module, card: ModelCard, pen: PenNet | None = None) -> None:
    """Write weights and card together: the folder appears whole or, on any failure, stays as it was.

    ``pen`` must be given if, and only if, the card describes it. Raises ModelError if the folder is not a model's or
    cannot be written.
    """
    assert (pen is None) == (card.pen is None)
    check_saveable(folder)
    try:
        _write_together(folder, network, card, pen)
    except OSError as error:
        raise ModelError(f"{folder} could not be written: {error.strerror}.") from None


def _clear_workshops() -> None:
    """Remove temporary folders that killed processes left among the users' models more than a week ago.

    A folder with a card stays, because it may be all that is left of a model. So does one with files of another kind.
    """
    for workshop in user_models_folder().glob(".*.????????/"):  # as tempfile names them
        with contextlib.suppress(OSError):
            left = {path.name for path in workshop.rglob("*") if not path.is_dir()}
            if time.time() - workshop.stat().st_mtime > LEFT_BEHIND and left <= FILES - {CARD}:
                shutil.rmtree(workshop)


def _write_together(folder: Path, network: nn.Module, card: ModelCard, pen: PenNet | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workshop:
        new, old = Path(workshop, "new"), Path(workshop, "old")
        new.mkdir()
        (new / WEIGHTS).write_bytes(_packed(network))
        if pen is not None:
            (new / PEN).write_bytes(_packed(pen))
        (new / CARD).write_text(json.dumps(asdict(card), indent=2) + "\n")
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except BaseException:
            if old.exists():
                os.replace(old, folder)
            raise


def rounded(network: _Network) -> _Network:
    """The same network, changed in place, with weights rounded as in a file: to 16 bits."""
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(value.half())
    return network


def _packed(network: nn.Module) -> bytes:
    """The weights as safetensors."""
    return save_tensors({name: _narrowed(tensor).contiguous() for name, tensor in network.state_dict().items()})


def _narrowed(tensor: Tensor) -> Tensor:
    """The same numbers in 16 bits, if every one of them stays exact."""
    narrow = tensor.half() if tensor.dtype == torch.float32 else tensor
    return narrow if torch.equal(narrow.to(tensor.dtype), tensor) else tensor


def check_saveable(folder: Path) -> None:
    """Raises ModelError if saving a model would destroy something that is not a model, or nothing can be written.

    Call this before a training; afterwards it would be too late. It makes the parent folder.
    """
    try:
        if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= FILES):
            raise ModelError(f"{folder} exists already and is not a model. Choose another folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}."):
            pass
    except OSError as error:
        raise ModelError(f"{folder} could not be written: {error.strerror}.") from None


def load_model(folder: Path) -> Model:
    """Rebuild a model from its folder, ready to answer. Raises ModelError naming the file at fault."""
    card = load_card(folder)
    if card.architecture == ONLY_A_GRAPH:
        raise ModelError(
            f"{card.name!r} is only a graph: it answers, but cannot be taught, exported or made the default."
        )
    network = build(card.architecture)
    _fill(network, folder / WEIGHTS, f"of the architecture {card.architecture!r}")
    pen = PenNet() if card.pen else None
    if pen:
        _fill(pen, folder / PEN, "of a pen network")
        pen.eval()
    return Model(network.eval(), card, pen)


def _fill(network: nn.Module, path: Path, whose: str) -> None:
    """Load the weights in a file into a network. Raises ModelError."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ModelError(f"{path} is larger than {LARGEST_FILE // 2**20} MB, too large to be one of our models.")
        tensors = load_tensors(path.read_bytes())
        _check_numbers(tensors, network, path)
        network.load_state_dict(tensors)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: there is a card, but not its weights.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    except (SafetensorError, KeyError) as error:  # KeyError: a type of number that PyTorch lacks
        raise ModelError(f"{path} is not a whole safetensors file ({error}).") from None
    except RuntimeError:  # tensors of other names or shapes
        raise ModelError(f"{path} does not hold the weights {whose}.") from None


def _check_numbers(tensors: Mapping[str, Tensor], network: nn.Module, path: Path) -> None:
    """Raises ModelError if PyTorch would change the numbers, or drop half of them (imaginary parts), when loading."""
    for name, wanted in network.state_dict().items():
        found = tensors.get(name, wanted).dtype
        if found != wanted.dtype and not (found.is_floating_point and wanted.is_floating_point()):
            kinds = [str(dtype).removeprefix("torch.") for dtype in (found, wanted.dtype)]
            raise ModelError(f"{path} holds {name!r} as {kinds[0]}, but the network needs {kinds[1]}.")


def load_card(folder: Path) -> ModelCard:
    """A model's card alone, which is quick. Raises ModelError naming the file at fault."""
    path = folder / CARD
    try:
        card = _card_of(json.loads(path.read_text()))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing, so {folder.name!r} is not a model.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        reason = str(error)[:200].encode(errors="backslashreplace").decode()  # it may quote the card
        raise ModelError(f"{path} is not a model card ({reason}).") from None
    if card.architecture not in (*ARCHITECTURES, ONLY_A_GRAPH):
        raise ModelError(f"{path} names the architecture {card.architecture!r}, which this version does not know.")
    if card.pen and card.architecture not in REFUSING:
        raise ModelError(f"{path} describes a pen network, but {card.architecture!r} cannot be used with one.")
    return card


def _card_of(content: Any) -> ModelCard:
    """The card from its JSON content. Raises TypeError or ValueError if that is not a card's."""
    found = _fields_of(ModelCard, content, "it")
    pen = found.get("pen")
    return ModelCard(**{**found, "pen": None if pen is None else PenCard(**_fields_of(PenCard, pen, "its pen"))})


def _fields_of(kind: type[ModelCard | PenCard], content: Any, whose: str) -> dict[str, Any]:
    """The content, if it has the fields of that kind of card. Raises ValueError if not."""
    if not isinstance(content, dict):
        raise ValueError(f"{whose} is not an object")
    known = {each.name: each.default is each.default_factory is MISSING for each in fields(kind)}
    if unknown := [name for name in content if name not in known]:
        raise ValueError(f"{whose} has a field {unknown[0]!r}, which this version does not know")
    if missing := [name for name, is_needed in known.items() if is_needed and name not in content]:
        raise ValueError(f"{whose} lacks {', '.join(missing)}")
    return content


def save_graph(folder: Path, graph: bytes) -> None:
    """Write an ONNX graph, compressed, instead of weights. Raises OSError."""
    write_whole(folder / GRAPH, gzip.compress(graph, 9, mtime=0))  # the same graph gives the same bytes


def load_graph(folder: Path) -> bytes:
    """The ONNX graph of a model that is only a graph. Raises ModelError."""
    path = folder / GRAPH
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "it is broken or incomplete"
        raise ModelError(f"{path} cannot be read: {reason}.") from None


def answering_file(folder: Path) -> Path:
    """The file on which a model's answers to pictures depend: its graph if it is only a graph, else its weights."""
    graph = folder / GRAPH
    return graph if graph.exists() else folder / WEIGHTS


def model_folders() -> dict[str, Path]:
    """Every model except the lab's, by its name: the default first, then the other shipped ones and the users' own."""
    found = _folders(SHIPPED_WEIGHTS, user_models_folder())
    return {name: found[name] for name in sorted(found, key=lambda name: name != DEFAULT_MODEL)}


def lab_models() -> dict[str, Path]:
    """Every lab model by its name; those measured on this machine replace those that came with the app.

    A lab model whose name another model has already is left out.
    """
    found, taken = _folders(lab_folder(), SHIPPED_LAB), model_folders()
    return {name: path for name, path in found.items() if (path / GRAPH).exists() and name not in taken}


def _folders(*parents: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for parent in parents:
        for folder in sorted(parent.glob("[!.]*/")):
            if folder != SHIPPED_LAB:  # this holds many models and is not one; a user's model may have its name
                found.setdefault(folder.name, folder)
    return found


def find_model(name: str) -> Path:
    """The folder of the model called ``name``, also in the lab. Raises ModelError that lists the models."""
    if _NAME.fullmatch(name):  # called with every stroke, so look for this one folder before listing all
        for parent in (SHIPPED_WEIGHTS, user_models_folder()):
            if (parent / name).is_dir() and parent / name != SHIPPED_LAB:
                return parent / name
        for parent in (lab_folder(), SHIPPED_LAB):
            if (parent / name / GRAPH).exists():
                return parent / name
    folders = model_folders()
    if name not in folders:
        there_are = ", ".join(repr(known) for known in folders) or "none"
        raise ModelError(f"No model named {name[:64]!r}. Available: {there_are}.")
    return folders[name]


def free_name(title: str, taken: Collection[str] = ()) -> str:
    """A free name for a model that people call ``title``: its letters and digits, with a number if that is taken."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:48].strip("-") or "network"
    there = {*model_folders(), *lab_models(), *taken}
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return name if name not in there else next(each for each in numbered if each not in there)


def name_in_place(made: Path, taken: Collection[str] = ()) -> str:
    """The name that `put_in_place` would give a model now."""
    return made.name if made.name not in {*model_folders(), *lab_models(), *taken} else free_name(made.name, taken)


def put_in_place(made: Path, taken: Collection[str] = ()) -> str:
    """Move a finished model to the users' models, under another name if its own is taken, and return the name.

    Names of models and those in ``taken`` count as taken. Raises OSError; the model is then where it was.
    """
    user_models_folder().mkdir(parents=True, exist_ok=True)
    _clear_workshops()
    while True:
        name = name_in_place(made, taken)
        card = json.loads((made / CARD).read_text())
        if card["name"] != name:
            write_whole(made / CARD, (json.dumps({**card, "name": name}, indent=2) + "\n").encode())
        try:
            os.rename(made, user_models_folder() / name)
        except OSError:
            if name not in model_folders():
                raise
        else:  # no other model took the name meanwhile
            return name


def new_model_folder(name: str) -> Path:
    """The folder in which to save a user's new model. Raises ModelError if its name is invalid or taken."""
    if not _NAME.fullmatch(name):
        raise ModelError("A model's name has up to 64 characters a-z, 0-9 or . _ - and starts with a letter or digit.")
    if name in {*model_folders(), *lab_models()}:
        raise ModelError(f"There is a model named {name!r} already. Choose another name.")
    return user_models_folder() / name
