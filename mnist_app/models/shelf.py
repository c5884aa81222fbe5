"""The shelf: what people decided about the models. It holds the default model, titles, notes and deleted models.

The default, titles and notes are in one file beside the users' models, which is always replaced whole. Titles and notes
are text that visitors wrote. A model's folder name never changes, because everything else refers to it by that.
"""

import contextlib
import json
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from mnist_app.models.registry import DEFAULT_MODEL, ModelError, find_model, load_model, model_folders
from mnist_app.storage import SHIPPED_LAB, SHIPPED_WEIGHTS, home, user_models_folder, write_whole

LONGEST_TITLE, LONGEST_NOTE = 60, 500  # characters
MAX_DEFAULTS = 20  # earlier defaults that are remembered
KEPT_FOR = 24 * 3600  # seconds until a deleted model is gone for good
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)  # raised when a file is not a shelf


@dataclass(frozen=True)
class Label:
    """A model's title and note."""

    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Shelf:
    """The shelf at one moment."""

    defaults: tuple[str, ...] = ()  # the current one last
    labels: Mapping[str, Label] = field(default_factory=dict)

    @cached_property
    def default(self) -> str:
        """The model that everybody starts with: the latest default that still exists, or the shipped one."""
        there = model_folders()
        return next((name for name in reversed(self.defaults) if name in there), DEFAULT_MODEL)

    @property
    def earlier_defaults(self) -> list[str]:
        """The models that were the default before and still exist, the latest first, each once."""
        there = model_folders()
        before = dict.fromkeys([*reversed(self.defaults), DEFAULT_MODEL])
        return [name for name in before if name in there and name != self.default]

    def title(self, name: str) -> str:
        """A model's title, or its name if it has none.

        Both, if another model is called the same: it may have arrived, or been restored, after the title was given.
        """
        called = self.called(name)
        return f"{called} ({name})" if called != name and called in self._shared else called

    def called(self, name: str) -> str:
        """A model's title, or its name if it has none, even if another model is called the same."""
        label = self.labels.get(name)
        return label.title if label and label.title else name

    @cached_property
    def _shared(self) -> set[str]:
        """The titles and names that more than one model has."""
        return {called for called, count in Counter(map(self.called, model_folders())).items() if count > 1}


def read_shelf() -> Shelf:
    """The shelf; if it cannot be read, an empty one with the shipped default."""
    try:
        return _read()
    except (OSError, *_MALFORMED):
        return Shelf()


def _read() -> Shelf:
    """The shelf. Raises OSError or one of _MALFORMED."""
    found: Any = json.loads(_file().read_text())
    defaults = tuple(str(name) for name in found["defaults"])
    labels = {str(name): Label(str(label["title"]), str(label["note"])) for name, label in found["labels"].items()}
    gone = {folder.name for folder in _gone()}  # a model with such a name now is another one
    return Shelf(
        tuple(name for name in defaults if name not in gone),
        {name: label for name, label in labels.items() if name not in gone},
    )


def default_model() -> str:
    """The name of the model that everybody starts with."""
    return read_shelf().default


def make_default(name: str) -> None:
    """Make new visitors start with this model. Raises ModelError if it cannot answer."""
    load_model(find_model(name))
    with _changing() as shelf:
        before = [other for other in shelf.defaults if other != name]
        _write(replace(shelf, defaults=(*before, name)[-MAX_DEFAULTS:]))


def label(name: str, title: str, note: str) -> None:
    """Give a model a title and a note. Raises ModelError."""
    find_model(name)
    with _changing() as shelf:
        _write(replace(shelf, labels={**shelf.labels, name: checked_label(name, title, note)}))


