"""The Explore page: browse the digits and everything a model gets wrong, as numbers, a map and pictures."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import streamlit as st

from mnist_app.data.dataset import CLASSES, find_source
from mnist_app.errors import AppError
from mnist_app.explore.explorer import (
    LEANS,
    ORDERS,
    PANELS,
    PER_PAGE,
    STROKES,
    Area,
    Filters,
    Order,
    Readings,
    View,
    to_csv,
    whole,
)
from mnist_app.explore.neighbours import Neighbours, nearest
from mnist_app.explore.projection import METHODS, Layout, Places, pca, place
from mnist_app.ink.preprocessing import prepare_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import find_model, load_card, model_folders
from mnist_app.models.shelf import read_shelf
from mnist_app.reading.number import read_drawing, read_picture
from mnist_app.web import session, shared
from mnist_app.web.answer import percent
from mnist_app.web.charts import ANY, confusion_html, scores_html
from mnist_app.web.digit_map import Drawn, digit_map
from mnist_app.web.gallery import (
    certainty_sentence,
    described_html,
    gallery_html,
    neighbours_html,
    picture_html,
    sheet_png,
)
from mnist_app.web.notice import noticing, plain, problem_notice
from mnist_app.web.picks import picks
from mnist_app.web.pictures import png_url
from mnist_app.web.terms import terms
from mnist_app.web.waiting import wait_for
from mnist_app.web.why import why

PATIENCE = 0.7  # seconds that the page waits for a result before it shows a progress bar
PICTURE, DESCRIBED = "section.picture", ".described"  # CSS selectors: the open picture, the heading of the gallery


def page() -> None:
    st.title("Explore", anchor=False)
    view, refused = session.view_from_address()
    if refused:
        problem_notice(f"Part of the address makes no sense ({', '.join(refused)}) and was ignored.")
    view = _present(view)
    session.write_address(view)
    _choose(view)
    try:
        work = shared.exploring(view.model, view.split)
        explored = work.result(PATIENCE)
    except AppError as error:
        problem_notice(str(error))
        return
    if explored is None:
        wait_for(work, _reads(view, view.split), partial(shared.exploring, view.model, view.split))
        return
    if explored.problem:
        problem_notice(explored.problem)
    readings = explored.readings
    if view.opened is not None and view.opened >= len(readings):
        st.info(f"This split has {len(readings):,} pictures, and none with that number.", icon=":material/info:")
        view = replace(view, opened=None, panel="numbers")
        session.write_address(view)
    area = view.filters.area
    places = shared.places(view.model, readings, area.method) if area else None
    if area and places is None:
        st.info("The area was marked on a map that is not here, so it was ignored.", icon=":material/info:")
        view = view.where(area=None)
        session.write_address(view)
    chosen = view.chosen(readings, places)
    view = replace(view, page=min(view.page, max(1, -(-len(chosen) // PER_PAGE))))
    session.write_address(view)
    st.html(_summary(view, readings))
    left, right = st.columns([5, 7], gap="large")
    with right:
        filters = st.container()
        _describe(view, readings, chosen)  # first, because the visitor waits for the pictures
        _gallery(view, readings, chosen)
        if len(chosen):
            _downloads(view, readings, chosen)
    with left:
        panel = _panels(view)
        if panel == "picture" and view.opened is not None:
            _picture(view, readings, chosen, view.opened)
        elif panel == "map":
            _map(view, readings)
        else:
            _numbers(view, explored)
    with filters:
        _filters(view)


def _present(view: View) -> View:
    """The view, moved to a split that is here if need be. Says so if only the sample is here."""
    source = find_source()
    if source.folder is None:
        st.info(
            "Only the sample that comes with the app is here: the 5,000 digits of the validation split. None of the "
            "models that come with the app has learned from them. Fetch the rest on the Data page.",
            icon=":material/info:",
        )
    return view if view.split in source.splits else replace(view, split=source.splits[-1], page=1, opened=None)


def _choose(view: View) -> None:
    """Let the visitor choose split and model."""
    models, splits = list(model_folders()), find_source().splits
    if view.model not in models:
        models.append(view.model)  # the page says below what is wrong with it

    def changed() -> None:
        chosen = {"model": st.session_state["explore_model"], "split": st.session_state["explore_split"]}
        now = session.current_view()
        filters, panel = replace(now.filters, area=None), "numbers" if now.panel == "picture" else now.panel
        session.set_view(replace(now, **chosen, page=1, opened=None, panel=panel, filters=filters))

    st.session_state["explore_model"], st.session_state["explore_split"] = view.model, view.split
    with st.container(horizontal=True, vertical_alignment="center"):
        _one_of("Split", splits, str.capitalize, "explore_split", changed)
        st.selectbox(
            "Model",
            models,
            format_func=read_shelf().title,
            key="explore_model",
            label_visibility="collapsed",
            on_change=changed,
            width=200,
        )


def _one_of(
    label: str, choices: Iterable[str], words: Callable[[str], str], key: str, changed: Callable[[], None]
) -> None:
    """A row of buttons, one of them pressed. Only screen readers get the label."""
    st.segmented_control(
        label,
        choices,
        format_func=words,
        key=key,
        required=True,
        label_visibility="collapsed",
        on_change=changed,
    )


def _reads(view: View, split: str) -> str:
    return f"{plain(read_shelf().title(view.model))} is reading the {split} split, once for everybody"


def _summary(view: View, readings: Readings) -> str:
    right, count = int(readings.right.sum()), len(readings)
    refuses = load_card(find_model(view.model)).refusal < 1
    counted = " If it says “not a digit”, the digit it finds likeliest counts." if refuses else ""
    return (
        f'<p class="summary"><strong>{right / count:.2%}</strong> of the {count:,} {readings.split} digits are read '
        f"right, <strong>{count - right:,}</strong> are misread.{counted}</p>"
    )


def _panels(view: View) -> str:
    """Let the visitor choose numbers, map or the open picture, if any."""
    there = [panel for panel in PANELS if panel != "picture" or view.opened is not None]
    st.session_state["explore_panel"] = view.panel if view.panel in there else there[0]

    def changed() -> None:
        session.set_view(replace(session.current_view(), panel=st.session_state["explore_panel"]))

    _one_of("Look at", there, PANELS.__getitem__, "explore_panel", changed)
    return str(st.session_state["explore_panel"])


def _numbers(view: View, explored: shared.Explored) -> None:
    """Show the confusion matrix, whose cells filter the gallery, and the scores of each digit."""

    def picked(cell: str) -> None:
        label, _, read = cell.partition("-")
        digits = {str(digit): digit for digit in range(CLASSES)} | {ANY: None}
        if label in digits and read in digits:
            session.set_view(replace(session.current_view(), filters=Filters(digits[label], digits[read]), page=1))

    def changed() -> None:
        session.set_view(
            replace(session.current_view(), percent=st.session_state["explore_percent"] == "Percent of the row")
        )

    picks(confusion_html(explored.evaluation, view.percent, view.filters), "confusion", picked, leads_to=DESCRIBED)
    st.session_state["explore_percent"] = "Percent of the row" if view.percent else "Counts"
    _one_of("Confusion matrix in", ["Counts", "Percent of the row"], str, "explore_percent", changed)
    st.html(scores_html(explored.evaluation))
    terms("precision and recall")


def _filters(view: View) -> None:
    """Show the filters and the order of the gallery."""
    filters, digits = view.filters, [ANY, *map(str, range(CLASSES))]
    state = st.session_state
    state["explore_order"] = view.order
    for name, digit in (("label", filters.label), ("read", filters.read)):
        state[f"explore_{name}"] = ANY if digit is None else str(digit)
    state["explore_verdict"] = filters.verdict or ANY
    state["explore_confidence"] = (filters.least, filters.most)
    state["explore_stroke"], state["explore_lean"] = filters.stroke or ANY, filters.lean or ANY
    state["explore_doubtful"] = filters.doubtful

    def changed(name: str) -> None:
        value = st.session_state[f"explore_{name}"]
        session.set_view(session.current_view().where(**{name: None if value == ANY else value}))

    def changed_digit(name: str) -> None:
        value = st.session_state[f"explore_{name}"]
        session.set_view(session.current_view().where(**{name: None if value == ANY else int(value)}))

    def changed_confidence() -> None:
        least, most = st.session_state["explore_confidence"]
        session.set_view(session.current_view().where(least=least, most=most))

    def changed_order() -> None:
        session.set_view(replace(session.current_view(), order=st.session_state["explore_order"], page=1))

    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="explore_filters"):
        for label, name in (("Digit", "label"), ("Read as", "read")):
            st.selectbox(
                label,
                digits,
                format_func=str.capitalize,
                key=f"explore_{name}",
                on_change=changed_digit,
                args=(name,),
                width=84,
            )
        st.selectbox(
            "Answer",
            [ANY, "wrong", "right"],
            format_func={ANY: "Any", "wrong": "Misread", "right": "Read right"}.__getitem__,
            key="explore_verdict",
            on_change=changed,
            args=("verdict",),
            width=124,
        )
        st.selectbox(
            "Order",
            ORDERS,
            format_func=lambda name: ORDERS[name][0],
            key="explore_order",
            on_change=changed_order,
            width=172,
        )
        hidden = len(replace(view.filters, label=None, read=None, verdict=None, area=None).each())
        with st.popover(f"More ({hidden})" if hidden else "More", icon=":material/tune:"):
            st.slider("Confidence, percent", 0, 100, key="explore_confidence", on_change=changed_confidence)
            for label, name, choices in (("Strokes", "stroke", STROKES), ("Leaning", "lean", LEANS)):
                st.segmented_control(
                    label,
                    [ANY, *choices],
                    format_func=str.capitalize,
                    key=f"explore_{name}",
                    required=True,
                    on_change=changed,
                    args=(name,),
                )
            if view.split == "test" or view.filters.doubtful:  # people were asked about the labels of this split only
                st.toggle("Label in doubt", key="explore_doubtful", on_change=changed, args=("doubtful",))


def _describe(view: View, readings: Readings, chosen: Order) -> None:
    """Say what the gallery shows and, if that is nothing, how to widen the filters."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(described_html(view.filters.describe(len(chosen))), width="stretch")
        if view.filters.each():
            st.button("Clear", icon=":material/close:", key="explore_clear", on_click=_clear)
    if not len(chosen):
        area = view.filters.area
        places = shared.places(view.model, readings, area.method) if area else None
        st.write(plain(view.filters.advice(readings, places)))


