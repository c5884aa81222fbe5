"""What people have decided about the models: which one everybody starts with, what they are called, which are put away.

It lies in one file beside the users' models, replaced whole. A model's folder name never changes: it is what everything
else knows it by. Titles and notes are text that visitors wrote.
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
MOST_DEFAULTS = 20  # earlier defaults that are remembered
KEPT_FOR = 24 * 3600  # seconds until a model that was put away is gone for good
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)  # raised by what is no shelf


@dataclass(frozen=True)
class Label:
    """What people call a model, and what they say of it."""

    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Shelf:
    """All that was decided, at one moment."""

    defaults: tuple[str, ...] = ()  # the present one last
    labels: Mapping[str, Label] = field(default_factory=dict)

    @cached_property
    def default(self) -> str:
        """The model that everybody starts with: the latest that is still there, else the shipped one."""
        there = model_folders()
        return next((name for name in reversed(self.defaults) if name in there), DEFAULT_MODEL)

    @property
    def earlier_defaults(self) -> list[str]:
        """What was the default before, the latest first, each once."""
        there = model_folders()
        before = dict.fromkeys([*reversed(self.defaults), DEFAULT_MODEL])
        return [name for name in before if name in there and name != self.default]

    def title(self, name: str) -> str:
        """What a model is called: its title, else its name.

        Its title and its name, where another one is called the same that came, or came back, after it got the title.
        """
        called = self.called(name)
        return f"{called} ({name})" if called != name and called in self._shared else called

    def called(self, name: str) -> str:
        """A model's title, else its name, even where another one is called the same."""
        label = self.labels.get(name)
        return label.title if label and label.title else name

    @cached_property
    def _shared(self) -> set[str]:
        """What more than one model is called."""
        return {called for called, count in Counter(map(self.called, model_folders())).items() if count > 1}


def read_shelf() -> Shelf:
    """What was decided so far; nothing, where that cannot be read: then the shipped default stands."""
    try:
        return _read()
    except (OSError, *_MALFORMED):
        return Shelf()


def _read() -> Shelf:
    """What was decided so far. Raises OSError and what is _MALFORMED."""
    found: Any = json.loads(_file().read_text())
    defaults = tuple(str(name) for name in found["defaults"])
    labels = {str(name): Label(str(label["title"]), str(label["note"])) for name, label in found["labels"].items()}
    gone = {folder.name for folder in _gone()}  # whoever has such a name by now is another
    return Shelf(
        tuple(name for name in defaults if name not in gone),
        {name: label for name, label in labels.items() if name not in gone},
    )


def default_model() -> str:
    """The name of the model that everybody starts with."""
    return read_shelf().default


def make_default(name: str) -> None:
    """Have everybody who comes from now on start with this model. Raises ModelError where it cannot answer."""
    load_model(find_model(name))
    with _changing() as shelf:
        before = [other for other in shelf.defaults if other != name]
        _write(replace(shelf, defaults=(*before, name)[-MOST_DEFAULTS:]))


def label(name: str, title: str, note: str) -> None:
    """Call a model something, and say something of it. Raises ModelError."""
    find_model(name)
    with _changing() as shelf:
        _write(replace(shelf, labels={**shelf.labels, name: checked_label(name, title, note)}))


def checked_label(name: str, title: str, note: str) -> Label:
    """What a model may be called. Raises ModelError where that is too long, or another one's title."""
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


def put_away(name: str) -> None:
    """Delete a model, for a day so that it can be brought back. Raises ModelError for a shipped or the default one."""
    if is_shipped(name):
        raise ModelError(f"{name!r} came with the app and stays.")
    with _changing() as shelf:
        folder = find_model(name)
        if folder.parent != user_models_folder():
            raise ModelError(f"{name!r} is a model of the lab and stays.")
        if shelf.default == name:
            raise ModelError(f"{name!r} is what everybody starts with. Make another one the default first.")
        _attic().mkdir(parents=True, exist_ok=True)
        shutil.rmtree(_attic() / name, ignore_errors=True)
        os.utime(folder)  # the folder itself knows when it was put away: no second record can disagree
        os.rename(folder, _attic() / name)


def bring_back(name: str) -> None:
    """Undo a deletion. Raises ModelError where it is too late or another model has the name."""
    with _changing():
        if name not in restorable():
            raise ModelError(f"{name!r} cannot be brought back any more.")
        if name in model_folders():
            raise ModelError(f"There is another model named {name!r} by now.")
        os.rename(_attic() / name, user_models_folder() / name)


def restorable() -> list[str]:
    """The deleted models that can be brought back, the latest first."""
    recent = {folder.name: when for folder, when in _put_away().items() if time.time() - when < KEPT_FOR}
    return sorted(recent, key=recent.__getitem__, reverse=True)


def _put_away() -> dict[Path, float]:
    """What was deleted and when, seconds since 1970."""
    found = {}
    for folder in _attic().glob("*/"):
        with contextlib.suppress(OSError):  # gone this moment
            found[folder] = folder.stat().st_mtime
    return found


def _gone() -> list[Path]:
    """What was deleted too long ago to be brought back."""
    return [folder for folder, when in _put_away().items() if time.time() - when >= KEPT_FOR]


def _file() -> Path:
    return home() / "shelf.json"


def _attic() -> Path:
    return home() / "deleted"


@contextlib.contextmanager
def _changing() -> Iterator[Shelf]:
    """The shelf, which nobody else changes meanwhile. Raises ModelError where the disk refuses."""
    try:
        home().mkdir(parents=True, exist_ok=True)
        with FileLock(home() / "shelf.lock"):
            shelf = _read_or_set_aside()
            if gone := _gone():
                _write(shelf)  # which knows nothing of them any more, while their folders still say why
                for folder in gone:
                    shutil.rmtree(folder, ignore_errors=True)
            yield shelf
    except OSError as error:
        raise ModelError(f"{home()} could not be written: {error.strerror}.") from None


def _read_or_set_aside() -> Shelf:
    """What was decided so far. A file that is no shelf gets another name: one wrong letter must not cost all titles.

    Raises OSError.
    """
    try:
        return _read()
    except FileNotFoundError:
        return Shelf()
    except _MALFORMED:
        aside = _file().with_name(f"shelf.{time.time_ns()}.broken")
        os.replace(_file(), aside)
        logging.getLogger(__name__).warning("%s cannot be read, and is %s now", _file(), aside)
        return Shelf()


def _write(shelf: Shelf) -> None:
    write_whole(_file(), (json.dumps(asdict(shelf), indent=2) + "\n").encode())
