"""Why a digit was read as it was: four questions about one picture. An answer is computed only when it is asked for."""

import html
from collections import Counter
from collections.abc import Sequence
from functools import partial
from zlib import crc32

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from torch import nn

from mnist_app.data.dataset import CLASSES, Digits, Source, find_source
from mnist_app.errors import AppError
from mnist_app.explain.attribution import Evidence, integrated_gradients
from mnist_app.explain.doctor import Finding, Remedy, examine, smallest_change
from mnist_app.explain.feature_maps import Favourites, LayerOutput, follow
from mnist_app.explain.replay import Replay, replay
from mnist_app.explore.explorer import NAMES
from mnist_app.explore.neighbours import Neighbours, Sketch
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.trajectory import POINTS, painted, trajectory_of
from mnist_app.models.networks import NOT_A_DIGIT
from mnist_app.models.shelf import read_shelf
from mnist_app.reading.number import ReadDigit, read_drawing
from mnist_app.reading.recognition import Prediction, follows, opinions
from mnist_app.web import session, shared
from mnist_app.web.answer import a_digit, percent
from mnist_app.web.charts import evidence_rgb, findings_html
from mnist_app.web.curves import Growth, Plot, curves
from mnist_app.web.gallery import image_sheet, neighbours_html
from mnist_app.web.live_ink import hear_pen_up, ink_ahead
from mnist_app.web.notice import plain, problem_notice
from mnist_app.web.pictures import on_black, png_url, row_html
from mnist_app.web.terms import terms
from mnist_app.web.waiting import wait_for

SEE, WHERE, WHEN, CHANGE = (
    "What did it see?",
    "Where did it look?",
    "When did it decide?",
    "What would change its mind?",
)
WHY_PICTURE, WHY_DIGIT, WHY_LAYERS, MEANT = "why_picture", "why_digit", "why_layers", "meant"
PATIENCE = 0.2  # seconds to wait for a computation that is slow the first time
MAPS = 6  # strongest feature maps shown of each layer
ORDINALS = ("first", "second", "third", "fourth", "fifth")


@st.fragment
def why(
    digits: Sequence[ReadDigit],
    model: str,
    meant: int | None = None,
    *,
    told: Drawing | None = None,
    is_beside_neighbours: bool = False,
) -> None:
    """The panel below an answer: closed until a question is asked, and then it answers only that one.

    ``meant`` is the digit that the picture is known to show, if known. ``told`` is the ink that the canvas has sent so
    far: as the pen goes up, the open panel alone reruns, with the ink that is there by then. If the picture already
    stands beside its nearest neighbours, "What did it see?" goes straight to the layers.
    """
    is_drawn = digits[0].drawing is not None
    if not is_drawn or (told and told.is_blank):  # the whole page reruns after a first stroke: it has more to show
        told = None
    with st.container(key="why_panel"):
        question = st.pills(
            "Why?",
            _questions(model, is_drawn, is_beside_neighbours),
            key=session.WHY if is_drawn else WHY_PICTURE,
            persist_state="session",  # stays open while the pad is blank
        )
        if question is None:
            return
        with st.container(key="why_answer"):
            try:
                digits = _digits_ahead(told, model) if told else digits
                _answer(question, digits, model, meant, is_beside_neighbours)
            except AppError as error:
                problem_notice(str(error))
        if told:
            hear_pen_up()


def _digits_ahead(told: Drawing, model: str) -> Sequence[ReadDigit]:
    """The digits on the pad, including a stroke that has just ended and that the canvas has not sent yet."""
    ink = ink_ahead(session.pad(), told, st.session_state[session.PEN_WIDTH])
    return read_drawing(shared.model(model), ink).digits


def _questions(model: str, is_drawn: bool, is_beside_neighbours: bool) -> list[str]:
    """The questions that can be answered: a model that is only a graph has neither gradients nor layers to show."""
    is_opaque = _is_opaque(model)
    can_be_answered = {SEE: not (is_opaque and is_beside_neighbours), WHERE: not is_opaque, WHEN: is_drawn}
    return [question for question in (SEE, WHERE, WHEN, CHANGE) if can_be_answered.get(question, True)]


def _is_opaque(model: str) -> bool:
    try:
        return shared.model(model).is_opaque
    except AppError:  # reported once a question is asked
        return False