def _clear() -> None:
    session.set_view(replace(session.current_view(), filters=Filters(), page=1))


@st.fragment  # so that turning a page reruns only this
@noticing
def _gallery(given: View, readings: Readings, chosen: Order) -> None:
    """Show the pictures that pass the filters, a page at a time."""
    view = session.current_view()
    if replace(view, page=given.page) != given:
        st.rerun()  # a picture was opened, for example: that changes more than the gallery
    session.write_address(view)
    pages = max(1, -(-len(chosen) // PER_PAGE))
    page = min(view.page, pages)
    shown = chosen[(page - 1) * PER_PAGE : page * PER_PAGE]
    html = gallery_html(readings, shown, view.opened) if len(shown) else ""
    said = view.filters.describe(len(chosen))
    picks(html, "gallery", lambda index: _open(readings, chosen, index), PICTURE, steps_for=PICTURE, said=said)
    if pages == 1:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="explore_pages"):
        for label, icon, by in (("Previous page", "left", -1), ("Next page", "right", 1)):
            st.button(
                label,
                icon=f":material/chevron_{icon}:",
                on_click=_turn,
                args=(by, pages),
                disabled=not 1 <= page + by <= pages,
                key=f"page_{icon}",
            )
        st.caption(f"Page {page:,} of {pages:,}", width="content")


def _turn(by: int, pages: int) -> None:
    """Turn from the page shown by now: presses may come faster than pages."""
    view = session.current_view()
    session.set_view(replace(view, page=min(max(view.page + by, 1), pages)))


def _open(readings: Readings, chosen: Order, index: str) -> None:
    """Open a picture, and turn the gallery to the page that it is on."""
    try:
        opened = whole(index)
    except ValueError:  # the browser may send anything
        return
    if opened >= len(readings):
        return
    at = np.flatnonzero(chosen == opened)
    view = session.current_view()
    page = int(at[0]) // PER_PAGE + 1 if len(at) else view.page
    session.set_view(replace(view, opened=opened, panel="picture", page=page))


def _downloads(view: View, readings: Readings, chosen: Order) -> None:
    """Offer the selection, all its pages, as a table and as one sheet of pictures."""
    name = f"{view.model}-{view.split}"
    offers = (
        ("CSV", "download", f"{name}.csv", "text/csv", lambda: to_csv(readings, chosen)),
        ("PNG", "image", f"{name}.png", "image/png", lambda: sheet_png(readings.digits.images[chosen])),
    )
    with st.container(horizontal=True):
        for label, icon, file, kind, content in offers:
            st.download_button(label, content, file, kind, on_click="ignore", icon=f":material/{icon}:")


def _picture(view: View, readings: Readings, chosen: Order, opened: int) -> None:
    """Show one picture with all that is known about it; the arrow keys open its neighbours."""
    at = np.flatnonzero(chosen == opened)
    position = int(at[0]) if len(at) else -1
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, key, to in (("Previous", "Left", position - 1), ("Next", "Right", position + 1)):
            is_there = 0 <= to < len(chosen)
            st.button(
                label,
                shortcut=key,
                key=f"picture_{key.lower()}",
                on_click=_open,
                args=(readings, chosen, str(chosen[to]) if is_there else ""),
                disabled=not is_there,
            )
        take = st.button("Take it to Draw", icon=":material/draw:", key="take")
    if take:
        where = f"picture {opened:,} of the {view.split} split"
        session.read_picture_instead(readings.digits.images[opened], where, int(readings.digits.labels[opened]))
        session.go_to("Draw")
    st.html(picture_html(readings, opened))
    read = read_picture(shared.model(view.model), readings.digits.images[opened])
    if not read.weakest.is_digit:
        st.write(
            f"The network would answer “not a digit”, {percent(read.weakest.sureness)} sure. Here its likeliest digit "
            "counts."
        )
    _nearest_training(view, readings, opened)
    why(read.digits, view.model, int(readings.digits.labels[opened]), is_beside_neighbours=True)


def _nearest_training(view: View, readings: Readings, opened: int) -> None:
    """Show the five training pictures that the network finds most alike; if they are missing, others."""
    source = find_source()
    if "train" not in source.splits:
        near = nearest(readings.predictions.features[opened][None], readings.predictions.features, [opened])
        digits, which = readings.digits, "pictures of the sample (the training pictures are not here)"
    else:
        digits, which = shared.split("train", source), "training pictures"
        shipped = None if view.split == "train" else shared.shipped_neighbours(view.model, view.split)
        if shipped is not None:
            near = Neighbours(shipped.indices[[opened]], shipped.distances[[opened]])
        else:
            work = shared.sketch(view.model)
            found = work.result(0)
            if found is None:
                wait_for(work, _reads(view, "train"), partial(shared.sketch, view.model))
                return
            query = readings.predictions.features[opened][None]
            near = shared.nearest_of(view.model, found, query, opened if view.split == "train" else None)
    st.caption(f"The five nearest {which}, by the network's own features, with label and distance:")
    at = near.indices[0]
    st.html(neighbours_html(digits.images[at], digits.labels[at], near, are_buttons=False))
    terms("features", "training picture")


def _map(view: View, readings: Readings) -> None:
    """Show the whole split in two dimensions, with the visitor's drawing on it if there is one."""
    drawing = session.pad().drawing

    def changed() -> None:
        session.set_view(replace(session.current_view(), method=st.session_state["explore_method"]))

    with st.container(horizontal=True, vertical_alignment="center"):
        st.session_state["explore_method"] = view.method
        _one_of("Projection", METHODS, METHODS.__getitem__, "explore_method", changed)
        shows = not drawing.is_blank and st.toggle("My drawing", key=session.SHOW_DRAWING)
    method, places = view.method, shared.places(view.model, readings, view.method)
    if places is None:
        _lay_out(view, readings)
        method, places = "pca", shared.places(view.model, readings, "pca")
    assert places is not None
    drawn, near = (_drawn(view, readings, places, method, drawing) if shows else None) or (None, None)
    area = view.filters.area
    digit_map(
        readings,
        places,
        replace(view.filters, area=None).mask(readings),
        area if area and area.method == method else None,
        view.opened,
        drawn,
        "digit_map",
        on_pick=lambda index: session.set_view(replace(session.current_view(), opened=index, panel="picture")),
        on_area=lambda text: _mark(method, text),
    )
    st.caption(
        f"{'t-SNE keeps neighbours together' if method == 'tsne' else 'PCA shows where the features spread most'}. "
        "Colours are labels, crosses are mistakes. Drag a box or a lasso to see its pictures in the gallery."
    )
    terms("projection")
    if near is not None:
        st.caption("The pictures of this split that are nearest to your drawing, with label and distance:")
        at = near.indices[0]
        picks(
            neighbours_html(readings.digits.images[at], readings.digits.labels[at], near, are_buttons=True),
            "near_drawing",
            lambda index: _open(readings, at[:0], index),
            PICTURE,
        )


def _mark(method: str, text: str) -> None:
    """Filter the gallery by an area of the map, or by none."""
    try:
        session.set_view(session.current_view().where(area=Area.from_text(f"{method}_{text}") if text else None))
        session.scroll_to(DESCRIBED)
    except ValueError:  # the browser may send anything
        return


def _drawn(
    view: View, readings: Readings, places: Places, method: str, drawing: Drawing
) -> tuple[Drawn, Neighbours] | None:
    """The place of a drawing on the map, and the pictures nearest to it; None if it is read as a number."""
    reading = read_drawing(shared.model(view.model), drawing)
    if reading.is_number:
        st.caption(f"Your drawing is read as the number {reading.text}. Only a single digit has a place on the map.")
        return None
    pixels = prepare_drawing(drawing).pixels
    features, known = shared.features_of(view.model, pixels), readings.predictions.features
    near = nearest(features, known)
    at = pca(known, features)[1] if method == "pca" else place(features, known, places)
    [read] = reading.digits
    if read.prediction.is_digit:
        sentence = certainty_sentence(read.prediction)
        st.caption(f"How your drawing is read: {sentence[0].lower()}{sentence[1:]}")
    else:
        st.caption(f"Your drawing: {read.prediction.words}. On the map it lies near the pictures most like it.")
    return Drawn(at[0], png_url(pixels), tuple(near.indices[0].tolist())), near


def _lay_out(view: View, readings: Readings) -> None:
    """Offer to compute a t-SNE map, or show how far it has come."""
    layout, running = shared.layouts().get((view.model, view.split)), shared.running_layout()
    if layout and layout.is_running:
        _wait_for_layout(layout, view, readings)
        return
    if running:
        st.caption(
            f"One map at a time: the map of the {running[1]} split by {plain(read_shelf().title(running[0]))} is being "
            "computed."
        )
        return
    if layout and layout.problem:
        problem_notice(layout.problem)
    st.button(
        "Compute the t-SNE map (takes minutes, once for everybody)",
        on_click=shared.lay_out,
        args=(view.model, view.split),
        key="lay_out",
    )


@st.fragment(run_every=0.5)
@noticing
def _wait_for_layout(layout: Layout, view: View, readings: Readings) -> None:
    # The process goes on after the map is done, so its end is no sign. Looking for the map is slow: only at share 1.
    if not layout.is_running or (layout.share == 1 and shared.places(view.model, readings, "tsne") is not None):
        st.rerun()
    st.progress(layout.share, f"Computing the map: {layout.share:.0%}. Until then, here is PCA:")
