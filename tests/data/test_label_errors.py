from mnist_app.data.dataset import load_split
from mnist_app.data.label_errors import DOUBTS, PEOPLE

from ..conftest import full_mnist


def test_the_fifteen_doubted_labels_are_those_of_the_data() -> None:
    full_mnist()
    labels = load_split("test").labels
    assert len(DOUBTS) == 15
    assert all(labels[index] == doubt.label != doubt.other for index, doubt in DOUBTS.items())


def test_fewer_than_three_of_five_people_saw_a_doubted_label() -> None:
    assert all(doubt.for_label < 3 and doubt.for_label + doubt.for_other <= PEOPLE for doubt in DOUBTS.values())


def test_the_reason_for_a_doubt_is_a_sentence() -> None:
    assert DOUBTS[947].reason == "Of five people asked, none agreed with the label 8 and all five saw a 9."
    assert (
        DOUBTS[2654].reason == "Of five people asked, none agreed with the label 6, two saw a 1 and three saw neither."
    )
