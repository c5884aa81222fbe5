"""Which pictures the Explore page shows: filters that describe themselves, sort orders, and a view kept in the URL."""

import csv
import io
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from mnist_app.data.dataset import CLASSES, SPLITS, Digits
from mnist_app.data.label_errors import DOUBTS
from mnist_app.explore.predictions import Predictions
from mnist_app.explore.projection import METHODS, SIDE, Places
from mnist_app.ink.morphometry import LEFT, RIGHT, THICK, THIN, slant, thickness

PER_PAGE = 60  # pictures: whole rows of five, six, ten or twelve
MAX_CORNERS = 64  # of an area on the map; a lasso with more is thinned to this
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

T = TypeVar("T")

Mask = NDArray[np.bool_]  # (N,)
Order = NDArray[np.intp]  # (K,), indices into a split


@dataclass(frozen=True, eq=False)
class Readings:
    """A split and a model's predictions for it: everything that pictures are filtered and sorted by."""

    split: str
    digits: Digits
    predictions: Predictions

    def __len__(self) -> int:
        return len(self.digits)

    @cached_property
    def right(self) -> Mask:
        return self.predictions.read == self.digits.labels

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Cross entropy of each picture (N,), nats."""
        return self.predictions.losses(self.digits.labels)

    @cached_property
    def thickness(self) -> NDArray[np.float32]:
        """Mean stroke thickness (N,), pixels."""
        return thickness(self.digits.images)

    @cached_property
    def slant(self) -> NDArray[np.float32]:
        """Slant of each picture (N,), degrees from upright, positive to the right."""
        return slant(self.digits.images)

    @cached_property
    def averages(self) -> NDArray[np.uint8]:
        """The average picture of each digit (10, 28, 28), by label; blank for a digit that never occurs."""
        means = [self.digits.images[self.digits.labels == digit] for digit in range(CLASSES)]
        return np.array([np.round(mean.mean(axis=0)) if len(mean) else np.zeros((28, 28)) for mean in means], np.uint8)

    @cached_property
    def doubtful(self) -> Mask:
        """Which labels are in doubt (N,); known for the test split only."""
        doubtful = np.zeros(len(self), bool)
        if self.split == "test":
            doubtful[[index for index in DOUBTS if index < len(self)]] = True
        return doubtful


@dataclass(frozen=True)
class Area:
    """A polygon on one of the maps, corners in map units from 0 to SIDE."""

    method: str  # of METHODS
    corners: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if self.method not in METHODS or not 3 <= len(self.corners) <= MAX_CORNERS:
            raise ValueError("an area needs a known map and 3 to 64 corners")
        if not all(0 <= value <= SIDE for corner in self.corners for value in corner):
            raise ValueError("a corner lies outside the map")

    def holds(self, places: Places) -> Mask:
        """Which places (N, 2) lie inside, by the even-odd rule; an area that reaches the map's edge includes it."""
        x, y = places[:, 0], places[:, 1]
        inside = np.zeros(len(places), bool)
        beyond = {0: -1, SIDE: SIDE + 1}
        corners = [(beyond.get(at_x, at_x), beyond.get(at_y, at_y)) for at_x, at_y in self.corners]
        for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
            if y1 != y2:
                inside ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        return inside

    def to_text(self) -> str:
        """The area as it is written in a URL."""
        return self.method + "".join(f"_{x}.{y}" for x, y in self.corners)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read an area that `to_text` wrote. Raises ValueError."""
        method, *corners = text.split("_", MAX_CORNERS + 1)
        pairs = [corner.split(".") for corner in corners]
        if not all(len(pair) == 2 for pair in pairs):
            raise ValueError("a corner is two numbers")
        return cls(method, tuple((whole(x), whole(y)) for x, y in pairs))


STROKES: Mapping[str, tuple[float, float]] = {  # pixels: from, to below
    "thin": (0, THIN),
    "medium": (THIN, THICK),
    "thick": (THICK, np.inf),
}
LEANS: Mapping[str, tuple[float, float]] = {  # degrees: from, to below
    "left": (-np.inf, LEFT),
    "upright": (LEFT, RIGHT),
    "right": (RIGHT, np.inf),
}
_LEANING = {"left": "left-leaning", "upright": "upright", "right": "right-leaning"}
VERDICTS = ("wrong", "right")


@dataclass(frozen=True)
class Filters:
    """Which pictures to show. None, or the widest range, lets all pictures pass.

    The same object selects pictures and describes the selection, so that the two cannot disagree.
    """

    label: int | None = None  # the digit that the label names
    read: int | None = None  # the digit that the model read
    verdict: str | None = None  # of VERDICTS
    least: int = 0  # confidence, whole percent
    most: int = 100
    stroke: str | None = None  # of STROKES
    lean: str | None = None  # of LEANS
    doubtful: bool = False
    area: Area | None = None

    def mask(self, readings: Readings, places: Places | None = None) -> Mask:
        """Which pictures pass (N,). ``places`` are their places on the area's map, needed only if an area is set."""
        chosen = np.ones(len(readings), bool)
        if self.label is not None:
            chosen &= readings.digits.labels == self.label
        if self.read is not None:
            chosen &= readings.predictions.read == self.read
        if self.verdict is not None:
            chosen &= readings.right == (self.verdict == "right")
        if (self.least, self.most) != (0, 100):
            percent = np.floor(readings.predictions.confidence * 100 + 0.5)  # rounded as in the captions
            chosen &= (percent >= self.least) & (percent <= self.most)
        if self.stroke is not None:
            least, below = STROKES[self.stroke]
            chosen &= (readings.thickness >= least) & (readings.thickness < below)
        if self.lean is not None:
            least, below = LEANS[self.lean]
            chosen &= (readings.slant >= least) & (readings.slant < below)
        if self.doubtful:
            chosen &= readings.doubtful
        if self.area is not None:
            assert places is not None, "an area without its map"
            chosen &= self.area.holds(places)
        return chosen

    def describe(self, count: int) -> str:
        """The selection in words, such as "23 sevens read as ones"."""
        one = count == 1
        words = [f"{count:,}" if count else "No"]
        words += [self.stroke] if self.stroke else []
        words += [_LEANING[self.lean]] if self.lean else []
        words.append(_digits(self.label, one))
        verb = {None: "read", "wrong": "misread", "right": "read right"}[self.verdict]
        if self.read is not None:
            words.append(f"{verb} as {_article(self.read) if one else _digits(self.read, one)}")
        elif self.verdict:
            words.append(verb)
        if (self.least, self.most) != (0, 100):
            words.append(f"with {self._confidence}")
        if self.doubtful:
            words.append("whose label is in doubt" if one else "whose labels are in doubt")
        if self.area:
            words.append("inside the area marked on the map")
        return " ".join(words)

    @property
    def _confidence(self) -> str:
        if self.least == 0:
            return f"at most {self.most}% confidence"
        return f"{self.least}% to {self.most}% confidence" if self.most < 100 else f"{self.least}% confidence or more"

    def each(self) -> dict[str, "Filters"]:
        """Each filter that is set, in words, with these filters without it."""
        said: dict[str, Filters] = {}
        if self.label is not None:
            said[_article(self.label)] = replace(self, label=None)
        if self.read is not None:
            said[f"read as {_article(self.read)}"] = replace(self, read=None)
        if self.verdict:
            said["misread" if self.verdict == "wrong" else "read right"] = replace(self, verdict=None)
        if (self.least, self.most) != (0, 100):
            said[self._confidence] = replace(self, least=0, most=100)
        if self.stroke:
            said[f"{self.stroke} strokes"] = replace(self, stroke=None)
        if self.lean:
            said[_LEANING[self.lean]] = replace(self, lean=None)
        if self.doubtful:
            said["label in doubt"] = replace(self, doubtful=False)
        if self.area:
            said["inside the marked area"] = replace(self, area=None)
        return said

    def advice(self, readings: Readings, places: Places | None = None) -> str:
        """A hint on which filter to clear when no picture passes."""
        found = {words: int(without.mask(readings, places).sum()) for words, without in self.each().items()}
        words, most = max(found.items(), key=lambda item: item[1], default=("", 0))
        if not most:
            return "No single filter is to blame: clear them all."
        there_are = "there is 1" if most == 1 else f"there are {most:,}"
        return f"Without “{words}” {there_are}."


