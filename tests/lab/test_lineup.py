"""Which models are in the table, and how to add one."""

import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mnist_app.data.dataset import Digits
from mnist_app.lab import contenders as folder
from mnist_app.lab import lineup
from mnist_app.lab.contender import COMPRESSED, FAMILIES, OWN, Contender
from mnist_app.lab.figures import FIGURES, read_figures, table
from mnist_app.lab.lineup import MODULES, contenders
from mnist_app.lab.measure import learn_and_measure
from mnist_app.models.registry import LONGEST_CONFIG, LONGEST_TEXT, model_folders
from mnist_app.reading.recognition import load_recogniser
from mnist_app.storage import SHIPPED_LAB, lab_folder

from ..web.test_pages import open_page

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture(scope="module")
def everybody() -> Sequence[Contender]:
    return contenders()


def test_every_file_of_a_contender_is_in_the_line_up() -> None:
    files = {path.stem for path in Path(folder.__path__[0]).glob("*.py")} - {"__init__"}
    assert sorted(MODULES) == sorted(files)


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Adds the README's example as a file and a line with its name; returns the name."""
    name = "discriminant"
    example = README.split("`mnist_app/lab/lineup.py`:")[1].split("A network is as short")[0]
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(example))
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    monkeypatch.setattr(lineup, "MODULES", (*MODULES, name))
    yield name
    sys.modules.pop(f"{folder.__name__}.{name}", None)


def test_a_stranger_adds_a_model_in_one_file_and_one_line(
    stranger: str, few: Digits, nothing_shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_app.lab.measure.load_split", lambda split: few)
    assert f"say `{stranger}.py`" in README
    contender = contenders()[-1]
    learn_and_measure(contender, lab_folder() / contender.name)
    [found] = table()
    assert (found.name, found.parameters, found.accuracy > 0.9) == ("discriminant", 7840, True)
    assert list(open_page("lab").run().dataframe[0].value["Model"]) == ["Linear discriminant analysis"]
    assert load_recogniser("discriminant").is_opaque


def test_no_two_have_the_same_name_or_title(everybody: Sequence[Contender]) -> None:
    for known in ([each.name for each in everybody], [each.title for each in everybody]):
        assert [name for name, count in Counter(known).items() if count > 1] == []


def test_none_but_this_app_s_own_has_the_name_of_a_model_to_read_with(everybody: Sequence[Contender]) -> None:
    shipped = {each.name for each in everybody if each.family == OWN}
    assert {each.name for each in everybody} & set(model_folders()) == shipped


def test_who_is_made_from_others_stands_behind_them(everybody: Sequence[Contender]) -> None:
    names = [each.name for each in everybody]
    for contender in everybody:
        assert all(names.index(needed) < names.index(contender.name) for needed in contender.needs)


def test_a_recipe_is_the_same_tomorrow_and_fits_on_a_card(everybody: Sequence[Contender]) -> None:
    for contender in everybody:
        assert contender.recipe and " at 0x" not in contender.recipe, "a memory address, which changes"
        assert len(contender.recipe) < LONGEST_CONFIG / 2 and len(contender.idea) < LONGEST_TEXT
    assert [each.recipe for each in contenders()] == [each.recipe for each in everybody]


def test_what_came_with_the_app_was_measured_by_the_recipes_that_there_are(everybody: Sequence[Contender]) -> None:
    known = {contender.name: contender.recipe for contender in everybody}
    shipped = [found for path in SHIPPED_LAB.glob(f"*/{FIGURES}") if (found := read_figures(path.parent))]
    assert len(shipped) > 20
    assert {found.name for found in shipped if found.recipe != known[found.name]} == set()


def test_what_the_literature_says_is_an_accuracy_with_a_source(everybody: Sequence[Contender]) -> None:
    for contender in everybody:
        assert contender.family in FAMILIES
        if contender.expected:
            assert 0.5 < contender.expected.accuracy < 1 and contender.expected.source
        else:
            assert contender.family in (OWN, COMPRESSED)