def _answer(
    question: str, digits: Sequence[ReadDigit], model: str, meant: int | None, is_beside_neighbours: bool
) -> None:
    read = _which(digits)
    if question == SEE:
        _see(read, model, is_beside_neighbours)
    elif question == WHERE:
        _where(read, model)
    elif question == WHEN and read.drawing:
        _when(read.drawing, model)
    elif question == CHANGE:
        _change(read, digits, model, meant, is_on_draw=not is_beside_neighbours)


def _which(digits: Sequence[ReadDigit]) -> ReadDigit:
    """The digit that is asked about; in a number, the visitor chooses one."""
    if len(digits) == 1:
        return digits[0]
    chosen = st.segmented_control(
        "Which digit?",
        range(len(digits)),
        format_func=lambda at: (
            f"the {digits[at].prediction.digit}" + (f", {ORDINALS[at]}" if at < len(ORDINALS) else "")
        ),
        default=0,
        required=True,
        key=f"{WHY_DIGIT}_{len(digits)}",
    )
    return digits[int(chosen or 0)]


# What did it see?


def _see(read: ReadDigit, model: str, is_beside_neighbours: bool) -> None:
    """The picture beside the average of its digit and its nearest training pictures; layer by layer on request."""
    if is_beside_neighbours:
        _layers(read, model)
        return
    pictures = [(png_url(read.pixels), "the picture that is read: 28 × 28 pixels")]
    if read.drawing and follows(shared.model(model), read.drawing):
        pictures.append((png_url(on_black(painted(trajectory_of(read.drawing)))), "how it was written"))
    if read.prediction.is_digit:
        digit = read.prediction.digit
        pictures.append((png_url(shared.norms().averages[digit]), f"the average {NAMES[digit]}"))
    st.html(_disagreement(read, model) + row_html(pictures))
    _nearest(read, model)
    terms("pixel", "training picture", "features")
    if not _is_opaque(model) and st.toggle("Layer by layer", key=WHY_LAYERS, persist_state="session"):
        _layers(read, model)


def _disagreement(read: ReadDigit, model: str) -> str:
    """A sentence with what the image network and the pen network each read, if they disagree."""
    apart = opinions(shared.model(model), read.glyph)
    if apart is None:
        return ""
    look, pen = (a_digit(each.digit) if each.is_digit else "no digit" for each in apart)
    return (
        "" if look == pen else f'<p class="sentence">By its look alone it is {look}; by how it was written, {pen}.</p>'
    )


def _nearest(read: ReadDigit, model: str) -> None:
    """The five pictures that the network finds most similar, and a sentence about which digits they are."""
    source = find_source()
    work = shared.sketch(model)
    found = work.result(PATIENCE)
    which = _learnable(source)
    if found is None:
        doing = f"{plain(read_shelf().title(model))} is reading all {which}, once for everybody"
        wait_for(work, doing, partial(shared.sketch, model))
        return
    digits = shared.split(source.splits[0], source)
    near = session.once(
        SEE, model, (source, read.pixels.tobytes()), lambda: _nearest_of(read.pixels, model, found, digits)
    )
    at = near.indices[0]
    labels = digits.labels[at]
    st.html(f'<p class="sentence">{_alike(labels, which)}</p>')
    st.html(neighbours_html(digits.images[at], labels, near, are_buttons=False))


def _learnable(source: Source) -> str:
    """What to call the pictures that neighbours are found among."""
    return "training pictures" if "train" in source.splits else "pictures of the sample"


def _nearest_of(pixels: NDArray[np.uint8], model: str, sketch: Sketch, digits: Digits) -> Neighbours:
    features = shared.features_of(model, pixels)
    near = shared.nearest_of(model, sketch, features)
    first = int(near.indices[0, 0])
    if (digits.images[first] == pixels).all():  # it is one of them, and must not be its own neighbour
        near = shared.nearest_of(model, sketch, features, first)
    return near


def _alike(labels: NDArray[np.int64], which: str) -> str:
    """A sentence about which digits the nearest pictures are."""
    counts = Counter(labels.tolist()).most_common()
    if len(counts) == 1:
        return f"The five {which} that the network finds most similar are all {_plural(counts[0][0])}."
    parts = [f"{NAMES[count]} {_plural(label) if count > 1 else NAMES[label]}" for label, count in counts]
    return f"The five {which} that the network finds most similar: {', '.join(parts[:-1])} and {parts[-1]}."


