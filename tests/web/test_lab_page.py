"""The Lab page: it shows what was measured, and all models read what is on the pad."""

import html
import inspect
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest
from torch import Tensor, nn

from mnist_app.data.dataset import load_split, rows_of
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.lab.contender import CLASSICAL, COMPRESSED, FAMILIES, OWN, Expected
from mnist_app.lab.effects import EffectResult, Run
from mnist_app.lab.figures import FIGURES, PROBLEM, Figures, Latency, write_json
from mnist_app.lab.transfer import Direction, Point
from mnist_app.models.networks import batch_of, logits_of
from mnist_app.models.registry import GRAPH, find_model, load_model
from mnist_app.reading.recognition import Prediction
from mnist_app.storage import lab_folder
from mnist_app.training.augmentation import augment
from mnist_app.web import canvas, session, shared
from mnist_app.web.pages.break_it import BREAK_MODELS
from mnist_app.web.pages.lab import _answers_html
from mnist_app.web.tradeoff import COSTS, GAINS, pareto, shares_over_samples, tradeoff
from mnist_app.web.why import CHANGE, WHY_PICTURE

from ..conftest import ONE, SEVEN
from ..toy_lab import CURVES, figures, put
from .test_pages import html_of, ink, open_page

TITLE = "<img src=x onerror=alert(1)> & *star*"


@pytest.fixture(autouse=True)
def fresh_server(no_mnist: None, nothing_shipped: Path) -> None:
    """Keep nothing from other tests, which have another home."""
    shared._exploring.clear()


class OneFurther(nn.Module):
    """Reads every digit as the next one, to disagree with the others."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network(pictures).roll(1, dims=1)


@pytest.fixture
def a_lab(a_toy: Path, mean_digit: nn.Module) -> dict[str, Figures]:
    """A toy, a model that disagrees, one too large to be shipped, and one of this app's own."""
    known = {
        "toy": figures("toy"),
        "rebel": figures("rebel", title=TITLE, family=CLASSICAL, accuracy=0.85, curves=(), ink=None, own=None),
        "giant": figures("giant", accuracy=0.97, expected=None, memory=None, seconds=0.0),
        "mnist-cnn": figures("mnist-cnn", title="Ours", family=OWN, accuracy=0.99, own=None, memory=None),
    }
    for name, found in known.items():
        put(lab_folder(), found, {"toy": mean_digit, "rebel": OneFurther(mean_digit)}.get(name))
    return known


def opened(part: str = "Compare", strokes: list[list[list[float]]] | None = None, row: int | None = None) -> AppTest:
    at = open_page("lab")
    at.session_state["lab_part"] = part
    if strokes:
        at.session_state["pad"] = canvas.Pad(latest=ink(strokes))
    if row is not None:
        at.session_state["lab_table"] = {"selection": {"rows": [row], "columns": [], "cells": []}}
    at.run()
    assert not at.exception, at.exception
    return at


def captions(at: AppTest) -> str:
    return "\n".join(seen(each.value) for each in at.caption)


def seen(markdown: str) -> str:
    """Return text escaped by `plain` as a reader sees it."""
    return re.sub(r":color\[(.)\]", r"\1", markdown).replace("\\", "")


# Compare


def test_an_empty_lab_says_how_to_start_measuring() -> None:
    for part in ("Compare", "Read my drawing"):
        at = opened(part, SEVEN)
        assert [each.value for each in at.info] == [
            "Nothing has been measured yet. To start, run `python -m mnist_app lab`."
        ]
        assert not at.dataframe


COLUMNS = {
    "Model": "title",
    "Kind": "family",
    "Test": "accuracy",
    "Expected": "expected.accuracy",
    "Pen strokes": "ink",
    "Precision": "precision",
    "Recall": "recall",
    "F1": "f1",
    "Calibration error": "calibration_error",
    "Calibrated": "calibrated_error",
    "Parameters": "parameters",
    "kB": "bytes",
    "kB, compressed": "zipped",
    "ms": "latency.median",
    "ms, p95": "latency.p95",
    "Own library, ms": "own.median",
    "Pictures a second": "throughput",
    "Learned in s": "seconds",
    "Memory, MB": "memory",
}
PERCENT = {"Test", "Expected", "Pen strokes", "Precision", "Recall", "F1", "Calibration error", "Calibrated"}


