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


def test_every_contender_file_is_in_the_line_up() -> None:
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


def test_the_readmes_example_adds_a_model_with_one_file_and_one_line(
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


def test_no_two_contenders_share_a_name_or_title(everybody: Sequence[Contender]) -> None:
    for known in ([each.name for each in everybody], [each.title for each in everybody]):
        assert [name for name, count in Counter(known).items() if count > 1] == []


def test_only_this_apps_models_share_names_with_readers(everybody: Sequence[Contender]) -> None:
    shipped = {each.name for each in everybody if each.family == OWN}
    assert {each.name for each in everybody} & set(model_folders()) == shipped


def test_a_contender_comes_after_those_it_is_made_from(everybody: Sequence[Contender]) -> None:
    names = [each.name for each in everybody]
    for contender in everybody:
        assert all(names.index(needed) < names.index(contender.name) for needed in contender.needs)


def test_recipes_are_stable_and_fit_on_a_card(everybody: Sequence[Contender]) -> None:
    for contender in everybody:
        assert contender.recipe and " at 0x" not in contender.recipe, "a memory address, which changes"
        assert len(contender.recipe) < LONGEST_CONFIG / 2 and len(contender.idea) < LONGEST_TEXT
    assert [each.recipe for each in contenders()] == [each.recipe for each in everybody]


def test_shipped_figures_are_of_the_current_recipes(everybody: Sequence[Contender]) -> None:
    known = {contender.name: contender.recipe for contender in everybody}
    shipped = [found for path in SHIPPED_LAB.glob(f"*/{FIGURES}") if (found := read_figures(path.parent))]
    assert len(shipped) > 20
    assert {found.name for found in shipped if found.recipe != known[found.name]} == set()


def test_models_from_the_literature_have_an_expected_accuracy_with_a_source(everybody: Sequence[Contender]) -> None:
    for contender in everybody:
        assert contender.family in FAMILIES
        if contender.expected:
            assert 0.5 < contender.expected.accuracy < 1 and contender.expected.source
        else:
            assert contender.family in (OWN, COMPRESSED)
