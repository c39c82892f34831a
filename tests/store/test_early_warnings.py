import json

import pytest

from spectral_edge.experiments.early_warning import early_warnings
from spectral_edge.store import (
    EarlyWarnings,
    RunCorruptError,
    RunMissingError,
    SchemaError,
    StoreError,
)
from support.planted_warnings import planted_second, planted_sweep


@pytest.fixture(scope="module")
def found():
    return early_warnings(planted_sweep(), planted_second())


def test_what_is_written_reads_back_equal_and_says_where_it_came_from(found, tmp_path):
    path = tmp_path / "early_warning.json"
    found.write(path, indent=None)
    assert EarlyWarnings.read(path) == found
    stored = json.loads(path.read_text())
    assert stored["schema"] == 1
    settings = {"seeds", "stride", "window", "patience", "event", "armed", "watched", "thresholds"}
    assert all(settings <= set(row) for row in stored["rows"])
    settings = {
        "seed",
        "stride",
        "window",
        "patience",
        "event",
        "armed",
        "watched",
        "threshold",
        "run_id",
        "alarm_step",
    }
    assert all(settings <= set(row) for row in stored["alarms"])


def test_damage_is_named(found, tmp_path):
    path = tmp_path / "early_warning.json"
    found.write(path, indent=None)
    whole = json.loads(path.read_text())
    for change, words in (
        (lambda d: d["rows"][0].pop("hits"), "rows.0.hits"),
        (lambda d: d["alarms"][3].update(outcome="success"), "alarms.3.outcome"),
        (lambda d: d["rows"][1].update(extra=1), "rows.1.extra"),
        (lambda d: d.pop("protocol"), "protocol"),
    ):
        damaged = json.loads(json.dumps(whole))
        change(damaged)
        path.write_text(json.dumps(damaged))
        with pytest.raises(RunCorruptError, match=words):
            EarlyWarnings.read(path)
    path.write_text(json.dumps(whole | {"schema": 2}))
    with pytest.raises(SchemaError, match="schema 2"):
        EarlyWarnings.read(path)


def test_a_missing_file_says_what_makes_it(tmp_path):
    with pytest.raises(RunMissingError, match="spectral-edge experiment early-warning"):
        EarlyWarnings.read(tmp_path / "early_warning.json")


def test_a_disk_that_refuses_is_a_store_error(found, tmp_path):
    (tmp_path / "nowhere").write_text("a file, where a folder belongs")
    with pytest.raises(StoreError, match="nowhere"):
        found.write(tmp_path / "nowhere" / "early_warning.json")
