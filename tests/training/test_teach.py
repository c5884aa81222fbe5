"""A lesson: what is learned, what is kept, and what is reported."""

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mnist_app.__main__ import _parser
from mnist_app.data.corrections import keep, to_json_lines
from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.trajectory import trajectory_of
from mnist_app.models.networks import build
from mnist_app.models.pennet import PenNet
from mnist_app.models.registry import find_model, load_card, load_model
from mnist_app.reading.number import read_drawing
from mnist_app.reading.recognition import load_recogniser
from mnist_app.training.inkset import Ink
from mnist_app.training.jobs import Request
from mnist_app.training.pen import teach_pen
from mnist_app.training.teach import SHARES, Change, Taught, _change, _taught_pen, affordable_share, blend, lesson

from ..conftest import full_mnist

FLAGGED = [[[95, 165], [130, 120], [172, 62], [173, 130], [174, 285]]]  # a one that looks like MNIST's sevens


def run(*words: str) -> None:
    """Run the command line."""
    arguments = _parser().parse_args(words)
    arguments.run(arguments)


@pytest.fixture
def three_ones(tmp_path: Path) -> Path:
    for number in range(3):
        wider = [[[x + number * (170 - x) / 8, y] for x, y in stroke] for stroke in FLAGGED]
        keep(Drawing.from_points(wider), 1, "7", "mnist-cnn", "anna")
    folder = tmp_path / "ink"
    folder.mkdir()
    (folder / "corrections.jsonl").write_text(to_json_lines())
    return folder


