"""Figures as HTML, and every colour that carries a meaning. A colour means the same on every page."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_app.explain.doctor import Finding
from mnist_app.explore.explorer import Filters
from mnist_app.reading.evaluation import Evaluation
from mnist_app.reading.recognition import Prediction
from mnist_app.web.answer import percent

READ = "#0072b2"  # what the network read; --read in style.css
WRONG = "#d55e00"  # a mistake; --wrong
AGAINST = "#e69f00"  # evidence against the digit that was read, while READ is evidence for it; --against
MUTE = "#c8c8c8"  # ink that is no evidence either way
# The ten digits on the map. Found by search: with normal vision and with the three kinds of colour blindness, they can
# be told apart from each other and from READ and WRONG, on white and on Streamlit's dark background.
DIGIT_COLOURS = (
    *("#78c3ff", "#8700b4", "#a5b400", "#e169b4", "#3c1eff"),
    *("#4b5a1e", "#f0a5a5", "#7878ff", "#b42d78", "#87874b"),
)
TRAINING, VALIDATION = "#8a8a8a", "#009e73"  # curves: the digits learned from, the digits measured on
COMPARED = ("#009e73", "#cc79a7", "#a08c00", "#8a8a8a")  # models side by side, in the order they were chosen
CURVE_TITLES = {"accuracy": "Read right", "loss": "Loss, nats"}  # measured during training
MAX_LOSS = 2.5  # nats, where the axis ends: a bad start or a divergence must not flatten the rest
ANY = "any"  # in place of a digit in LABEL-READ: the whole row or column
# For a chart's text, as style.css does not apply inside an image. TRAINING on white has 3.45 to 1; 4.5 is required.
TEXT = "text{fill:#5c5c5c}@media(prefers-color-scheme:dark){text{fill:#a3a3a3}}"
WIDTH, HEIGHT, LEFT, BOTTOM = 360, 190, 40, 24  # size and margins of a chart of curves, in SVG units

Points = Sequence[tuple[float, float]]


def confusion_html(found: Evaluation, in_percent: bool, filters: Filters) -> str:
    """The confusion matrix as a table of buttons ``LABEL-READ``; mistakes stand out, right answers are faded."""
    counts = found.confusion
    mistakes = counts * (1 - np.eye(len(counts), dtype=np.int64))
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    # Square roots, so that one mistake is still visible beside fifty.
    depths = np.sqrt((shares if in_percent else counts) * (mistakes > 0))
    depths = depths / max(float(depths.max()), 1e-9)
    heads = "".join(f'<th scope="col">{_head(ANY, str(digit), filters)}</th>' for digit in range(len(counts)))
    body = ""
    for label, row in enumerate(counts.tolist()):
        cells = ""
        for read, count in enumerate(row):
            said = _cell_text(count, float(shares[label, read]), in_percent)
            kind = "right" if label == read else "mistake" if count else "none"
            current = (filters.label, filters.read) == (label, read)
            cells += (
                f'<td><button type="button" class="{kind}" data-pick="{label}-{read}" '
                f'style="--depth:{depths[label, read]:.3f}" aria-current="{str(current).lower()}" '
                f'aria-label="{label} read as {read}: {count:,} of {sum(row):,}"{"" if count else " disabled"}>'
                f"{said}</button></td>"
            )
        body += f'<tr><th scope="row">{_head(str(label), ANY, filters)}</th>{cells}</tr>'
    return (
        '<table class="confusion"><caption>Rows: the label. Columns: what it was read as. '
        "Pick a cell to see its pictures.</caption>"
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _head(label: str, read: str, filters: Filters) -> str:
    digit = label if read == ANY else read
    words = f"All pictures of {digit}" if read == ANY else f"All pictures read as {digit}"
    here = (str(ANY if filters.label is None else filters.label), str(ANY if filters.read is None else filters.read))
    return (
        f'<button type="button" class="head" data-pick="{label}-{read}" aria-label="{words}" '
        f'aria-current="{str(here == (label, read)).lower()}">{digit}</button>'
    )


def _cell_text(count: int, share: float, in_percent: bool) -> str:
    if not count:
        return "·"
    if not in_percent:
        return f"{count:,}"
    if share == 1:
        return "100"
    if share < 0.0005:  # never rounded to 0 or 100
        return "&lt;0.1"
    return "&gt;99.9" if share >= 0.9995 else f"{share * 100:.1f}"


def scores_html(found: Evaluation) -> str:
    """A table with the count, precision, recall and F1 of each digit."""
    most = max(score.support for score in found.per_digit)
    rows = "".join(
        f'<tr><th scope="row">{digit}</th><td class="count"><span class="track">'
        f'<span class="fill" style="--share:{score.support / max(most, 1):.4f}"></span></span>{score.support:,}</td>'
        f"<td>{_two_places(score.precision)}</td><td>{_two_places(score.recall)}</td><td>{_two_places(score.f1)}</td></tr>"
        for digit, score in enumerate(found.per_digit)
    )
    return (
        '<table class="scores"><thead><tr><th scope="col">Digit</th><th scope="col">Pictures</th>'
        '<th scope="col">Precision</th><th scope="col">Recall</th><th scope="col">F1</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def findings_html(findings: Sequence[Finding]) -> str:
    """A list of measures, each marked at its percentile among real digits, on a line from 0 to 100."""
    rows = "".join(
        f'<li class="{"unusual" if finding.is_unusual else "usual"}"><span>{finding.measure.name.capitalize()}</span>'
        f'<span class="line" role="img" aria-label="more than {finding.percentile:.0f}% of real digits">'
        f'<i style="left:{finding.percentile:.1f}%"></i></span>'
        f"<span>{finding.in_words(finding.value)}{finding.measure.unit}</span>"
        f'<span class="usually">usually {" to ".join(map(finding.in_words, finding.usual))}</span></li>'
        for finding in findings
    )
    return f'<ul class="findings" aria-label="Compared with real digits">{rows}</ul>'


def evidence_rgb(values: NDArray[np.float32], pixels: NDArray[np.uint8], most: float) -> NDArray[np.uint8]:
    """Ink on white paper, (28, 28, 3): grey without evidence, blue for and amber against, full colour at ``most``."""
    share = np.clip(np.abs(values) / max(most, 1e-9), 0, 1)[..., None] ** 0.6  # a root: weak evidence shows too
    speaking = np.where(values[..., None] > 0, _rgb(READ), _rgb(AGAINST))
    ink = (1 - share) * _rgb(MUTE) + share * speaking
    dark = pixels[..., None] / 255
    return np.round((1 - dark) * 255 + dark * ink).astype(np.uint8)


def perturbation(moved: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Changes in levels (28, 28) as a picture: none is mid-grey, the largest is as bright or dark as a byte allows."""
    return np.round(128 + moved * (127 / max(int(np.abs(moved).max()), 1))).astype(np.uint8)


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], np.float64)


