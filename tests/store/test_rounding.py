import json

import pytest

from spectral_edge.store import Rounding, RunCorruptError, RunMissingError, StoreError
from support.planted_copies import planted_rounding


def test_what_is_written_reads_back_equal_and_every_number_says_where_it_came_from(tmp_path):
    path = tmp_path / "rounding.json"
    planted_rounding().write(path)
    assert Rounding.read(path) == planted_rounding()
    stored = json.loads(path.read_text())
    assert stored["schema"] == 1
    settings = {"run_id", "seed", "copy_number", "step", "window", "stride", "centered", "method", "grouping", "inputs"}
    assert all(settings <= set(row) for row in stored["copies"])


def test_what_is_missing_damaged_or_from_elsewhere_is_named(tmp_path):
    path = tmp_path / "rounding.json"
    with pytest.raises(RunMissingError, match="spectral-edge experiment rounding"):
        Rounding.read(path)
    planted_rounding().write(path)
    stored = json.loads(path.read_text())
    stored["copies"][1]["peak"] = ["many"]
    path.write_text(json.dumps(stored))
    with pytest.raises(RunCorruptError, match="peak"):
        Rounding.read(path)
    path.write_text("{")
    with pytest.raises(StoreError, match=r"rounding\.json"):
        Rounding.read(path)
