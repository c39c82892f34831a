"""One complete report, written once and read by many tests."""

from __future__ import annotations

import pytest

from spectral_edge.report import write_report
from support.many_seeds import make_many_seeds
from support.synthetic import make_analysis, make_claims, make_numbers


@pytest.fixture(scope="session")
def analyses():
    return [make_analysis(task) for task in ("x2_y2", "add", "mul")]


@pytest.fixture(scope="session")
def numbers(analyses):
    return make_numbers(analyses)


@pytest.fixture(scope="session")
def claims():
    return make_claims()


@pytest.fixture(scope="session")
def report(claims, numbers, analyses, tmp_path_factory):
    """The folder of a complete report on three tasks."""
    out = tmp_path_factory.mktemp("report")
    assert write_report(claims, numbers, analyses, out) == out / "report.html"
    return out


@pytest.fixture(scope="session")
def many():
    """Numbers over three seeds of four tasks, and their analyses."""
    return make_many_seeds()
