"""The Models page: what is known about each model, which one is used, and how they differ."""

import logging
from collections.abc import Callable
from functools import partial
from html import unescape
from itertools import combinations

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mnist_app.data.dataset import find_source
from mnist_app.errors import AppError
from mnist_app.explore.explorer import Readings
from mnist_app.models.exchange import from_zip, to_onnx, to_zip
from mnist_app.models.registry import ModelCard, find_model, load_card, model_folders
from mnist_app.models.shelf import (
    LONGEST_NOTE,
    LONGEST_TITLE,
    Label,
    Shelf,
    delete_model,
    is_shipped,
    label,
    make_default,
    read_shelf,
    restorable,
    restore_model,
)
from mnist_app.training.teach import BEFORE, MEASURED
from mnist_app.training.twins import UNSEEN
from mnist_app.web import session, shared
from mnist_app.web.answer import percent
from mnist_app.web.charts import COMPARED, CURVE_TITLES, Curve, comparison_html, counts_html, training_curve_html
from mnist_app.web.exports import made_on_press, say_failed
from mnist_app.web.gallery import image_sheet
from mnist_app.web.notice import plain, problem_notice
from mnist_app.web.own_digit import own_digit
from mnist_app.web.pictures import png_url
from mnist_app.web.sign_in import access_notice
from mnist_app.web.terms import terms
from mnist_app.web.waiting import wait_for

STRANGERS = "ink" + UNSEEN  # the mean over the collections, each read by a twin that has not learned from it
SPLITS = {"validation": "5,000 validation digits", "test": "10,000 test digits", STRANGERS: "strangers' pen strokes"}
CURVED = {"validation": "validation", "train": "training"}
MAX_COMPARED = len(COMPARED)
PATIENCE = 0.7  # seconds that the page waits for a result before it shows a progress bar
MAX_PICTURES = 40  # shown, of those that one model reads right and another wrong


def page() -> None:
    st.title("Models", anchor=False)
    terms("calibration")
    shelf, using = read_shelf(), session.using()
    names = list(model_folders())
    with st.container():  # its content varies; this keeps what follows in place, and what is open there open
        _say()
        access_notice()
        _deleted(shelf)
    _default(shelf, using)
    st.header("All models", anchor=False)
    for name in names:
        _model(name, shelf, using)
    if session.is_teacher():
        _import()
    if len(names) > 1:
        _compare(names, shelf)


def _say() -> None:
    """Say what the last press did: here, and as a toast, as the button may be far below."""
    if problem := st.session_state.pop("models_problem", None):
        problem_notice(problem)
        st.toast(plain(problem), icon=":material/error:", duration="long")
    say_failed()
    if said := st.session_state.pop("models_said", None):
        st.toast(plain(said), icon=":material/check:", duration="long")


def _deleted(shelf: Shelf) -> None:
    """Offer to restore deleted models."""
    for name in restorable() if session.is_teacher() else ():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/delete: **{plain(shelf.title(name))}** was deleted.", width="stretch")
            st.button("Undo", key=f"undo_{name}", on_click=_do, args=(restore_model, name))


def who_uses_what(shelf: Shelf, using: str) -> str:
    """Which model everybody starts with, and which one this visitor uses if it is another one, as Markdown."""
    words = f"Everybody starts with **{plain(shelf.title(shelf.default))}**."
    return words if using == shelf.default else f"{words} You use **{plain(shelf.title(using))}**."