def _digits(digit: int | None, one: bool) -> str:
    name = "digit" if digit is None else NAMES[digit]
    return name if one else f"{name}es" if name == "six" else f"{name}s"


def _article(digit: int) -> str:
    return f"{'an' if digit == 8 else 'a'} {NAMES[digit]}"


def _by_mistake(readings: Readings) -> NDArray[np.float64]:
    # Mistakes come before right answers: the most confident mistake first, the most confident right answer last.
    confidence = readings.predictions.confidence
    return np.where(readings.right, 1 + confidence, -confidence)


ORDERS: Mapping[str, tuple[str, Callable[[Readings], NDArray[np.float64]]]] = {
    "mistakes": ("Misread first", _by_mistake),
    "unsure": ("Least sure first", lambda readings: readings.predictions.confidence),
    "sure": ("Most sure first", lambda readings: -readings.predictions.confidence),
    "loss": ("Highest loss first", lambda readings: -readings.losses),
    "index": ("By index", lambda readings: np.arange(len(readings), dtype=np.float64)),
}
PANELS = {"numbers": "Numbers", "map": "Map", "picture": "Picture"}


@dataclass(frozen=True)
class View:
    """Everything that decides what the page shows."""

    model: str
    split: str
    filters: Filters = field(default_factory=Filters)
    order: str = "mistakes"
    page: int = 1
    opened: int | None = None  # index of the enlarged picture
    panel: str = "numbers"
    method: str = "tsne"  # the map's projection, of METHODS
    percent: bool = False  # confusion matrix in percent of the row

    def where(self, **filters: object) -> "View":
        """This view with some filters changed, back on page 1."""
        return replace(self, filters=replace(self.filters, **filters), page=1)  # type: ignore[arg-type]

    def chosen(self, readings: Readings, places: Places | None = None) -> Order:
        """The indices of the pictures that pass the filters, sorted."""
        indices = np.flatnonzero(self.filters.mask(readings, places))
        return indices[np.argsort(ORDERS[self.order][1](readings)[indices], kind="stable")]

    def to_query(self) -> dict[str, str]:
        """The view as query parameters, without those at their default."""
        filters, usual = self.filters, View(self.model, self.split)
        query = {"model": self.model, "split": self.split}
        if filters.label is not None:
            query["label"] = str(filters.label)
        if filters.read is not None:
            query["read"] = str(filters.read)
        if (filters.least, filters.most) != (0, 100):
            query["confidence"] = f"{filters.least}-{filters.most}"
        for name in ("verdict", "stroke", "lean"):
            if value := getattr(filters, name):
                query[name] = value
        if filters.doubtful:
            query["doubt"] = "yes"
        if filters.area:
            query["area"] = filters.area.to_text()
        for name in ("order", "panel", "method", "page"):
            if (value := getattr(self, name)) != getattr(usual, name):
                query[name] = str(value)
        if self.opened is not None:
            query["open"] = str(self.opened)
        if self.percent:
            query["matrix"] = "percent"
        return query

    @classmethod
    def from_query(cls, query: Mapping[str, str], usual: "View") -> tuple["View", tuple[str, ...]]:
        """The view that a URL asks for, and the names of the parameters that were ignored because they are invalid."""
        refused: list[str] = []
        view, filters = usual, Filters()
        for name, text in query.items():
            try:
                changes = _PARAMETERS[name](text) if name in _PARAMETERS else None
            except ValueError:
                refused.append(name)
                continue
            if changes is None:  # not one of ours
                continue
            if name in _OF_FILTERS:
                filters = replace(filters, **changes)  # type: ignore[arg-type]
            else:
                view = replace(view, **changes)  # type: ignore[arg-type]
        return replace(view, filters=filters), tuple(refused)


