"""A split as a map of points: hovering shows a picture, a click opens it, a box or a lasso fills the gallery."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mnist_app.explore.explorer import Area, Mask, Readings
from mnist_app.explore.projection import SIDE, Places
from mnist_app.web import shared
from mnist_app.web.charts import DIGIT_COLOURS, WRONG
from mnist_app.web.session import sent

_element = st.components.v2.component(
    "digit_map",
    html=(Path(__file__).parent / "digit_map.html").read_text(),
    js=(Path(__file__).parent / "digit_map.js").read_text(),
    isolate_styles=False,
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A visitor's drawing on the map."""

    place: NDArray[np.float32]  # (2,)
    picture: str  # URL
    near: tuple[int, ...]  # indices of its nearest pictures in the split


def digit_map(
    readings: Readings,
    places: Places,
    chosen: Mask,
    area: Area | None,
    opened: int | None,
    drawn: Drawn | None,
    key: str,
    on_pick: Callable[[int], None],
    on_area: Callable[[str], None],
) -> None:
    """Show every picture at its place; those that are not ``chosen`` are faded.

    ``on_pick`` gets the index of a clicked point, ``on_area`` the corners of a drawn area as text.
    """

    def heard_pick() -> None:
        value = sent(key, "pick")
        if isinstance(value, int) and 0 <= value < len(readings):
            on_pick(value)

    def heard_area() -> None:
        value = sent(key, "area")
        if isinstance(value, str):
            on_area(value)

    data: dict[str, Any] = {
        "places": _packed(np.round(places * ((2**16 - 1) / SIDE)).astype("<u2")),
        "labels": _packed(readings.digits.labels.astype(np.uint8)),
        "read": _packed(readings.predictions.read.astype(np.uint8)),
        "percent": _packed(_percent(readings.predictions.confidence)),
        "chosen": _packed(np.packbits(chosen, bitorder="little")),
        "side": SIDE,
        "area": area and [list(corner) for corner in area.corners],
        "opened": opened,
        "drawn": drawn and {"place": drawn.place.tolist(), "picture": drawn.picture, "near": list(drawn.near)},
        "pictures": shared.path_of(f"digits/{readings.split}"),
        "colours": list(DIGIT_COLOURS),
        "wrong": WRONG,
    }
    _element(data=data, key=key, on_pick_change=heard_pick, on_area_change=heard_area)


def _percent(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Whole percent, as answer.py rounds them; 255 if that would claim certainty."""
    rounded = np.floor(shares * 100 + 0.5).astype(np.uint8)
    return np.where((shares >= 0.995) & (shares < 1), np.uint8(255), rounded)


def _packed(values: NDArray[Any]) -> str:
    """An array's bytes in base64, for JSON."""
    return base64.b64encode(values.tobytes()).decode()