def _default(shelf: Shelf, using: str) -> None:
    """Say which model everybody starts with, and offer to go back to an earlier one."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(who_uses_what(shelf, using), width="stretch")
        if using != shelf.default:
            st.button("Use the default", key="back_to_default", on_click=_use, args=(shelf.default,))
        if shelf.earlier_defaults and session.is_teacher():
            with st.popover("Go back to an earlier default", icon=":material/history:"):
                for name in shelf.earlier_defaults:
                    st.button(plain(shelf.title(name)), key=f"back_{name}", on_click=_do, args=(make_default, name))


def _model(name: str, shelf: Shelf, using: str) -> None:
    marks = [
        words
        for words, holds in (
            ("you use it", name == using),
            ("everybody's default", name == shelf.default),
            ("came with the app", is_shipped(name)),
        )
        if holds
    ]
    with st.container(border=True, key=f"model_{name}"):
        st.subheader(plain(shelf.title(name)), anchor=False)
        st.caption(" · ".join([plain(name), *marks]))
        if note := shelf.labels.get(name, Label()).note:
            st.text(note)
        try:
            _show(load_card(find_model(name)))
        except AppError as error:
            problem_notice(str(error))
        except Exception:  # a bad card must not hide the other models, or Delete
            logging.getLogger(__name__).exception("The model %s cannot be shown", name)
            problem_notice("This model cannot be shown. The server's log says why.")
        _actions(name, shelf, using)


def _show(card: ModelCard) -> None:
    st.write(plain(card.summary) + (" Drawings are also read by a network that follows the pen." if card.pen else ""))
    collections = [name for name in card.metrics if name.endswith(UNSEEN) and name != STRANGERS]
    with st.container(horizontal=True, gap="large"):
        for split in card.metrics:
            if split not in collections:
                st.metric(f"read right of {SPLITS.get(split) or plain(split)}", _share(card, split), width="content")
        st.metric("parameters", f"{card.parameters:,}", width="content")
        if card.pen:
            st.metric("parameters of the pen network", f"{card.pen.parameters:,}", width="content")
    if collections:
        each = ", ".join(f"{plain(name.removesuffix(UNSEEN))} {_share(card, name)}" for name in collections)
        st.caption(f"Strangers' pen strokes: the mean of {each}.")
    parent = f" It started as a copy of {plain(card.parent)}." if card.parent else ""
    seed = f" Seed {plain(str(card.config['seed']))}." if "seed" in card.config else ""
    pen = ""
    if card.pen:
        learned = "was taught" if card.parent else "learned"
        pen = f" The pen network {learned} in {_took(card.pen.seconds)}, on {plain(card.pen.machine)}."
    st.caption(
        f"Learned from {plain(card.data)}, in {_took(card.seconds)} on {plain(card.machine)}.{seed}{parent}{pen}"
    )
    with st.expander("How to make it again"):
        if card.curves:
            _curves({"": card})
        st.code(card.command, language="bash")
        st.json(dict(card.config), expanded=False)
        if card.pen:
            if card.pen.command != card.command:  # a lesson teaches both networks by one command
                st.code(card.pen.command, language="bash")
            st.json(dict(card.pen.config), expanded=False)
    if lesson := _lesson(card):
        st.caption(lesson)


def _took(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def _lesson(card: ModelCard) -> str:
    """What a lesson cost or gained, for a teacher about to make a taught model the default; else empty."""
    measured = card.metrics.get("test", {})
    if not card.parent or BEFORE not in measured:
        return ""
    return (
        f"After the lesson {measured['accuracy']:.2%} of the test digits are read right; before it, "
        f"{measured[BEFORE]:.2%} by {plain(card.parent)}."
    )


def _actions(name: str, shelf: Shelf, using: str) -> None:
    is_default, why_not = name == shelf.default, session.why_not()
    with st.container(horizontal=True):
        st.button(
            "Use for me",
            icon=":material/person:",
            key=f"use_{name}",
            disabled=name == using,
            on_click=_use,
            args=(name,),
        )
        st.button(
            "Make default for everyone",
            icon=":material/groups:",
            key=f"default_{name}",
            disabled=is_default or why_not is not None,
            help=why_not,
            on_click=_do,
            args=(make_default, name),
        )
        if session.is_teacher():
            with st.popover("Name and note", icon=":material/edit:", key=f"edit_{name}"):
                known = shelf.labels.get(name, Label())
                with st.form(f"label_{name}", border=False):
                    st.text_input("Title", known.title, LONGEST_TITLE, key=f"title_{name}", placeholder=name)
                    st.text_area("Note", known.note, max_chars=LONGEST_NOTE, key=f"note_{name}")
                    st.form_submit_button("Keep", on_click=_relabel, args=(name,))
        with st.popover("Export", icon=":material/download:", key=f"export_{name}"):
            st.download_button(
                "Weights and card (ZIP with safetensors)",
                made_on_press(name, partial(to_zip, name)),
                f"{name}.zip",
                "application/zip",
                key=f"zip_{name}",
                on_click="ignore",
            )
            st.download_button(
                "ONNX of the image network, checked against PyTorch to 0.0001",
                made_on_press(name, partial(to_onnx, name)),
                f"{name}.onnx",
                "application/octet-stream",
                key=f"onnx_{name}",
                on_click="ignore",
            )
        if not is_shipped(name) and not is_default and session.is_teacher():
            st.button("Delete", icon=":material/delete:", key=f"delete_{name}", on_click=_delete, args=(name,))


def _use(name: str) -> None:
    try:
        session.use(name)
    except AppError as error:
        st.session_state["models_problem"] = str(error)


def _do(action: Callable[[str], None], name: str) -> None:
    """Carry out what was pressed, or note why that failed."""
    try:
        session.require_teacher()
        action(name)
    except AppError as error:
        st.session_state["models_problem"] = str(error)


def _delete(name: str) -> None:
    title = read_shelf().title(name)
    _do(delete_model, name)
    if name in restorable():
        st.session_state["models_said"] = f"Deleted: {title}. Undo is at the top of Models."


def _relabel(name: str) -> None:
    try:
        session.require_teacher()
        label(name, st.session_state[f"title_{name}"], st.session_state[f"note_{name}"])
    except AppError as error:
        st.session_state["models_problem"] = str(error)


def _import() -> None:
    with st.expander("Import a model", icon=":material/upload:"):
        with st.form("import", clear_on_submit=True, border=False):
            st.file_uploader("A ZIP file with a model, as exported here", "zip", key="import")
            st.form_submit_button("Import", on_click=_take_in)
        st.caption("It is read as numbers and text only: no code in it is run. Titles and notes are not included.")


def _take_in() -> None:
    try:
        session.require_teacher()
        upload: UploadedFile | None = st.session_state["import"]
        if upload is None:
            st.session_state["models_problem"] = "Choose a file first."
            return
        name = from_zip(upload.getvalue(), shared.reserved_names())
        st.session_state["models_said"] = f"Imported as {name}."
    except AppError as error:
        st.session_state["models_problem"] = str(error)


# Comparing


def _compare(names: list[str], shelf: Shelf) -> None:
    st.header("Compare", anchor=False)
    chosen = st.multiselect(
        "Two or more models, side by side",
        names,
        default=None,
        format_func=shelf.title,
        max_selections=MAX_COMPARED,
        key="compared",
        persist_state="session",
        placeholder="Choose models",
    )
    if len(chosen) < 2:
        return
    try:
        cards = {name: load_card(find_model(name)) for name in chosen}
    except AppError as error:
        problem_notice(str(error))
        return
    st.html(_table_html(cards, shelf))
    _curves({shelf.title(name): card for name, card in cards.items()})
    _own_drawing(chosen, shelf)
    _differences(*_pair(chosen, shelf), shelf)


def _table_html(cards: dict[str, ModelCard], shelf: Shelf) -> str:
    rows = {
        **{name: [_share(card, split) for card in cards.values()] for split, name in SPLITS.items()},
        "parameters": [f"{card.parameters:,}" for card in cards.values()],
        "parameters, pen network": [f"{card.pen.parameters:,}" if card.pen else "" for card in cards.values()],
        "seconds of training": [f"{card.seconds:,.0f}" for card in cards.values()],
        "network": [card.architecture for card in cards.values()],
        "epochs": [str(card.config.get("epochs", "")) for card in cards.values()],
        "seed": [str(card.config.get("seed", "")) for card in cards.values()],
    }
    return comparison_html([shelf.title(name) for name in cards], rows)


def _share(card: ModelCard, split: str) -> str:
    return f"{card.metrics[split]['accuracy']:.2%}" if split in card.metrics else ""


def _curves(cards: dict[str, ModelCard]) -> None:
    """Show how the models learned, one chart per measure, and say which of them have no curves."""
    silent = [plain(title) for title, card in cards.items() if not card.curves]
    if len(silent) < len(cards):
        for column, measure in zip(st.columns(2), CURVE_TITLES, strict=True):
            column.html(_curves_html(cards, measure))
    if silent:
        st.caption(f"For {' and '.join(silent)} no curves were kept.")
    if taught := [plain(title) for title, card in cards.items() if card.parent and card.curves]:
        whose = f"For {' and '.join(taught)} the" if any(taught) else "The"
        st.caption(
            f"{whose} curves show the whole lesson, on {MEASURED:,} of the validation digits. The figures are those of "
            "the model that was kept."
        )


def _curves_html(cards: dict[str, ModelCard], measure: str) -> str:
    """Accuracy or loss over the passes, a colour per model: validation solid, training dashed."""
    lines = [
        Curve(
            f"{title}, {digits}" if title else digits,
            [(report["passes"], report[f"{split}_{measure}"]) for report in card.curves],
            colour,
            dashed=split == "train",
        )
        for (title, card), colour in zip(cards.items(), COMPARED, strict=False)
        for split, digits in CURVED.items()
        if card.curves
    ]
    return training_curve_html(measure, lines)


def _own_drawing(chosen: list[str], shelf: Shelf) -> None:
    drawn = own_digit()
    if drawn is None:
        st.caption("Draw something on the Draw page to see here what each of them reads.")
        return
    rows: dict[str, list[str]] = {"reads your drawing as": [], "sure": []}
    try:
        for name in chosen:
            read = shared.read_by(name, drawn)
            rows["reads your drawing as"].append(str(read.digit) if read.is_digit else "no digit")
            rows["sure"].append(unescape(percent(read.sureness)))
    except AppError as error:
        problem_notice(str(error))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(f'<img class="watched" src="{png_url(drawn.pixels)}" alt="Your drawing">', width="content")
        st.html(comparison_html([shelf.title(name) for name in chosen], rows), width="stretch")


def _pair(chosen: list[str], shelf: Shelf) -> tuple[str, str]:
    """The two models whose differences are shown; with more than two, the visitor chooses."""
    pairs = list(combinations(chosen, 2))
    if len(pairs) == 1:
        return pairs[0]
    return st.selectbox(
        "How do they differ?",
        pairs,
        format_func=lambda pair: " and ".join(map(shelf.title, pair)),
        key="parted",
        persist_state="session",
    )


def _differences(first: str, second: str, shelf: Shelf) -> None:
    """Show how the mistakes of two models differ, and the digits that only one of them reads right."""
    split = find_source().splits[-1]
    titles = shelf.title(first), shelf.title(second)
    explored = []
    try:
        works = [shared.exploring(name, split) for name in (first, second)]  # both start before either is waited for
    except AppError as error:
        problem_notice(str(error))
        return
    for name, title, work in zip((first, second), titles, works, strict=True):
        found = work.result(PATIENCE)
        if found is None:
            doing = f"{plain(title)} is reading the {split} split, once for everybody"
            wait_for(work, doing, partial(shared.exploring, name, split))
            return
        explored.append(found)
    before, after = explored
    one, other = before.readings, after.readings
    st.subheader(f"{plain(titles[0])} and {plain(titles[1])} on the {split} digits", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        st.html(
            counts_html(
                after.evaluation.confusion - before.evaluation.confusion,
                f"How much more often (with a minus: less often) {titles[1]} gives an answer than {titles[0]}.",
            )
        )
    with right:
        _parted(titles[0], titles[1], one.right & ~other.right, other)
        _parted(titles[1], titles[0], other.right & ~one.right, one)


def _parted(better: str, worse: str, parted: NDArray[np.bool_], misread: Readings) -> None:
    """Show the pictures that one model reads right and the other misreads, with its misreadings."""
    at = np.flatnonzero(parted)
    st.caption(f"{len(at):,} that {plain(better)} reads right and {plain(worse)} misreads:")
    if len(at):
        shown = at[:MAX_PICTURES]
        images, labels = misread.digits.images[shown], misread.digits.labels[shown]
        read = misread.predictions.read[shown]
        said = ", ".join(f"{label} as {digit}" for label, digit in zip(labels, read, strict=True))
        st.html(f'<img class="parted" src="{png_url(image_sheet(images))}" alt="{said}" title="{said}">')
