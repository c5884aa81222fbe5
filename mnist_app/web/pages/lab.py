"""The Lab page: every kind of model that people meet with MNIST, side by side."""

import html
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mnist_app.errors import AppError
from mnist_app.explore.explorer import Filters
from mnist_app.lab.contender import COMPRESSED, OWN
from mnist_app.lab.effects import EffectResult
from mnist_app.lab.figures import TOLERANCE, Figures, missing, problems, table
from mnist_app.lab.studies import effects, transfer
from mnist_app.lab.transfer import Direction
from mnist_app.models.registry import lab_models
from mnist_app.reading.recognition import Prediction
from mnist_app.web import session, shared
from mnist_app.web.answer import percent
from mnist_app.web.basics import basics
from mnist_app.web.charts import (
    CURVE_TITLES,
    TRAINING,
    VALIDATION,
    Curve,
    comparison_html,
    counts_html,
    curves_html,
    training_curve_html,
)
from mnist_app.web.notice import plain, problem_notice
from mnist_app.web.own_digit import own_digit
from mnist_app.web.pictures import png_url
from mnist_app.web.terms import terms
from mnist_app.web.tradeoff import COSTS, GAINS, Axis, shares_over_samples, tradeoff

COMMAND = "python -m mnist_app lab --models {}"
WHOLE = "mnist-cnn"  # the model that the compressed ones were made from
HIGHEST_LOSS = 1.0  # nats; a run that diverges leaves the chart instead of flattening the others


def page() -> None:
    st.title("The lab", anchor=False)
    found = table()
    parts: dict[str, Callable[[], None]] = {
        "Compare": lambda: _compare(found),
        "Read my drawing": lambda: _own_drawing(found),
        "One knob at a time": lambda: _effects(effects()),
        "Made smaller": lambda: _smaller(found),
        "Learning from few": lambda: _transfer(transfer()),
        "From pixels to numbers": basics,
    }
    chosen = st.segmented_control(
        "Look at",
        list(parts),
        default="Compare",
        required=True,
        key="lab_part",
        persist_state="session",
        label_visibility="collapsed",
    )
    parts[chosen or "Compare"]()


def _nothing() -> None:
    st.info("Nothing has been measured yet. To start, run `python -m mnist_app lab`.", icon=":material/info:")


# Compare


def _compare(found: Sequence[Figures]) -> None:
    if not found:
        _nothing()
        return
    st.write(
        f"{len(found)} models learned from the same digits and were measured by the same code. The test digits are "
        "MNIST's 10,000. A model that has learned from pen strokes has no figure for pen strokes."
    )
    terms("validation", "calibration", "precision and recall")
    chosen = _table(found)
    if chosen:
        _model(chosen)
    _costs(found)


