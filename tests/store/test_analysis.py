"""Laws: an analysis and claims read back equal; damage is named; the old one survives a failed rewrite."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spectral_edge.store import (
    ClaimRow,
    NullSummary,
    Numbers,
    RunCorruptError,
    RunMissingError,
    RunSummary,
    SchemaError,
    StoreError,
    read_analysis,
    records,
    write_analysis,
)

NULL = NullSummary(
    kind="random_directions",
    n=200,
    mean=0.1,
    std=0.01,
    quantile95=0.12,
    alternative="greater",
    pvalue=1 / 201,
)
ROW = ClaimRow(
    claim="C6",
    task="add",
    seed=42,
    weight_decay=1.0,
    checkpoint="stop",
    step=1200,
    stride=100,
    window=20,
    centered=True,
    method="jvp",
    direction="v1",
    statistic="concentration",
    grouping="sum",
    inputs="test",
    measured=0.1 + 0.2,
    peak=7,
    top=[(1, 2), (3, 4)],
    published=0.33,
    published_is_upper_bound=False,
    published_peak=None,
    null=NULL,
    permutation_null=None,
    peak_null=None,
    permutation_peak_null=None,
    run_id="add-s42-0123456789",
)
SUMMARY = RunSummary(
    run_id="add-s42-0123456789",
    task="add",
    seed=42,
    weight_decay=1.0,
    steps=1300,
    grok_step=None,
    test_accuracy=0.99,
    analysed_steps={"stop": 1200},
    edge_position={"stop": 1},
    finite_difference_error={"stop": [0.01]},
)
ARRAYS = {
    "energy": np.arange(6.0).reshape(2, 3).T,  # not contiguous
    "scalar": np.array(3.5),
    "empty": np.empty((0, 4), dtype=np.float32),
    "labels": np.array([-1, 0, 96]),
    "mask": np.array([True, False]),
    "gaps": np.array([np.nan, np.inf]),
}
NUMBERS = Numbers(
    profile="quick",
    environment={"git_commit": None, "cpu": "≈"},
    wall_seconds=1.5,
    runs=[SUMMARY],
    rows=[ROW],
)


def test_analysis_reads_back_equal_to_the_last_bit(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "analysis"
    write_analysis(folder, [ROW], SUMMARY, ARRAYS)
    stored = read_analysis(folder)
    assert stored is not None
    assert stored.rows == [ROW]
    assert stored.summary == SUMMARY
    assert stored.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert stored.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(stored.arrays[name], array, strict=True)
    assert repr(stored) == "Analysis('add-s42-0123456789', 1 rows, 6 arrays)"


def test_nothing_committed_is_none(tmp_path: Path) -> None:
    assert read_analysis(tmp_path / "none") is None
    write_analysis(tmp_path, [ROW], SUMMARY, ARRAYS)
    (tmp_path / "rows.json").unlink()
    assert read_analysis(tmp_path) is None


def test_rewriting_keeps_one_arrays_file(tmp_path: Path) -> None:
    write_analysis(tmp_path, [ROW], SUMMARY, ARRAYS)
    write_analysis(tmp_path, [], SUMMARY, {"x": np.zeros(2)})
    stored = read_analysis(tmp_path)
    assert stored is not None
    assert (stored.rows, list(stored.arrays)) == ([], ["x"])
    assert len(list(tmp_path.iterdir())) == 2


def test_interrupted_rewrite_leaves_the_old_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_analysis(tmp_path, [ROW], SUMMARY, ARRAYS)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "write_document", killed)
    with pytest.raises(KeyboardInterrupt):
        write_analysis(tmp_path, [], SUMMARY, {"x": np.zeros(2)})
    stored = read_analysis(tmp_path)
    assert stored is not None
    assert stored.rows == [ROW]


def test_altered_arrays_are_refused_by_name(tmp_path: Path) -> None:
    write_analysis(tmp_path, [ROW], SUMMARY, ARRAYS)
    arrays_file = next(tmp_path.glob("arrays-*"))
    data = bytearray(arrays_file.read_bytes())
    data[-1] ^= 1
    arrays_file.write_bytes(data)
    with pytest.raises(RunCorruptError, match=rf"{arrays_file.name}: its bytes differ"):
        read_analysis(tmp_path)
    arrays_file.unlink()
    with pytest.raises(RunCorruptError, match=rf"{arrays_file.name}: missing"):
        read_analysis(tmp_path)


def test_digest_that_is_a_path_is_refused(tmp_path: Path) -> None:
    write_analysis(tmp_path, [ROW], SUMMARY, ARRAYS)
    _edit(tmp_path / "rows.json", arrays_sha256="../" * 21 + "x")
    with pytest.raises(RunCorruptError, match=r"rows\.json: arrays_sha256"):
        read_analysis(tmp_path)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([{}]), np.ones(2, complex), [1.0]])
def test_arrays_that_safetensors_lacks_are_refused_by_name(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(StoreError, match="'bad' is not a boolean or real array"):
        write_analysis(tmp_path / "a", [], SUMMARY, {"bad": array})
    assert not (tmp_path / "a").exists()


def test_numbers_read_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "out" / "numbers.json"
    NUMBERS.write(path)
    assert Numbers.read(path) == NUMBERS
    raw = json.loads(path.read_text())
    assert raw["schema"] == 1
    assert raw["rows"][0]["permutation_null"] is None  # a key that does not apply is null, never missing
    assert "≈" in path.read_text(encoding="utf-8")


def test_damaged_numbers_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    with pytest.raises(RunMissingError, match="spectral-edge reproduce"):
        Numbers.read(path)
    NUMBERS.write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(RunCorruptError, match=r"numbers\.json: not valid JSON"):
        Numbers.read(path)
    path.write_bytes(whole)
    _edit(path, rows=[{**ROW.model_dump(mode="json"), "step": "soon"}])
    with pytest.raises(RunCorruptError, match=r"numbers\.json: rows\.0\.step: .*'soon'"):
        Numbers.read(path)
    _edit(path, schema=2)
    with pytest.raises(SchemaError, match=r"numbers\.json: written with schema 2; .* reads schema 1"):
        Numbers.read(path)
    with pytest.raises(StoreError, match="not a directory"):
        NUMBERS.write(tmp_path)


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
