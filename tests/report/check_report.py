"""A report that is written twice."""

from __future__ import annotations

import dataclasses

from spectral_edge.report import write_report
from support.synthetic import FakeAnalysis, make_analysis, make_claims, make_numbers


def strip(analysis: FakeAnalysis, *kept: str) -> FakeAnalysis:
    arrays = {key: array for key, array in analysis.arrays.items() if key.startswith(kept)}
    return dataclasses.replace(analysis, arrays=arrays)


def test_equal_results_give_equal_files(tmp_path):
    analysis = strip(make_analysis("add"), "profile.stop.sum", "character.stop")
    for name in ("first", "second"):
        write_report(make_claims(), make_numbers([analysis]), [analysis], tmp_path / name)
    written = {
        name: {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("first", "second")
    }
    assert written["first"] == written["second"]
