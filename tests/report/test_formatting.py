"""Spelling of numbers and names."""

from __future__ import annotations

import math

import pytest

from spectral_edge.report.formatting import duration, grouping_label, measurement, number, operation


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (math.nan, "—"),
        (0.12345, "0.123"),
        (0.14, "0.140"),
        (1.0, "1.00"),
        (-2.5, "−2.50"),
        (123.0, "123"),
    ],
)
def test_measurement(value, text):
    assert measurement(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "—"), (4000, "4000"), (1.0, "1"), (0.25, "0.25")])
def test_number(value, text):
    assert number(value) == text


def test_names_carry_their_formulas():
    assert operation("mul") == "mul (a · b)"
    assert operation("unknown") == "unknown"
    assert grouping_label("output:x2_y2") == "output (a² + b²)"
    assert grouping_label("output_discrete_log:mul") == "log of output (a · b)"
    assert grouping_label("output:unknown") == "output:unknown"


@pytest.mark.parametrize(("seconds", "text"), [(4.2, "4.2 s"), (90.0, "1.5 min"), (7200.0, "2.0 h")])
def test_duration(seconds, text):
    assert duration(seconds) == text