def _table(found: Sequence[Figures]) -> Figures | None:
    """Show all models, best first, sortable by any column. Returns the one whose row was picked."""
    rows = sorted(found, key=lambda figures: -figures.accuracy)
    share = st.column_config.NumberColumn
    event = st.dataframe(
        {
            "Model": [figures.title for figures in rows],
            "Kind": [figures.family for figures in rows],
            "Test": [100 * figures.accuracy for figures in rows],
            "Expected": [figures.expected and 100 * figures.expected.accuracy for figures in rows],
            "Pen strokes": [_percent(figures.ink) for figures in rows],
            "Precision": [100 * figures.precision for figures in rows],
            "Recall": [100 * figures.recall for figures in rows],
            "F1": [100 * figures.f1 for figures in rows],
            "Calibration error": [_percent(figures.calibration_error) for figures in rows],
            "Calibrated": [100 * figures.calibrated_error for figures in rows],
            "Parameters": [figures.parameters for figures in rows],
            "kB": [figures.bytes / 1000 for figures in rows],
            "kB, compressed": [figures.zipped / 1000 for figures in rows],
            "ms": [figures.latency.median for figures in rows],
            "ms, p95": [figures.latency.p95 for figures in rows],
            "Own library, ms": [figures.own and figures.own.median for figures in rows],
            "Pictures a second": [figures.throughput for figures in rows],
            "Learned in s": [figures.seconds for figures in rows],
            "Memory, MB": [figures.memory for figures in rows],
        },
        hide_index=True,
        placeholder="–",
        on_select="rerun",
        selection_mode="single-row",
        key="lab_table",
        alt="All models of the lab with their figures",
        column_config={
            "Model": st.column_config.TextColumn(pinned=True),
            "Test": share(format="%.2f%%", help="Test digits read right"),
            "Expected": share(format="%.2f%%", help="Test digits read right according to the literature"),
            "Pen strokes": share(format="%.2f%%", help="Real drawings read right: the mean over all collections"),
            "Precision": share(format="%.2f%%", help="The mean over the ten digits; recall and F1 likewise"),
            "Recall": share(format="%.2f%%"),
            "F1": share(format="%.2f%%"),
            "Calibration error": share(
                format="%.2f%%", help="How far confidence is from accuracy, uncalibrated; empty if it gives scores"
            ),
            "Calibrated": share(format="%.2f%%", help="The same, with a temperature chosen on validation digits"),
            "Parameters": st.column_config.NumberColumn(format="localized", help="Numbers learned or stored"),
            "kB": st.column_config.NumberColumn(format="%.0f", help="Size as ONNX"),
            "kB, compressed": st.column_config.NumberColumn(
                format="%.0f", help="Size of the file, which is compressed without loss"
            ),
            "ms": st.column_config.NumberColumn(format="%.2f", help="One picture, by ONNX Runtime on one thread"),
            "ms, p95": st.column_config.NumberColumn(format="%.2f", help="One in twenty takes this long or longer"),
            "Own library, ms": st.column_config.NumberColumn(
                format="%.2f", help="One picture, by the library that it learned with: PyTorch or scikit-learn"
            ),
            "Pictures a second": st.column_config.NumberColumn(format="%.0f", help="With a hundred pictures at once"),
            "Learned in s": st.column_config.NumberColumn(
                format="%.0f",
                help="Processor time on one thread, with the models it was made from; clock time for this app's own",
            ),
            "Memory, MB": st.column_config.NumberColumn(format="%.0f", help="Peak of the process that trained it"),
        },
    )
    machines = " and ".join(sorted({figures.machine for figures in rows if figures.family != OWN}))
    st.caption(
        "Press a column's head to sort. Pick a row to see how a model learned and what it gets wrong. "
        f"Timed on {plain(machines)}."
    )
    short = ", ".join(figures.title for figures in rows if figures.falls_short)
    if short:
        st.caption(
            f"More than {100 * TOLERANCE:.1f} points below the accuracy that the literature suggests: {plain(short)}."
        )
    for name, problem in problems().items():
        problem_notice(f"{name} is missing. {problem}")
    for name in missing():
        st.caption(f"{plain(name)} is missing. To measure it: `{COMMAND.format(name)}`")
    at = event["selection"]["rows"]
    return rows[at[0]] if at and at[0] < len(rows) else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


# One model


def _model(found: Figures) -> None:
    """Show what is known about the model picked, with a link to its mistakes."""
    with st.container(border=True, key="lab_model"):
        st.header(plain(found.title), anchor=False)
        st.write(plain(found.idea))
        if found.expected:
            why = f": {found.expected.excuse}" if found.expected.excuse else "."
            short = f" Ours falls short of that{why}" if found.falls_short else ""
            st.caption(plain(f"Expected: {found.expected.accuracy:.2%} ({found.expected.source}).{short}"))
        curves, confusion = st.columns(2, gap="large")
        with curves:
            if found.curves:
                for measure in CURVE_TITLES:
                    st.html(training_curve_html(measure, _curves_of(found.curves, measure)))
                if found.curves[-1]["train_loss"] > found.curves[-1]["validation_loss"]:
                    st.caption(
                        "The loss is higher in training than on validation digits, because training is made harder on "
                        "purpose: by changed digits, smoothed labels or dropout."
                    )
            elif found.family == OWN:
                st.caption("The curves of its training were not kept.")
            else:
                st.caption("It did not learn step by step, so there are no curves.")
            if found.ink_collections:
                each = ", ".join(f"{plain(name)} {accuracy:.1%}" for name, accuracy in found.ink_collections.items())
                st.caption(f"Real pen strokes, by collection: {each}.")
            with st.expander("How it was made"):
                st.code(found.recipe, language=None)
                st.code(COMMAND.format(found.name), language="bash")
        with confusion:
            wrong = sum(map(sum, found.confusion)) - sum(row[at] for at, row in enumerate(found.confusion))
            st.html(counts_html(np.array(found.confusion), f"What it reads in the test digits; {wrong:,} are misread."))
            if found.family == OWN or found.name in lab_models():
                if st.button("Its mistakes in Explore", icon=":material/search:", key="lab_mistakes"):
                    view = replace(session.usual_view(), model=found.name, filters=Filters(verdict="wrong"))
                    session.set_view(view)
                    session.go_to("Explore")
            else:
                st.caption(f"Too large to come with the app. To look at its mistakes: `{COMMAND.format(found.name)}`")


