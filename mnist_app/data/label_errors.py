"""MNIST's test labels that are in doubt, with the reason.

Northcutt, Athalye and Mueller ("Pervasive Label Errors in Test Sets", NeurIPS 2021) showed each candidate to five
people and published how many chose the label, how many the other digit, and how many neither. These are the fifteen
pictures for which fewer than three of the five chose the label.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PEOPLE = 5
_NUMBERS = ("none", "one", "two", "three", "four", "all five")


@dataclass(frozen=True)
class Doubt:
    """What five people said about one picture."""

    label: int  # in MNIST
    other: int  # what else it may be
    for_label: int  # of the five people
    for_other: int

    @property
    def reason(self) -> str:
        """The doubt in one sentence."""
        neither = PEOPLE - self.for_label - self.for_other
        said = [f"{_NUMBERS[self.for_label]} agreed with the label {self.label}"]
        said.append(f"{_NUMBERS[self.for_other]} saw {_article(self.other)} {self.other}")
        if neither:
            said.append(f"{_NUMBERS[neither]} saw neither")
        return f"Of five people asked, {', '.join(said[:-1])} and {said[-1]}."


def _article(digit: int) -> str:
    return "an" if digit == 8 else "a"


# By index in the test split, from 0.
DOUBTS: Mapping[int, Doubt] = {
    947: Doubt(8, 9, 0, 5),
    1621: Doubt(0, 6, 2, 3),
    1901: Doubt(9, 4, 2, 3),
    2130: Doubt(4, 9, 2, 2),
    2462: Doubt(2, 0, 0, 4),
    2597: Doubt(5, 3, 0, 4),
    2654: Doubt(6, 1, 0, 2),
    3520: Doubt(6, 4, 2, 0),
    3558: Doubt(5, 0, 1, 4),
    5937: Doubt(5, 3, 1, 3),
    6651: Doubt(0, 6, 0, 5),
    6783: Doubt(1, 6, 2, 3),
    8527: Doubt(4, 9, 2, 2),
    9679: Doubt(6, 3, 2, 0),
    9729: Doubt(5, 6, 2, 3),
}