def kept(name: str, path: str) -> Any:
    """Return a figure as it is in the file."""
    found = json.loads((lab_folder() / name / FIGURES).read_text())
    for key in path.split("."):
        found = found and found[key]
    return found


def test_the_table_lists_the_best_first_with_every_figure(a_lab: dict[str, Figures]) -> None:
    shown = opened().dataframe[0].value
    assert list(shown.columns) == list(COLUMNS)
    for at, name in enumerate(("mnist-cnn", "giant", "toy", "rebel")):
        for column, path in COLUMNS.items():
            value, scale = kept(name, path), 100 if column in PERCENT else 1 / 1000 if column.startswith("kB") else 1
            if value is None:
                assert np.isnan(shown[column][at]), (name, column)
            elif isinstance(value, str):
                assert shown[column][at] == value
            else:
                assert shown[column][at] == pytest.approx(scale * value), (name, column)


def test_models_more_than_0_3_points_below_expectation_are_named(a_lab: dict[str, Figures]) -> None:
    put(lab_folder(), figures("close", accuracy=0.8971, expected=Expected(0.9, "a book")))
    put(lab_folder(), figures("short", accuracy=0.8969, expected=Expected(0.9, "a book")))
    [said] = [line for line in captions(opened()).splitlines() if line.startswith("More than 0.3 points below")]
    assert "A short" in said and "star" in said and "A close" not in said and "A toy" not in said


def test_the_reason_why_a_model_is_missing_is_shown(a_lab: dict[str, Figures]) -> None:
    write_json(lab_folder() / "kite" / PROBLEM, {"problem": "There was no *wind*."})
    [notice] = opened().warning
    assert seen(notice.value) == "kite is missing. There was no *wind*."


def test_a_model_missing_from_the_shipped_lab_says_how_to_measure_it(
    a_lab: dict[str, Figures], nothing_shipped: Path
) -> None:
    write_json(nothing_shipped / "kite" / PROBLEM, {"problem": "There was no wind there."})
    at = opened()
    assert not at.warning
    assert "kite is missing. To measure it: `python -m mnist_app lab --models kite`" in captions(at)


def test_broken_figures_do_not_hide_the_other_models(a_lab: dict[str, Figures]) -> None:
    write_json(lab_folder() / "giant" / FIGURES, asdict(a_lab["giant"]) | {"throughput": float("nan")})
    (lab_folder() / "rebel" / FIGURES).write_text('{"name": "rebel"')
    assert list(opened().dataframe[0].value["Model"]) == ["Ours", "A toy"]


def test_picking_a_row_shows_the_model_and_what_is_expected_of_it(a_lab: dict[str, Figures]) -> None:
    at = opened(row=2)
    assert at.header[0].value == "A toy"
    assert "It plays." in [each.value for each in at.markdown]
    assert "Expected: 90.00% (every child knows)." in captions(at)
    assert [each.value for each in at.code] == ["as one likes", "python -m mnist_app lab --models toy"]
    assert "Expected:" not in captions(opened(row=1)), "nothing is expected of the giant"
    assert "Ours falls short" not in captions(at)
    falls = "Expected: 90.00% (every child knows). Ours falls short of that"
    assert f"{falls}." in captions(opened(row=3))
    put(lab_folder(), figures("rebel", accuracy=0.85, expected=Expected(0.9, "every child knows", "it rebels.")))
    assert f"{falls}: it rebels." in captions(opened(row=3))


def test_the_confusion_matrix_holds_all_test_digits(a_lab: dict[str, Figures]) -> None:
    table = re.findall(r'<table class="confusion still">.*?</table>', html_of(opened(row=2)), re.S)[0]
    cells = [int(cell.replace("·", "0")) for cell in re.findall(r"<td class[^>]*>(\d+|·)</td>", table)]
    assert cells == np.ravel(a_lab["toy"].confusion).tolist() and sum(cells) == 10_000
    assert "1,000 are misread" in table