def _curves_of(reports: Sequence[Mapping[str, float]], measure: str) -> list[Curve]:
    """The curves of one measure during a training: on validation, and on the training digits."""
    return [
        Curve("validation", [(each["passes"], each[f"validation_{measure}"]) for each in reports], VALIDATION),
        Curve("training", [(each["passes"], each[f"train_{measure}"]) for each in reports], TRAINING, True),
    ]


def _axis(label: str, measures: Mapping[str, Axis], usual: str, key: str) -> Axis:
    """Let the visitor choose what an axis shows."""
    chosen = st.segmented_control(
        label,
        list(measures),
        format_func=lambda name: measures[name].words,
        default=usual,
        required=True,
        key=key,
        persist_state="session",
    )
    return measures[chosen or usual]


@st.fragment
def _costs(found: Sequence[Figures]) -> None:
    st.header("What accuracy costs", anchor=False)
    cost = _axis("Across", COSTS, "bytes", "lab_cost")
    gain = _axis("Upwards", GAINS, "test", "lab_gain")
    st.plotly_chart(
        tradeoff(found, cost, gain),
        key="lab_tradeoff",
        config={"displayModeBar": False},
        alt="Each model by what it costs and what it reads right",
    )
    st.caption(
        "The further up and to the left, the better. Both axes are logarithmic: 99% and 99.9% are as far apart as 90% "
        "and 99%. For a model on the dotted line, no cheaper one is as good."
    )


# The visitor's own drawing


def _own_drawing(found: Sequence[Figures]) -> None:
    """Show what every model reads in the drawing on the pad."""
    if not found:
        _nothing()
        return
    drawn = own_digit()
    if drawn is None:
        st.caption("There is nothing on the pad yet.")
        if st.button("Draw something", icon=":material/draw:", key="lab_draw"):
            session.go_to("Draw")
        return
    there = lab_models()
    able = [each for each in found if each.family == OWN or each.name in there]
    reads = []
    with st.spinner("All models are reading it"):
        for each in able:
            try:
                reads.append((each.title, shared.read_by(each.name, drawn)))
            except AppError as error:  # the other models can still answer
                problem_notice(str(error))
    if reads:
        st.html(_answers_html(drawn.pixels, reads))
    missing = [each.title for each in found if each not in able]
    if missing:
        st.caption(
            f"Too large to come with the app: {plain(', '.join(missing))}. To make them, run `python -m mnist_app lab`."
        )


def _answers_html(pixels: NDArray[np.uint8], reads: Sequence[tuple[str, Prediction]]) -> str:
    """What is on the pad, and what each model reads in it; those that differ from most are marked."""
    said = [str(read.digit) if read.is_digit else "?" for _, read in reads]
    [(usual, count)] = Counter(said).most_common(1)
    tiles = "".join(
        f'<li class="{"" if what == usual else "odd"}"><b>{what}</b>'
        f'<span class="sure">{percent(read.sureness)}</span><span class="who">{html.escape(title)}</span></li>'
        for what, (title, read) in zip(said, reads, strict=True)
    )
    what, others = "no digit in it" if usual == "?" else usual, len(reads) - count
    agreed = f"{count} read {what}, {others} {'does' if others == 1 else 'do'} not." if others else f"All read {what}."
    return (
        f'<img class="watched" src="{png_url(pixels)}" alt="Your drawing"><p class="sentence">{agreed}</p>'
        f'<ol class="readings answers" aria-label="What each reads">{tiles}</ol>'
    )


