"""What README and findings say of copies is what the committed results hold."""

import re
from pathlib import Path

import pytest

from spectral_edge.experiments.rounding.summary import published_peaks
from spectral_edge.store import Rounding
from support.pages import tables_in_the_record

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "rounding"


def words(name):
    return " ".join((ROOT / name).read_text().split())


@pytest.fixture(scope="module")
def copies():
    return Rounding.read(RESULTS / "rounding.json").copies


def test_the_section_of_the_record_has_every_table():
    assert tables_in_the_record(RESULTS / "tables") == 4


def test_published_peaks_that_copies_repeat_are_counted_right(copies):
    peaks = published_peaks()
    counts = {seed: [0] * 5 for seed in (42, 137, 2024)}
    for row in copies:
        for direction, peak in peaks.get(row.operation, {}).items():
            counts[row.seed][row.copy_number] += row.peak[direction - 1] == peak
    assert sum(len(of_task) for of_task in peaks.values()) == 11
    for page in ("README.md", "docs/findings.md"):
        assert re.search(r"\b{}, {}, {}, {} and {} of 11\b".format(*counts[42]), words(page))
    assert set(counts[137]) | set(counts[2024]) == {0, 1}


def test_the_range_of_f_of_addition_is_that_of_its_copies(copies):
    found = [row.concentration[0] for row in copies if (row.operation, row.seed) == ("add", 42)]
    assert f"{min(found):.2f} to {max(found):.2f}" in words("docs/findings.md")


def test_distances_are_those_of_the_partings():
    partings = [p for p in Rounding.read(RESULTS / "rounding.json").partings if p.same_seed]
    assert len(partings) == 48

    def at(step):
        return sorted(p.distance[p.steps.index(step)] for p in partings)

    assert 1e-7 < at(100)[0] < at(100)[-1] < 4e-7
    assert 5e-7 < at(600)[len(partings) // 2] < 2e-6
    assert all(p.distance[p.steps.index(1300)] == pytest.approx(0.1, abs=0.06) for p in partings)
