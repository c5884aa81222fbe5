"""Plotly figures for the lab: accuracy against cost, and accuracy against the number of samples."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_app.lab.contender import FAMILIES
from mnist_app.lab.figures import Figures
from mnist_app.lab.transfer import Direction
from mnist_app.web.charts import COMPARED, TRAINING, VALIDATION

SYMBOLS = ("circle", "square", "diamond", "star")  # by family, for people who cannot tell the colours apart
MIN_MISREAD = 1e-4  # share: one of 10,000 test digits, because zero has no logarithm
ACCURACIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)  # ticks of the axis


@dataclass(frozen=True)
class Axis:
    """One measure of what a model costs, or of how well it reads."""

    words: str
    value: Callable[[Figures], float | None]


COSTS: Mapping[str, Axis] = {
    "parameters": Axis("Numbers learned or stored", lambda found: found.parameters),
    "bytes": Axis("Bytes, compressed", lambda found: found.zipped),
    "microseconds": Axis("Microseconds for one drawing", lambda found: 1000 * found.latency.median),
    "seconds": Axis("Seconds of training", lambda found: found.seconds or None),
}
GAINS: Mapping[str, Axis] = {
    "test": Axis("Test digits read right", lambda found: found.accuracy),
    "ink": Axis("Real pen strokes read right", lambda found: found.ink),
}


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, gain) whose gain no other point reaches at the same or a lower cost, sorted by cost."""
    best: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or gain > best[-1][1]:
            best.append((cost, gain))
    return best


def tradeoff(table: Sequence[Figures], cost: Axis, gain: Axis) -> Any:
    """A dot for each model with both values known, and the ``pareto`` line; log scales, fewest mistakes at the top."""
    import plotly.graph_objects as go  # takes a second; no other page should wait for it

    placed = [(found, x, y) for found in table if (x := cost.value(found)) and (y := gain.value(found)) is not None]
    line = pareto([(x, y) for _, x, y in placed])
    figure = go.Figure()
    figure.add_scatter(
        x=[x for x, _ in line],
        y=[_misread(y) for _, y in line],
        mode="lines",
        name="Best for its cost",
        line={"color": TRAINING, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
    )
    for family, colour, symbol in zip(FAMILIES, COMPARED, SYMBOLS, strict=True):
        shown = [each for each in placed if each[0].family == family]
        figure.add_scatter(
            x=[x for _, x, _ in shown],
            y=[_misread(y) for *_, y in shown],
            mode="markers",
            name=family.capitalize(),
            marker={"color": colour, "symbol": symbol, "size": 12, "line": {"width": 1, "color": "white"}},
            hovertext=[_card(found) for found, *_ in shown],
            hoverinfo="text",
        )
    figure.update_xaxes(type="log", title=cost.words, dtick=1, exponentformat="SI")
    figure.update_yaxes(
        type="log",
        autorange="reversed",
        title=gain.words,
        tickvals=[1 - share for share in ACCURACIES],
        ticktext=[f"{share:.3g}%" for share in (100 * accuracy for accuracy in ACCURACIES)],
    )
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}, margin={"t": 8, "r": 8})
    return figure


def _misread(share: float) -> float:
    return max(1 - share, MIN_MISREAD)


def _card(found: Figures) -> str:
    """The hover text of a dot."""
    ink = "" if found.ink is None else f", {found.ink:.2%} of real pen strokes"
    return (
        f"<b>{html.escape(found.title)}</b><br>{found.accuracy:.2%} of test digits{ink}<br>"
        f"{found.parameters:,} numbers, {found.zipped / 1000:,.0f} kB compressed<br>"
        f"one drawing in {found.latency.median:.2f} ms, trained in {found.seconds:,.0f} s"
    )


def shares_over_samples(direction: Direction) -> Any:
    """A Plotly figure of the accuracy over the number of samples, with and without earlier knowledge."""
    import plotly.graph_objects as go

    figure = go.Figure()
    counts = [point.count for point in direction.points]
    for name, colour, dash, values in (
        (f"knows {direction.before}", VALIDATION, "solid", [point.knowing for point in direction.points]),
        ("starts from nothing", TRAINING, "dash", [point.scratch for point in direction.points]),
    ):
        means = [sum(each) / len(each) for each in values]
        figure.add_scatter(
            x=counts,
            y=[100 * mean for mean in means],
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": dash},
            error_y={
                "symmetric": False,
                "array": [100 * (max(each) - mean) for each, mean in zip(values, means, strict=True)],
                "arrayminus": [100 * (mean - min(each)) for each, mean in zip(values, means, strict=True)],
            },
            hovertemplate="%{y:.1f}% with %{x} samples<extra></extra>",
        )
    figure.update_xaxes(type="log", title="Samples to learn from", tickvals=counts, ticktext=[f"{n:,}" for n in counts])
    figure.update_yaxes(title="Read right", ticksuffix="%")
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}, margin={"t": 8, "r": 8})
    return figure