def _plural(digit: int) -> str:
    return NAMES[digit] + ("es" if NAMES[digit].endswith("x") else "s")


def _layers(read: ReadDigit, model: str) -> None:
    """The way through the network, with the shapes, the strongest feature maps, and what those respond to."""
    recogniser = shared.model(model)
    layers = follow(recogniser.network, read.pixels)
    if not layers:
        st.caption("This network has no layers that can be shown.")
        return
    work = shared.maps_favourites(model)
    liked = work.result(PATIENCE)
    source, count = find_source(), recogniser.card.parameters  # of the image network
    among = f"{len(shared.split(source.splits[0], source)):,} {_learnable(source)}"
    st.html(
        f'<p class="sentence">{count:,} learned numbers turn pixels into probabilities, layer by layer. Each map is '
        f"bright where it found its pattern; below it is what excites it most among all {among}. To enlarge a map, "
        "point at it, tap it, or use Tab and the arrow keys.</p>"
    )
    linear = [part for part in recogniser.network.modules() if isinstance(part, nn.Linear)]
    sizes = [(layer.in_features, layer.out_features) for layer in linear]
    st.html(layers_html(read, layers, liked, sizes, opinions(recogniser, read.glyph)))
    terms("convolution", "feature map", "pooling", "softmax")
    if liked is None:
        doing = "Finding what each map responds to most, once for everybody"
        wait_for(work, doing, partial(shared.maps_favourites, model))


def layers_html(
    read: ReadDigit,
    layers: Sequence[LayerOutput],
    liked: Sequence[Favourites] | None,
    linear: Sequence[tuple[int, int]],
    apart: tuple[Prediction, Prediction] | None,
) -> str:
    """A diagram of the network: a row for each layer, with its shape, its strongest maps and their favourite patterns.

    ``linear`` has the inputs and outputs of each fully connected layer. ``apart`` has what the image network and the
    pen network each read, if both read the drawing.
    """
    picture = f'<img class="map" src="{png_url(read.pixels)}" alt="The picture">'
    rows = _layer_row("The picture", "28 × 28 pixels", picture)
    favourites, strongest = iter(liked or ()), list[int]()
    for number, layer in enumerate(layers, 1):
        shape = " × ".join(map(str, layer.shape))
        if layer.kind == "pooling":
            rows += _layer_row("Halved", shape, _maps(layer, strongest, None, number))
        elif layer.kind == "average":
            rows += _layer_row("Averaged", f"{shape} numbers", _strip(layer))
        else:
            found = next(favourites, None)
            strongest = layer.strongest(MAPS).tolist()
            name = "Convolution" if layer.kind == "convolution" else "Convolution, halved"
            rows += _layer_row(name, shape, _maps(layer, strongest, found, number))
    for at, (inputs, outputs) in enumerate(linear, 1):
        what = ": ten digits and “no digit”" if at == len(linear) and outputs > NOT_A_DIGIT else ""
        rows += _layer_row("Fully connected", f"{inputs} → {outputs} numbers{what}", "")
    if apart:
        rows += _layer_row("By its look", "10 probabilities", _answered(apart[0]))
        pen = "no digit" if not apart[1].is_digit else f'<span class="reads">{apart[1].digit}</span>'
        rows += _layer_row("By how it was written", f"{POINTS} points, a second network", pen)
    rows += _layer_row(
        "The answer", "10 probabilities, from both" if apart else "10 probabilities", _answered(read.prediction)
    )
    return f'<ol class="network" aria-label="The network, layer by layer">{rows}</ol>'


def _answered(prediction: Prediction) -> str:
    if not prediction.is_digit:
        return f"no digit: {percent(prediction.sureness)}"
    return f'<span class="reads">{prediction.digit}</span> {percent(prediction.sureness)}'


def _layer_row(name: str, shape: str, content: str) -> str:
    return f'<li><span><strong>{name}</strong><br>{shape}</span><span class="out">{content}</span></li>'