def test_only_a_model_that_learned_step_by_step_has_curves(a_lab: dict[str, Figures]) -> None:
    shown = html_of(opened(row=2))
    right, loss = re.findall(r'<figure class="training-curve">.*?</figure>', shown, re.S)
    assert "Read right" in right and "validation 91.00%; training 90.00%" in right
    assert "Loss, nats" in loss and "validation 0.300; training 0.400" in loss
    assert "made harder on purpose" in captions(opened(row=2))
    at = opened(row=3)
    assert "training-curve" not in html_of(at) and "there are no curves" in captions(at)


def test_models_that_can_be_run_link_to_their_mistakes_in_explore(a_lab: dict[str, Figures]) -> None:
    for row, name in ((0, "mnist-cnn"), (2, "toy"), (3, "rebel")):
        at = opened(row=row)
        at.button("lab_mistakes").click().run()
        view = at.session_state["view"]
        assert (view.model, view.filters.verdict) == (name, "wrong")
    at = opened(row=1)
    assert not [button for button in at.button if button.key == "lab_mistakes"]
    says = "Too large to come with the app. To look at its mistakes: `python -m mnist_app lab --models giant`"
    assert says in captions(at)


# The cost of accuracy


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6))))
def test_the_pareto_line_joins_the_points_that_no_other_beats(points: list[tuple[float, float]]) -> None:
    def is_beaten(cost: float, gain: float) -> bool:
        return any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)

    assert pareto(points) == sorted({point for point in points if not is_beaten(*point)})


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("gain", GAINS)
def test_every_model_with_both_figures_is_a_dot_where_they_put_it(
    cost: str, gain: str, a_lab: dict[str, Figures]
) -> None:
    found = [*a_lab.values(), figures("perfect", accuracy=1.0, ink=1.0, family=COMPRESSED)]
    costs: dict[str, Callable[[Figures], float]] = {
        "parameters": lambda each: each.parameters,
        "bytes": lambda each: each.zipped,
        "microseconds": lambda each: 1000 * each.latency.median,
        "seconds": lambda each: each.seconds,
    }
    expected = []
    for each in found:
        right = each.accuracy if gain == "test" else each.ink
        if right is not None and costs[cost](each):
            expected.append((each.family.capitalize(), costs[cost](each), max(1 - right, 1e-4)))
    line, *families = tradeoff(found, COSTS[cost], GAINS[gain]).data
    assert [family.name for family in families] == [name.capitalize() for name in FAMILIES]
    dots = [(family.name, x, y) for family in families for x, y in zip(family.x, family.y, strict=True)]
    for dot, known in zip(sorted(dots), sorted(expected), strict=True):
        assert dot[0] == known[0] and dot[1:] == pytest.approx(known[1:])
    assert [max(1 - y, 0) for _, y in pareto([(x, 1 - y) for _, x, y in expected])] == pytest.approx(list(line.y))


def test_the_hover_text_of_a_dot_names_the_model_and_is_escaped(a_lab: dict[str, Figures]) -> None:
    _, *families = tradeoff([a_lab["rebel"]], COSTS["bytes"], GAINS["test"]).data
    said = "".join("".join(family.hovertext) for family in families)
    assert said.startswith(f"<b>{html.escape(TITLE)}</b><br>85.00% of test digits<br>")
    assert "29 kB compressed" in said and "7,850 numbers" in said


def test_the_visitor_can_choose_both_axes(a_lab: dict[str, Figures]) -> None:
    at = opened()
    at.segmented_control("lab_cost").set_value("seconds").run()
    at.segmented_control("lab_gain").set_value("ink").run()
    [chart] = at.get("plotly_chart")
    proto: Any = chart.proto
    assert "Seconds of training" in proto.spec and "Real pen strokes read right" in proto.spec


# The visitor's own drawing