def _two_places(share: float) -> str:
    return f"{share * 100:.2f}%"


@dataclass(frozen=True)
class Curve:
    """A line in a chart."""

    name: str
    points: Points
    colour: str
    dashed: bool = False


def _value(value: float, is_share: bool) -> str:
    return _two_places(value) if is_share else f"{value:.3f}"


def training_curve_html(measure: str, lines: Sequence[Curve]) -> str:
    """A chart of one measure of CURVE_TITLES during trainings, with axes that fit its interesting range."""
    passes = max(at for line in lines for at, _ in line.points)
    values = [value for line in lines for _, value in line.points]
    if measure == "loss":
        return curves_html(CURVE_TITLES[measure], lines, passes, 0, min(MAX_LOSS, max(values)), is_share=False)
    return curves_html(
        CURVE_TITLES[measure], lines, passes, max(0.0, float(np.floor(min(0.98, *values) * 50) / 50)), 1, True
    )


def curves_html(
    title: str, curves: Sequence[Curve], passes: float, lowest: float, highest: float, is_share: bool
) -> str:
    """Curves over the passes of a training, as an SVG image; the legend names each with its last value."""
    span = max(highest - lowest, 1e-9)

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * at / max(passes, 1e-9)

    def y(value: float) -> float:
        near = min(max(value, lowest - 9 * span), highest + 9 * span)  # stays finite for an infinite value
        return 8 + (HEIGHT - BOTTOM - 8) * (1 - (near - lowest) / span)

    grid = ""
    for step in range(5):
        value = lowest + span * step / 4
        said = f"{value * 100:.3g}%" if is_share else f"{value:.2g}"
        at = f"{y(value):.1f}"
        grid += (
            f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{at}" y2="{at}" stroke="{TRAINING}" stroke-opacity="0.3"></line>'
            f'<text x="{LEFT - 6}" y="{y(value) + 3.5:.1f}" text-anchor="end">{said}</text>'
        )
    lines = names = ""
    for curve in curves:
        if not curve.points:
            continue
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in curve.points)
        dash = ' stroke-dasharray="5 4"' if curve.dashed else ""
        lines += f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="2"{dash}></polyline>'
        if len(curve.points) < 30:
            lines += "".join(
                f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="2.5" fill="{curve.colour}"></circle>'
                for at, value in curve.points
            )
        names += (
            f'<span><i style="border-top:2px {"dashed" if curve.dashed else "solid"} {curve.colour}"></i>'
            f"<bdi>{html.escape(curve.name)}</bdi> <b>{_value(curve.points[-1][1], is_share)}</b></span>"
        )
    over = f"{passes:.3g} {'pass' if passes == 1 else 'passes'} over the digits"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="10"><style>{TEXT}</style>{grid}'
        f'<clipPath id="axes"><rect x="{LEFT - 3}" y="5" width="{WIDTH - LEFT}" height="{HEIGHT - BOTTOM}"></rect>'
        f'</clipPath><g clip-path="url(#axes)">{lines}</g>'  # clips curves that leave the axes
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 6}" text-anchor="end">{over}</text></svg>'
    )
    url = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"  # Streamlit removes inline SVG
    said = "; ".join(f"{curve.name} {_value(curve.points[-1][1], is_share)}" for curve in curves if curve.points)
    return (
        f'<figure class="training-curve"><figcaption><b>{html.escape(title)}</b> {names}</figcaption>'
        f'<img src="{url}" alt="{html.escape(title)}, latest values: {html.escape(said)}"></figure>'
    )