def whole(text: str) -> int:
    """Parse an untrusted whole number of at most six digits. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ValueError("not a whole number")
    return int(text)


def _digit(text: str) -> int:
    return _one_of(range(CLASSES))(whole(text))


def _one_of(known: Container[T]) -> Callable[[T], T]:
    def check(value: T) -> T:
        if value not in known:
            raise ValueError("not a known value")
        return value

    return check


def _range(text: str) -> dict[str, object]:
    least, _, most = text.partition("-")
    found = whole(least), whole(most)
    if not 0 <= found[0] <= found[1] <= 100:
        raise ValueError("not a range of percentages")
    return {"least": found[0], "most": found[1]}


def _page(text: str) -> int:
    return max(1, whole(text))


# What each query parameter changes; the parsers raise ValueError.
_PARAMETERS: Mapping[str, Callable[[str], dict[str, object]]] = {
    "model": lambda text: {"model": text},
    "split": lambda text: {"split": _one_of(SPLITS)(text)},
    "label": lambda text: {"label": _digit(text)},
    "read": lambda text: {"read": _digit(text)},
    "verdict": lambda text: {"verdict": _one_of(VERDICTS)(text)},
    "confidence": _range,
    "stroke": lambda text: {"stroke": _one_of(STROKES)(text)},
    "lean": lambda text: {"lean": _one_of(LEANS)(text)},
    "doubt": lambda text: {"doubtful": _one_of(("yes",))(text) == "yes"},
    "area": lambda text: {"area": Area.from_text(text)},
    "order": lambda text: {"order": _one_of(ORDERS)(text)},
    "page": lambda text: {"page": _page(text)},
    "open": lambda text: {"opened": whole(text)},
    "panel": lambda text: {"panel": _one_of(PANELS)(text)},
    "method": lambda text: {"method": _one_of(METHODS)(text)},
    "matrix": lambda text: {"percent": _one_of(("percent",))(text) == "percent"},
}
_OF_FILTERS = {"label", "read", "verdict", "confidence", "stroke", "lean", "doubt", "area"}


def to_csv(readings: Readings, chosen: Order) -> str:
    """The chosen pictures as CSV, one line each, in order, below a header."""
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(
        ["split", "index", "label", "read", "confidence", "loss", "thickness_pixels", "slant_degrees", "label_in_doubt"]
        + [f"probability_{digit}" for digit in range(CLASSES)]
    )
    found = readings.predictions
    for index in chosen.tolist():
        lines.writerow(
            [readings.split, index, readings.digits.labels[index], found.read[index]]
            + [f"{found.confidence[index]:.6f}", f"{readings.losses[index]:.6f}"]
            + [f"{readings.thickness[index]:.2f}", f"{readings.slant[index]:.1f}"]
            + [("yes" if readings.doubtful[index] else "no") if readings.split == "test" else ""]  # known for test only
            + [f"{share:.6f}" for share in found.probabilities[index]]
        )
    return file.getvalue()
