"""Every number that the paper prints and the code compares with is defined on the page."""

import math
import re
from pathlib import Path

import pytest

from spectral_edge.replication.claims import LINES, STATEMENTS
from spectral_edge.replication.decision import PROTOCOL
from spectral_edge.statistics import expected_concentration

PAGE = (Path(__file__).parents[1] / "docs" / "definitions.md").read_text()
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| C")
]


def test_every_claim_has_a_row_with_the_text_s_the_scripts_and_our_definition():
    assert {row[0] for row in ROWS} >= set(STATEMENTS)
    assert all(len(row) == 5 and all(row) for row in ROWS)


def test_numbers_of_the_protocol_are_on_the_page():
    # The protocol has logarithms of a ratio, and means of what the paper prints as a range: in words there.
    meant = {
        "C1": (3.69, "40"),
        "C4": (32.8, "32.8"),
        "C10": (0.155, "0.15"),
        "C11": (0.83, "0.20"),
        "C12": (0.45, "0.8"),
    }
    for question in PROTOCOL.questions:
        if question.published is None:
            continue
        cells = " ".join(" ".join(row[1:3]) for row in ROWS if row[0] == question.claim)
        value, wanted = meant.get(question.claim, (question.published, f"{question.published:.3g}"))
        assert question.published == value
        assert re.search(rf"(?<![\d.]){re.escape(wanted)}0?(?!\d)", cells), (question.claim, wanted)
    assert meant["C1"][0] == pytest.approx(math.log(40), abs=0.005)


def test_single_directions_with_a_printed_frequency_are_there():
    for line in LINES:
        single = line.direction.members == (1,) and line.statistic == "concentration"
        if line.peak is not None and single and line.claim != "C14":  # which is a summary
            cells = " ".join(row[1] for row in ROWS if row[0] == line.claim)
            assert re.search(rf"(?<![\d.]){line.peak}(?![\d.])", cells)


def test_the_expected_concentration_of_noise_is_the_closed_form():
    n = 48
    assert expected_concentration(97) == pytest.approx(sum(1 / j for j in range(1, n + 1)) / n)
    assert f"{expected_concentration(97):.3f} at n = {n}" in PAGE