def checked_label(name: str, title: str, note: str) -> Label:
    """A model's new title and note. Raises ModelError if one is too long, or another model has the title."""
    title, note = " ".join(title.split()), note.strip()
    if len(title) > LONGEST_TITLE:
        raise ModelError(f"A title has at most {LONGEST_TITLE} characters, and this one has {len(title)}.")
    if len(note) > LONGEST_NOTE:
        raise ModelError(f"A note has at most {LONGEST_NOTE} characters, and this one has {len(note)}.")
    shelf = read_shelf()
    for other in model_folders():
        if other != name and title in (other, shelf.called(other), shelf.title(other)):
            raise ModelError(f"Another model is called {title!r}. Choose another title.")
    return Label(title, note)


def is_shipped(name: str) -> bool:
    return (SHIPPED_WEIGHTS / name).is_dir() and SHIPPED_WEIGHTS / name != SHIPPED_LAB


def delete_model(name: str) -> None:
    """Delete a model; for a day it can be restored. Raises ModelError for a shipped, a lab or the default model."""
    if is_shipped(name):
        raise ModelError(f"{name!r} came with the app and cannot be deleted.")
    with _changing() as shelf:
        folder = find_model(name)
        if folder.parent != user_models_folder():
            raise ModelError(f"{name!r} is a lab model and cannot be deleted.")
        if shelf.default == name:
            raise ModelError(f"{name!r} is the default model. Make another one the default first.")
        _deleted_folder().mkdir(parents=True, exist_ok=True)
        shutil.rmtree(_deleted_folder() / name, ignore_errors=True)
        os.utime(folder)  # the folder itself records when it was deleted: no second record can disagree
        os.rename(folder, _deleted_folder() / name)


def restore_model(name: str) -> None:
    """Undo a deletion. Raises ModelError if it is too late or another model has the name."""
    with _changing():
        if name not in restorable():
            raise ModelError(f"{name!r} can no longer be restored.")
        if name in model_folders():
            raise ModelError(f"There is another model named {name!r} now.")
        os.rename(_deleted_folder() / name, user_models_folder() / name)


def restorable() -> list[str]:
    """The deleted models that can be restored, the latest first."""
    recent = {folder.name: when for folder, when in _deleted().items() if time.time() - when < KEPT_FOR}
    return sorted(recent, key=recent.__getitem__, reverse=True)


def _deleted() -> dict[Path, float]:
    """The folders of deleted models, and when each was deleted, in seconds since 1970."""
    found = {}
    for folder in _deleted_folder().glob("*/"):
        with contextlib.suppress(OSError):  # removed at this moment
            found[folder] = folder.stat().st_mtime
    return found


def _gone() -> list[Path]:
    """The folders of models that were deleted too long ago to be restored."""
    return [folder for folder, when in _deleted().items() if time.time() - when >= KEPT_FOR]


def _file() -> Path:
    return home() / "shelf.json"


def _deleted_folder() -> Path:
    return home() / "deleted"


@contextlib.contextmanager
def _changing() -> Iterator[Shelf]:
    """The shelf, locked so that nobody else changes it meanwhile. Raises ModelError if it cannot be written."""
    try:
        home().mkdir(parents=True, exist_ok=True)
        with FileLock(home() / "shelf.lock"):
            shelf = _read_or_set_aside()
            if gone := _gone():
                _write(shelf)  # without their entries, which _read() drops only while their folders exist
                for folder in gone:
                    shutil.rmtree(folder, ignore_errors=True)
            yield shelf
    except OSError as error:
        raise ModelError(f"{home()} could not be written: {error.strerror}.") from None


def _read_or_set_aside() -> Shelf:
    """The shelf. A file that is not one gets another name, because one wrong letter must not cost all titles.

    Raises OSError.
    """
    try:
        return _read()
    except FileNotFoundError:
        return Shelf()
    except _MALFORMED:
        aside = _file().with_name(f"shelf.{time.time_ns()}.broken")
        os.replace(_file(), aside)
        logging.getLogger(__name__).warning("%s cannot be read and was renamed to %s", _file(), aside)
        return Shelf()


def _write(shelf: Shelf) -> None:
    write_whole(_file(), (json.dumps(asdict(shelf), indent=2) + "\n").encode())
