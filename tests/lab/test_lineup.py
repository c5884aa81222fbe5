"""Who stands in the table, and what one has to do to stand there."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from mnist_app.lab import contenders as folder
from mnist_app.lab.contender import COMPRESSED, FAMILIES, OWN, Contender
from mnist_app.lab.lineup import MODULES, contenders
from mnist_app.models.registry import LONGEST_CONFIG, LONGEST_TEXT, model_folders


@pytest.fixture(scope="module")
def everybody() -> Sequence[Contender]:
    return contenders()


def test_every_file_of_a_contender_is_in_the_line_up() -> None:
    files = {path.stem for path in Path(folder.__path__[0]).glob("*.py")} - {"__init__"}
    assert sorted(MODULES) == sorted(files)


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
        assert contender.recipe and " at 0x" not in contender.recipe, "an address of today's memory"
        assert len(contender.recipe) < LONGEST_CONFIG / 2 and len(contender.idea) < LONGEST_TEXT
    assert [each.recipe for each in contenders()] == [each.recipe for each in everybody]


def test_what_the_literature_says_is_an_accuracy_with_a_source(everybody: Sequence[Contender]) -> None:
    for contender in everybody:
        assert contender.family in FAMILIES
        if contender.expected:
            assert 0.5 < contender.expected.accuracy < 1 and contender.expected.source
        else:
            assert contender.family in (OWN, COMPRESSED)