def tiles(shown: str) -> dict[str, tuple[str, bool]]:
    """Return what each model reads, by title, and whether it is marked."""
    found = re.findall(
        r'<li class="(odd)?"><b>(.)</b><span class="sure">[^<]*</span><span class="who">(.*?)</span>', shown
    )
    return {html.unescape(title): (read, bool(odd)) for odd, read, title in found}


def test_all_available_models_read_the_drawing_and_disagreement_is_marked(
    a_lab: dict[str, Figures], mean_digit: nn.Module
) -> None:
    pixels = pixels_of_drawing(Drawing.from_points(ONE))
    own = load_model(find_model("mnist-cnn")).network
    networks = {"A toy": mean_digit, TITLE: OneFurther(mean_digit), "Ours": own}
    read = {title: str(int(logits_of(network, pixels[None]).argmax())) for title, network in networks.items()}
    assert read == {"A toy": "1", TITLE: "2", "Ours": "1"}, "else this test would prove nothing"
    at = opened("Read my drawing", ONE)
    assert tiles(html_of(at)) == {title: (digit, digit != "1") for title, digit in read.items()}
    assert "2 read 1, 1 does not." in html_of(at)
    assert "<img src=x" not in html_of(at)
    assert "Too large to come with the app: A giant." in captions(at)


def test_only_the_first_digit_of_a_number_is_read(a_lab: dict[str, Figures]) -> None:
    seventeen = [[[x / 2, y] for x, y in ONE[0]], *([[x / 2 + 120, y] for x, y in stroke] for stroke in SEVEN)]
    at = opened("Read my drawing", seventeen)
    assert "There is a number on the pad. Only its first digit is read here." in captions(at)
    assert tiles(html_of(at))["Ours"][0] == "1"


def test_a_refusal_shows_how_sure_the_model_is_of_it() -> None:
    refused = Prediction((0.2, *[0.8 / 9] * 9), "m", doubt=0.93, is_digit=False)
    read = Prediction((0.6, *[0.4 / 9] * 9), "m", doubt=0.1)
    shown = _answers_html(np.zeros((28, 28), np.uint8), [("One", refused), ("Other", read)])
    assert re.findall(r'<b>(.)</b><span class="sure">([^<]*)</span>', shown) == [("?", "93%"), ("0", "60%")]


def test_a_blank_pad_offers_to_go_to_the_draw_page(a_lab: dict[str, Figures]) -> None:
    at = opened("Read my drawing")
    assert [button.key for button in at.button] == ["lab_draw"] and not tiles(html_of(at))
    assert not at.button("lab_draw").click().run().exception


def test_a_broken_model_says_why_and_the_others_still_answer(a_lab: dict[str, Figures]) -> None:
    (lab_folder() / "rebel" / GRAPH).write_bytes(b"broken")
    at = opened("Read my drawing", ONE)
    assert "it is broken" in at.warning[0].value
    assert tiles(html_of(at)) == {"A toy": ("1", False), "Ours": ("1", False)} and "All read 1." in html_of(at)


def test_if_no_model_can_answer_the_missing_ones_are_named() -> None:
    put(lab_folder(), figures("giant"))
    at = opened("Read my drawing", SEVEN)
    assert not tiles(html_of(at)) and "Too large to come with the app: A giant." in captions(at)


def answer(digit: int, is_digit: bool = True) -> Prediction:
    return Prediction(tuple(np.eye(10)[digit].tolist()), "any", is_digit=is_digit)


@pytest.mark.parametrize(
    ("answers", "says", "odd"),
    [
        ([answer(7)] * 3, "All read 7.", []),
        ([answer(7), answer(1), answer(7)], "2 read 7, 1 does not.", [1]),
        ([answer(7), answer(7), answer(1), answer(2)], "2 read 7, 2 do not.", [2, 3]),
        ([answer(7), answer(7), answer(7, False)], "2 read 7, 1 does not.", [2]),
        ([answer(7, False), answer(1, False), answer(7)], "2 read no digit in it, 1 does not.", [2]),
    ],
)
def test_the_majority_reading_is_named_and_the_others_are_marked(
    answers: Sequence[Prediction], says: str, odd: list[int]
) -> None:
    reads = [(f"m{at}", read) for at, read in enumerate(answers)]
    shown = _answers_html(np.zeros((28, 28), np.uint8), reads)
    assert f'<p class="sentence">{says}</p>' in shown
    assert [at for at, (_, is_odd) in enumerate(tiles(shown).values()) if is_odd] == odd


