"""Each diff on the page about extending is applied to a copy of the source, and its check is run there."""

import re
import sys

import pytest

from support.pages import ROOT, apply_diffs, blocks, fences, run_elsewhere, run_shell

PAGE = ROOT / "docs" / "extending.md"


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """The source with all diffs of the page applied, one after the other."""
    folder = tmp_path_factory.mktemp("extended")
    assert apply_diffs(PAGE, folder) == 6
    return folder


def checks():
    """The Python blocks by what they check, each under the heading it stands below."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(), flags=re.M)
    return {
        title: re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.parametrize(
    ("title", "count"), [("A task", 2), ("A grouping", 1), ("A statistic", 1), ("A null", 1), ("An experiment", 1)]
)
def test_the_check_passes_with_the_diff(extended, title, count):
    found = checks()[title]
    assert len(found) == count
    for code in found:
        assert "assert " in code
        run_elsewhere([sys.executable, "-c", code], extended, extended / "src")


def test_the_engine_runs_a_sweep_of_one_run(extended):
    (spec,), (command,) = blocks(PAGE, "toml"), blocks(PAGE, "bash")
    (extended / "spec.toml").write_text(spec)
    assert "1 of 1 runs finished, 0 failed" in run_shell(command, extended, extended / "src")


def test_no_block_is_left_out():
    assert {language for language, _ in fences(PAGE)} == {"diff", "python", "toml", "bash"}
    assert sum(map(len, checks().values())) == len(blocks(PAGE, "python"))