# Made smaller


def _smaller(found: Sequence[Figures]) -> None:
    """Show what a quicker library, fewer bits and fewer weights cost and save for one network."""
    whole = next((each for each in found if each.name == WHOLE and each.own), None)
    smaller = [each for each in found if each.family == COMPRESSED]
    if whole is None or not smaller:
        st.caption(f"Not measured yet. Run `{COMMAND.format(WHOLE)} …`")
        return
    assert whole.own
    st.write(
        "The same network in other forms. ONNX Runtime computes the same as PyTorch, only faster. With eight bits per "
        "number instead of 32 the file shrinks to a quarter. Most weights can go if the rest may learn a little more: "
        "zeros take no room in the compressed file, but they are still multiplied, so they save no time."
    )
    slow = whole.own.median
    ways = {
        f"{whole.title}, by PyTorch": (whole.accuracy, whole.zipped, slow),
        f"{whole.title}, by ONNX Runtime": (whole.accuracy, whole.zipped, whole.latency.median),
        **{each.title: (each.accuracy, each.zipped, each.latency.median) for each in smaller},
    }
    heads = ("test digits", "points lost", "kB, compressed", "smaller by", "µs a drawing", "faster by")
    rows = {
        title: (
            f"{accuracy:.2%}",
            f"{100 * (whole.accuracy - accuracy):.2f}",
            f"{size / 1000:.0f}",
            f"{1 - size / whole.zipped:.0%}",
            f"{1000 * time:.0f}",
            f"{1 - time / slow:.0%}",
        )
        for title, (accuracy, size, time) in ways.items()
    }
    st.html(comparison_html(heads, rows))


# Studies


def _effects(seen: Sequence[EffectResult]) -> None:
    """Show small multiples: a row for each knob, a chart for each setting, all on the same scale."""
    if not seen:
        st.caption(f"Not measured yet. Run `{COMMAND.format('effects')}`")
        return
    st.write(
        "A small network sees only 2,000 digits, thirty times each, so that overfitting can be seen as it happens: "
        "the training loss goes on falling, while the loss on validation digits stops falling, or rises again."
    )
    for effect in seen:
        st.markdown(f"**{plain(effect.title)}.** {plain(effect.what)}")
        for column, run in zip(st.columns(max(3, len(effect.runs))), effect.runs, strict=False):  # two stay narrow
            last = run.curves[-1]
            lines = _curves_of(run.curves, "loss")
            with column:
                st.html(curves_html(f"Loss, {run.setting}", lines, last["passes"], 0, HIGHEST_LOSS, is_share=False))
                st.caption(f"In the end, it reads {last['validation_accuracy']:.2%} of the validation digits right.")


def _transfer(directions: Sequence[Direction]) -> None:
    """Show accuracy over the number of samples, with and without earlier knowledge."""
    if not directions:
        st.caption(f"Not measured yet. Run `{COMMAND.format('transfer')} --ink FOLDER`")
        return
    st.write(
        "One network already knows one kind of digits, another starts from nothing. Both learn a new kind from a few "
        "samples. Earlier knowledge helps most when there is little to learn from."
    )
    for column, direction in zip(st.columns(len(directions), gap="large"), directions, strict=True):
        first = f"{direction.before[0].upper()}{direction.before[1:]}"
        column.markdown(f"**{plain(first)} first, then {plain(direction.after)}**")
        column.plotly_chart(
            shares_over_samples(direction),
            key=f"lab_transfer_{direction.after}",
            config={"displayModeBar": False},
            alt=f"Accuracy on {direction.after} over the number of samples",
        )
        column.caption(
            f"Without any sample of {plain(direction.after)}, {direction.untaught:.1%} are read right. Measured on "
            f"{direction.measured:,} that no network learned from; the mean of {len(direction.points[0].knowing)} runs."
        )