def counts_html(counts: NDArray[np.int64], caption: str) -> str:
    """A confusion matrix without buttons, or the difference of two; mistakes stand out, right answers are faded."""
    mistakes = counts * (1 - np.eye(len(counts), dtype=np.int64))
    depths = np.sqrt(np.maximum(mistakes, 0)) / max(float(np.sqrt(max(mistakes.max(), 0))), 1e-9)
    heads = "".join(f'<th scope="col">{digit}</th>' for digit in range(len(counts)))
    body = ""
    for label, row in enumerate(counts.tolist()):
        cells = "".join(
            f'<td class="{"right" if label == read else "mistake" if count > 0 else "none"}" '
            f'style="--depth:{depths[label, read]:.3f}">{count or "·"}</td>'
            for read, count in enumerate(row)
        )
        body += f'<tr><th scope="row">{label}</th>{cells}</tr>'
    return (
        f'<table class="confusion still"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def readings_html(moments: Sequence[tuple[float, Prediction]], chosen: float) -> str:
    """What a network read in one picture at successive moments of its training."""
    cells = "".join(
        f'<li class="{"read" if passes == chosen else ""}"><b>{read.digit}</b>'
        f'<span class="sure">{percent(read.confidence)}</span><span class="when">{passes:.4g}</span></li>'
        for passes, read in moments
    )
    return f'<ol class="readings" aria-label="What it read after each number of passes">{cells}</ol>'


def comparison_html(heads: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A table of texts, with a column for each thing compared and a row for each figure."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in heads)
    body = ""
    for name, values in rows.items():
        cells = "".join(f"<td>{html.escape(value)}</td>" for value in values)
        body += f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>'
    return f'<table class="compared"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'