def _maps(layer: LayerOutput, channels: Sequence[int], found: Favourites | None, number: int) -> str:
    """Feature maps side by side, with what excites each most below it. Each of these two rows is one image.

    They are radio buttons for the keyboard: one stop for the Tab key, and the arrow keys go from map to map.
    """
    bright = max(float(np.percentile(layer.maps, 99)), 1e-9)  # the layer's few highest values may all be white
    pixels = np.round(np.clip(layer.maps[channels] / bright, 0, 1) * 255).astype(np.uint8)
    sheets = f"--maps:url({png_url(image_sheet(pixels, len(channels)))})"
    if found is not None:
        patches = np.concatenate(found.patches[channels])
        sheets += f";--likes:url({png_url(image_sheet(patches, len(patches)))})"
    maps = "".join(
        f'<label class="mapped" style="--across:{at / max(1, len(channels) - 1):.3f}">'
        f'<input type="radio" name="layer-{number}" aria-label="Map {channel}"><span class="enlarged"></span></label>'
        for at, channel in enumerate(channels)
    )
    kind = "maps" if found is None else "maps liked"
    return (
        f'<span class="{kind}" style="--count:{len(channels)};{sheets}" role="radiogroup" '
        f'aria-label="Maps of layer {number}">{maps}</span>'
    )


def _strip(layer: LayerOutput) -> str:
    """The averages of all maps as a row of grey cells."""
    values = layer.maps[:, 0, 0]
    cells = np.round(values / max(float(values.max()), 1e-9) * 255).astype(np.uint8)
    return f'<img class="strip" src="{png_url(cells[None])}" alt="The averages of all maps">'


# Where did it look?


def _where(read: ReadDigit, model: str) -> None:
    """The evidence for the digit read and for the runner-up, over the ink."""
    recogniser, prediction = shared.model(model), read.prediction
    two = prediction.digit, prediction.runner_up
    found = session.once(
        WHERE,
        model,
        (read.pixels.tobytes(), two),
        lambda: integrated_gradients(recogniser, read.pixels, *two),
    )
    most = max(float(np.abs(evidence.values).max()) for evidence in found)
    pictures = [
        (
            png_url(evidence_rgb(evidence.values, read.pixels, most)),
            f"for {evidence.digit}{', its rival' if at else ''}",
        )
        for at, evidence in enumerate(found)
    ]
    refused = (
        "" if prediction.is_digit else f"It is no digit to the network; it looks most like {a_digit(found[0].digit)}. "
    )
    is_half = read.drawing is not None and follows(recogniser, read.drawing)
    half = "How it was written is half of the answer; this is the other half. " if is_half else ""
    sentence = f'<p class="sentence">{half}{refused}{_looked(found[0])}</p>'
    st.html(_disagreement(read, model) + sentence + row_html(pictures, "large"))
    terms("evidence", "integrated gradients")


def _looked(evidence: Evidence) -> str:
    """A sentence about where the evidence is."""
    speaks = np.sort(evidence.values[evidence.values > 0])[::-1]
    against = float(-evidence.values[evidence.values < 0].sum())
    key = '<b class="for">Blue</b> ink speaks for a digit, <b class="against">amber</b> ink against it'
    if not len(speaks):
        return f"{key}; nothing here speaks for {evidence.digit}."
    half = int(np.searchsorted(np.cumsum(speaks), speaks.sum() / 2)) + 1
    pixels = ("one pixel" if half == 1 else f"{half} pixels") + _part(evidence.values >= speaks[half - 1])
    share = against / (against + float(speaks.sum()))
    return f"{key}: half of what speaks for {evidence.digit} lies in {pixels}; {share:.0%} of all evidence is against."


def _part(marked: NDArray[np.bool_]) -> str:
    """The part of the picture in which at least two thirds of the marked pixels lie, if there is one, as words."""
    rows, columns = np.nonzero(marked)
    words = []
    for at, low, high in ((rows, "top", "bottom"), (columns, "left", "right")):
        for share, word in ((np.mean(at < 14), low), (np.mean(at >= 14), high)):
            if share >= 2 / 3:
                words.append(word)
    return f", mostly at the {' '.join(words)}" if words else ""


# When did it decide?


def _when(drawing: Drawing, model: str) -> None:
    """A replay of the drawing, with the ten probabilities as curves."""
    found = session.once(WHEN, model, drawing.to_points(), lambda: replay(shared.model(model), drawing))
    st.html(f'<p class="sentence">{_decided(found)}</p>')
    curves(
        "Share of the ink",
        np.stack([frame.pixels for frame in found.frames]),
        [f"{frame.share:.0%}" for frame in found.frames],
        [Plot.of("", [frame.prediction for frame in found.frames])],
        found.frames.index(found.decided),
        key="replay",
        growth=Growth(drawing.to_points(), [frame.share for frame in found.frames]),
    )
    terms("no digit")