def test_a_lesson_teaches_its_drawings_and_hardly_costs_accuracy(
    three_ones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full_mnist()
    run("teach", "mnist-cnn", "--name", "taught", "--ink", str(three_ones))
    said = capsys.readouterr().out
    card = load_card(find_model("taught"))
    assert "Of 3 drawings, it reads 3 right" in said
    assert card.parent == "mnist-cnn" and "3 corrected drawings" in card.data
    assert card.command == "python -m mnist_app teach mnist-cnn --name taught --ink INK_FOLDER"
    parent = load_card(find_model("mnist-cnn"))
    for split in ("validation", "test"):
        assert card.metrics[split]["accuracy"] > parent.metrics[split]["accuracy"] - 0.002
    assert load_model(find_model("taught")).card.temperature == parent.temperature


def test_a_lesson_also_teaches_the_pen_network_but_at_most_half_of_the_way(
    three_ones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_mnist()
    all_the_way: list[PenNet] = []

    def watched(*arguments: Any) -> PenNet:
        all_the_way.append(teach_pen(*arguments))
        return all_the_way[-1]

    monkeypatch.setattr("mnist_app.training.teach.teach_pen", watched)
    run("teach", "ink-cnn", "--name", "taught", "--ink", str(three_ones))
    parent, taught = (load_model(find_model(name)) for name in ("ink-cnn", "taught"))
    assert parent.pen and taught.pen and parent.card.pen and taught.card.pen
    assert taught.card.pen.command == taught.card.command
    assert (taught.card.pen.temperature, taught.card.pen.refusal) == (
        parent.card.pen.temperature,
        parent.card.pen.refusal,
    )
    drawing = Drawing.from_points(FLAGGED)
    ways = torch.from_numpy(trajectory_of(drawing)[None])
    with torch.inference_mode():
        before, after = (model.pen(ways).softmax(dim=1)[0, 1] for model in (parent, taught) if model.pen)
    assert after > before
    start, end, pen = (one.classifier.weight for one in (parent.pen, all_the_way[0], taught.pen))
    assert 0.1 < torch.dist(pen, start) / torch.dist(end, start) < 0.51
    assert read_drawing(load_recogniser("taught"), drawing).text == "1"


def test_a_lesson_skips_the_pen_network_if_there_is_none_or_no_drawing_for_it(
    tiny_digits: Digits,
) -> None:
    one, of_six = Drawing.from_points(FLAGGED), Drawing.from_points([[[x, 0], [x, 100]] for x in range(6)])
    for model, drawing in (("mnist-cnn", one), ("ink-cnn", of_six)):
        teacher = load_model(find_model(model))
        ink = Ink((drawing,), np.array([1]), ())
        assert _taught_pen(teacher, ink, tiny_digits, lesson(teacher.card, 1), "") is None


def test_a_lab_model_cannot_be_taught(a_toy: Path) -> None:
    with pytest.raises(AppError, match="'toy' is only a graph: it answers, but cannot be taught"):
        lesson(load_card(a_toy), 1)


def test_a_lesson_from_a_folder_without_drawings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="holds no drawings"):
        run("teach", "mnist-cnn", "--name", "taught", "--ink", str(tmp_path))


@pytest.mark.parametrize("drawings", [1, 2, 10, 500])
def test_a_lesson_has_at_most_30_copies_of_a_drawing_and_500_in_all(drawings: int) -> None:
    for name in ("mnist-cnn", "ink-cnn"):
        config = lesson(load_card(find_model(name)), drawings)
        assert config.ink and 1 <= config.ink.copies <= 30
        assert drawings * config.ink.copies <= 500
        assert config.ink.copies > 1 or drawings == 500, "few drawings are repeated"
        asked = Request("m", config, "", name)
        from_disk = json.loads(json.dumps(asdict(asked)))
        assert Request.from_json(from_disk) == asked


def test_a_request_with_ink_but_no_parent_model_is_refused() -> None:
    asked = Request("m", lesson(load_card(find_model("mnist-cnn")), 10), "", None)
    with pytest.raises(ValueError):
        Request.from_json(json.loads(json.dumps(asdict(asked))))


@pytest.mark.parametrize(
    ("lost", "share"), [((3, 0, 0, 0), 1.0), ((4, 3, 0, 0), 0.6), ((40, 4, -5, 0), 0.3), ((40, 9, 4, 3), 0.15)]
)
def test_a_lesson_takes_the_largest_share_that_costs_no_more_than_allowed(lost: tuple[int, ...], share: float) -> None:
    assert affordable_share(dict(zip(SHARES, lost, strict=True)).__getitem__, 5_000) == share


def test_a_lesson_whose_smallest_share_costs_too_much_is_not_kept() -> None:
    with pytest.raises(
        AppError, match=r"Even 15% of the way .* costs 4 of 5,000 .* may cost at most 3\. Nothing was kept"
    ):
        affordable_share(lambda share: 4, 5_000)


def test_a_blend_of_two_networks_interpolates_their_weights() -> None:
    old, new = build("convnet"), build("convnet")
    half = blend(old, new, 0.5).state_dict()
    for name, start in old.state_dict().items():
        if start.is_floating_point():
            assert torch.allclose(half[name], (start + new.state_dict()[name]) / 2)
    assert all(torch.equal(start, blend(old, new, 0).state_dict()[name]) for name, start in old.state_dict().items())


def test_mended_and_broken_digits_match_those_that_a_slow_loop_finds() -> None:
    random = np.random.default_rng(0)
    labels, before, after = (random.integers(0, 3, 50) for _ in range(3))
    found = _change("test", labels, before, after)
    rows = list(zip(labels, before, after, strict=True))
    assert found.mended == tuple(n for n, (label, was, now) in enumerate(rows) if was != label == now)
    assert found.broken == tuple(n for n, (label, was, now) in enumerate(rows) if was == label != now)
    assert found.broken_as == tuple(after[list(found.broken)])
    assert found.after - found.before == len(found.mended) - len(found.broken)


def test_the_results_of_a_lesson_survive_a_round_trip_through_json() -> None:
    taught = Taught("mnist-cnn", (7, 1), ("1", None), ("7", "1"), (Change("test", 10, 9, 8, (), (4,), (2,)),), 0.6)
    assert Taught.from_json(taught.to_json()) == taught
    assert taught.sentence.startswith("Of 2 drawings, it reads 2 right (0 before); of the test digits, 80.00% (90.00%")
    assert "It went 60% of the way" in taught.sentence
    of_old = json.dumps({**json.loads(taught.to_json()), "before": [1, None], "after": [7, 1], "gives_up_pen": True})
    assert Taught.from_json(of_old) == taught
    assert dataclasses.replace(taught, share=1.0).sentence.endswith("(90.00% before).")
    for broken in ("", "{}", '{"parent": 1, "labels": 3}', "[]"):
        with pytest.raises((ValueError, TypeError, KeyError)):
            Taught.from_json(broken)


def test_an_unknown_parent_model_is_named_in_the_error(three_ones: Path) -> None:
    with pytest.raises(AppError, match="No model named 'nobody'"):
        run("teach", "nobody", "--name", "taught", "--ink", str(three_ones))