# Studies


def test_studies_that_were_not_run_say_how_to_run_them() -> None:
    assert "Not measured yet. Run `python -m mnist_app lab --models effects`" in captions(opened("One knob at a time"))
    says = "Not measured yet. Run `python -m mnist_app lab --models transfer --ink FOLDER`"
    assert says in captions(opened("Learning from few"))


def test_every_run_of_an_effect_has_its_curve() -> None:
    runs = [Run("none", CURVES), Run("<b>much</b>", CURVES[:1])]
    write_json(lab_folder() / "effects.json", {"parts": [asdict(EffectResult("Noise", "It hurts.", runs))]})
    at = opened("One knob at a time")
    assert "**Noise.** It hurts." in [each.value for each in at.markdown]
    first, second = re.findall(r'<figure class="training-curve">.*?</figure>', html_of(at), re.S)
    assert "Loss, none" in first and "validation 0.300; training 0.400" in first
    assert "Loss, &lt;b&gt;much&lt;/b&gt;" in second and "validation 0.600; training 0.900" in second
    assert "In the end, it reads 91.00% of the validation digits right." in captions(at)


WAY = Direction("MNIST", "pens", 5000, 0.8, [Point(10, [0.8, 0.9], [0.1, 0.2]), Point(100, [0.95, 0.97], [0.5, 0.9])])


@pytest.mark.parametrize("ways", [[WAY], [WAY, Direction("pens", "MNIST", 10_000, 0.7, WAY.points)]])
def test_the_transfer_study_has_a_chart_for_each_direction(ways: list[Direction]) -> None:
    write_json(lab_folder() / "transfer.json", {"parts": [asdict(way) for way in ways]})
    at = opened("Learning from few")
    assert len(at.get("plotly_chart")) == len(ways)
    assert "Without any sample of pens, 80.0% are read right. Measured on 5,000" in captions(at)
    assert "the mean of 2 runs" in captions(at)


def test_transfer_curves_are_means_with_the_best_and_the_worst_run() -> None:
    knowing, scratch = shares_over_samples(WAY).data
    assert list(knowing.x) == list(scratch.x) == [10, 100]
    np.testing.assert_allclose(knowing.y, [85, 96])
    np.testing.assert_allclose(scratch.y, [15, 70])
    np.testing.assert_allclose([scratch.error_y.array, scratch.error_y.arrayminus], [[5, 20], [5, 20]])


# Made smaller


def test_without_compressed_models_the_page_says_how_to_make_them(a_lab: dict[str, Figures]) -> None:
    assert "Not measured yet. Run `python -m mnist_app lab --models mnist-cnn …`" in captions(opened("Made smaller"))


def test_compressed_models_are_compared_with_the_whole_one_in_pytorch() -> None:
    whole = {"own": Latency(2.0, 3.0), "latency": Latency(0.5, 0.6), "zipped": 200_000, "accuracy": 0.99}
    put(lab_folder(), figures("mnist-cnn", title="Ours", family=OWN, **whole))
    less = {"latency": Latency(0.4, 0.6), "zipped": 50_000, "accuracy": 0.985}
    put(lab_folder(), figures("mnist-cnn-int8", title="<b>8</b> bits", family=COMPRESSED, **less))
    [table] = re.findall(r'<table class="compared">.*?</table>', html_of(opened("Made smaller")), re.S)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    assert rows[1:] == [
        ["Ours, by PyTorch", "99.00%", "0.00", "200", "0%", "2000", "0%"],
        ["Ours, by ONNX Runtime", "99.00%", "0.00", "200", "0%", "500", "75%"],
        ["&lt;b&gt;8&lt;/b&gt; bits", "98.50%", "0.50", "50", "75%", "400", "80%"],
    ]