def _decided(found: Replay) -> str:
    """A sentence about when the network decided."""
    last, decided, before = found.frames[-1].prediction, found.decided, found.before
    if not last.is_digit and before is not None:
        return f"With {decided.share:.0%} of the ink on paper, your {before} was no longer a digit."
    if not last.is_digit:
        return "It never became a digit that the network knows."
    if before is not None:
        return f"With {decided.share:.0%} of the ink on paper, your {before} became {a_digit(last.digit)}."
    return f"From {decided.share:.0%} of the ink on, it was {a_digit(last.digit)} and stayed one."


# What would change its mind?


def _change(read: ReadDigit, digits: Sequence[ReadDigit], model: str, meant: int | None, *, is_on_draw: bool) -> None:
    """What is unusual about the digit, and the smallest change after which it is read as the digit meant."""
    prediction = read.prediction
    usual = meant
    if usual is None:
        is_settled = prediction.is_certain or not prediction.is_digit
        usual = prediction.digit if is_settled else prediction.runner_up
    # For a picture of a known digit, the choice is forgotten with the picture; while drawing, it stays.
    about = usual if meant is None else crc32(read.pixels.tobytes())
    wanted = st.segmented_control(
        "If it was meant to be",
        range(CLASSES),
        default=usual,
        required=True,
        key=f"{MEANT}_{about}",
    )
    digit = usual if wanted is None else int(wanted)
    findings = examine(shared.norms(), read.pixels, digit)
    st.html(f'<p class="sentence">{_unusual(findings, digit)}</p>{findings_html(findings)}')
    terms("percentile", "slant")
    if prediction.is_digit and digit == prediction.digit:
        st.html(f'<p class="sentence">It is read as {a_digit(digit)} already: nothing needs to change.</p>')
        return
    remedy = session.once(
        CHANGE,
        model,
        (read.pixels.tobytes(), read.drawing and read.drawing.to_points(), digit),
        lambda: smallest_change(shared.model(model), read.pixels, read.drawing, digit),
    )
    if remedy is None:
        same = (
            " Drawing it thicker, larger or elsewhere changes nothing: the network sees every drawing equally thick, "
            "equally large and centred."
        )
        tried = f"No single change that was tried makes it {a_digit(digit)}.{same if read.drawing else ''}"
        st.html(f'<p class="sentence">{tried}</p>')
        return
    st.html(_remedy_html(read, remedy))
    changed = remedy.change.drawing
    if changed:
        strokes = [stroke for each in digits if each is not read and each.drawing for stroke in each.drawing.strokes]
        whole = Drawing((*strokes, *changed.strokes), session.pad().drawing.pen_width)
        if st.button(
            "Put it on the pad", icon=":material/draw:", on_click=session.pad().put, args=(whole,), key="put_remedy"
        ):
            st.rerun()
        return
    label = "Read this one" if is_on_draw else "Take the changed picture to Draw"
    if st.button(label, icon=":material/draw:", key="take_remedy"):
        before = session.picture_input() if is_on_draw else None
        session.read_picture_instead(remedy.change.pixels, "a changed picture", meant, before)
        if is_on_draw:
            st.rerun()
        session.go_to("Draw")


def _unusual(findings: Sequence[Finding], digit: int) -> str:
    """A sentence about what is unusual."""
    words = [finding.word for finding in findings if finding.is_unusual]
    if not words:
        return f"Compared with real {_plural(digit)}, nothing about it is unusual."
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"For {a_digit(digit)}, it is unusually {listed}."


def _remedy_html(read: ReadDigit, remedy: Remedy) -> str:
    sentence = (
        f"If you {html.escape(remedy.change.what)}, it is read as {a_digit(remedy.prediction.digit)} "
        f"({percent(remedy.prediction.confidence)} sure)."
    )
    before = read.prediction
    was = f"before: {before.digit}, {percent(before.confidence)}" if before.is_digit else "before: not a digit I know"
    now = f"after: {remedy.prediction.digit}, {percent(remedy.prediction.confidence)}"
    pictures = [(png_url(read.pixels), was), (png_url(remedy.change.pixels), now)]
    return f'<p class="sentence">{sentence}</p>' + row_html(pictures)
