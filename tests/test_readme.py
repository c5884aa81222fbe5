"""Compares what the READMEs say with the code and the measured figures."""

import re
import subprocess
from pathlib import Path

from mnist_app.__main__ import _parser
from mnist_app.lab.figures import FIGURES, read_figures
from mnist_app.storage import SHIPPED_LAB

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / path for path in ("README.md", "weights/README.md", "tests/benchmarks/README.md")]
FRONT, WEIGHTS, TIMINGS = (page.read_text() for page in PAGES)
ALL = FRONT + WEIGHTS + TIMINGS
TREE = FRONT.split("## The tree")[1].split("```")[1]


def files_in_the_tree() -> set[str]:
    """The paths that the annotated tree names, by indentation."""
    parents: list[str] = []
    found = set()
    for line in filter(str.strip, TREE.splitlines()):
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        if not name.endswith("/"):
            found.add("".join(parents))
    return found


def tracked(*patterns: str) -> set[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_the_tree_names_every_file_of_the_app_and_no_other() -> None:
    on_disk = {path for path in tracked("app.py", "mnist_app") if not path.endswith("__init__.py")}
    assert files_in_the_tree() - {".streamlit/config.toml"} == on_disk


def test_every_command_in_the_readmes_can_be_parsed() -> None:
    parser = _parser()
    commands = re.findall(r"python -m mnist_app ([^#`\n]+)", ALL)
    assert len(commands) >= 5
    for command in commands:
        parser.parse_args(command.split())


def test_every_setting_in_the_readme_appears_in_the_code() -> None:
    names = set(re.findall(r"`((?:MNIST_APP|INK)_[A-Z_]+)`", FRONT))
    code = "".join((ROOT / path).read_text() for path in tracked("*.py"))
    assert names
    assert {name for name in names if f'"{name}"' not in code} == set()


def test_every_linked_picture_and_file_exists() -> None:
    for page in PAGES:
        links = re.findall(r"\]\(([^)#]+)", page.read_text())
        assert links
        assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_linked_heading_exists() -> None:
    headings = {re.sub(r"[^a-z -]", "", line.lower()).strip().replace(" ", "-") for line in WEIGHTS.splitlines()}
    anchors = re.findall(r"weights/README\.md#([a-z-]+)", FRONT)
    assert anchors and set(anchors) <= headings


def test_no_placeholder_or_merge_marker_is_left_in_the_readmes() -> None:
    assert not re.search(r"@[A-Z]+@|^[<>=]{7}( |$)", ALL, re.MULTILINE)  # placeholders, merge markers


def test_no_two_table_rows_in_the_readmes_share_a_long_label() -> None:
    firsts = [line.split("|")[1].strip() for line in ALL.splitlines() if line.startswith("| ")]
    told = [first for first in firsts if len(first) > 20]
    assert told
    assert sorted(set(told)) == sorted(told)


def test_the_labs_table_shows_the_measured_figures_best_first() -> None:
    measured = [found for path in SHIPPED_LAB.glob(f"*/{FIGURES}") if (found := read_figures(path.parent))]
    rows = [
        line.strip("| ").split(" | ") for line in WEIGHTS.split("| learned in s |")[1].split("\n\n")[0].splitlines()[2:]
    ]
    assert {row[0] for row in rows} == {found.title for found in measured}
    for found in measured:
        (row,) = [row for row in rows if row[0] == found.title]
        cells = [f"{found.accuracy:.2%}", "" if found.ink is None else f"{found.ink:.2%}", f"{found.parameters:,}"]
        cells += [f"{found.zipped / 1000:,.0f}", f"{1000 * found.latency.median:,.0f}"]
        assert [cell.strip() for cell in row[1:6]] == cells
        assert row[6] == (f"{found.seconds:,.0f}" if found.seconds >= 1 else "<1")
    accuracies = [float(row[1].strip("%")) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"make (\w+)", FRONT)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