# From pixels to numbers


def test_the_basics_show_the_source_code_that_the_app_runs() -> None:
    shown = [each.value for each in opened("From pixels to numbers").code]
    for function in (batch_of, rows_of, load_split, augment):
        assert inspect.getsource(function).strip() in [code.strip() for code in shown], function.__name__


def test_the_basics_show_real_pixels_and_labels_before_and_after() -> None:
    at = opened("From pixels to numbers")
    digits = load_split("validation")
    corner = digits.images[np.flatnonzero(digits.labels == 5)[2], 8:16, 8:16]
    before, after = ([line.split() for line in each.value.splitlines()] for each in at.code[:2])
    np.testing.assert_array_equal(np.array(before, int), corner)
    np.testing.assert_allclose(np.array(after, float), corner / 255, atol=0.0051)
    [labels] = [each.value for each in at.code if "one-hot" in each.value]
    hot, smoothed = ([float(number) for number in line.split()[1:]] for line in labels.splitlines()[1:])
    assert hot == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert smoothed[5] == pytest.approx(0.955) and sum(smoothed) == pytest.approx(1)
    assert at.tabs[0].label == "Normalising" and len(at.tabs) == 5


# On the other pages


def test_a_link_to_explore_shows_the_mistakes_of_a_lab_model(a_toy: Path, mean_digit: nn.Module) -> None:
    at = open_page("explore")
    at.query_params.update({"model": "toy", "verdict": "wrong"})
    at.run()
    while at.get("progress"):
        at.run()
    assert not at.exception
    digits = load_split("validation")
    wrong = int((logits_of(mean_digit, digits.images).argmax(dim=1).numpy() != digits.labels).sum())
    assert 500 < wrong < 1500, "else this test would prove nothing"
    assert f"<strong>{wrong:,}</strong> are misread" in html_of(at)
    assert re.findall(r'<h2 class="described"[^>]*>([^<]*)<', html_of(at)) == [f"{wrong:,} digits misread"]
    assert at.selectbox("explore_model").value == "toy"


def test_a_lab_model_is_not_offered_on_the_other_pages(a_toy: Path) -> None:
    at = open_page("models").run()
    assert not at.exception and "toy" not in [each.value for each in at.header]
    assert "toy" not in at.multiselect("compared").options
    at = open_page("break_it").run()
    assert "toy" not in at.multiselect(BREAK_MODELS).options
    at = open_page("explore").run()
    assert "toy" not in at.selectbox("explore_model").options


def asked_in_explore(model: str, question: str | None = None) -> AppTest:
    at = open_page("explore")
    at.query_params.update({"model": model, "open": "321", "panel": "picture"})
    at.session_state[WHY_PICTURE] = question
    for _ in range(200):
        at.run()
        assert not at.exception, at.exception
        if at.pills:
            return at
    raise AssertionError("the picture never came")


def test_a_model_that_is_only_a_graph_is_asked_only_what_it_can_answer(a_toy: Path) -> None:
    at = asked_in_explore("toy", "Where did it look?")  # left open from another model
    assert at.pills[0].options == [CHANGE] and at.pills[0].value is None
    at.pills[0].set_value(CHANGE).run()
    assert not at.exception and "It is read as" in html_of(at)


def test_a_model_that_is_only_a_graph_shows_what_it_saw_but_no_layers(a_toy: Path) -> None:
    at = open_page("draw")
    at.session_state["model"] = "toy"  # the page does not offer it
    at.session_state["pad"] = canvas.Pad(latest=ink(SEVEN))
    at.session_state[session.WHY] = "What did it see?"
    assert shared.sketch("toy").result(60)
    at.run()
    assert not at.exception and at.pills[0].options == ["What did it see?", "When did it decide?", CHANGE]
    assert "finds most similar" in html_of(at) and not at.toggle
    at.session_state[session.WHY] = "When did it decide?"
    assert "it was" in html_of(at.run()) or "became" in html_of(at)
