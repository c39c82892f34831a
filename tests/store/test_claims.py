"""claims.json, schema 2: what others read from it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spectral_edge.store import Claims, RunCorruptError, RunMissingError, SchemaError, StoreError
from support.synthetic import ANSWERS, make_claims, make_evidence, make_placed

ROW_KEYS = {
    "claim", "run", "task", "seed", "copy", "weight_decay", "step", "checkpoint", "stride", "window", "centered",
    "method", "definition", "grouping", "inputs", "peak", "published", "direction", "statistic", "null", "measured",
    "null_mean", "null_std", "null_quantile95", "effect", "pvalue", "pvalue_adjusted", "draws",
}  # fmt: skip
ANSWER_KEYS = {
    "claim", "statement", "reproduces", "exists", "specific", "effect", "low", "high", "n", "repeat", "strongest_null",
    "because",
}  # fmt: skip


def test_it_keeps_the_contract_and_reads_back_equal(tmp_path: Path) -> None:
    path, claims = tmp_path / "out" / "claims.json", make_claims()
    claims.write(path)
    assert Claims.read(path) == claims
    raw = json.loads(path.read_text())
    assert raw["schema"] == 2
    assert {"schema", "profile", "environment", "wall_seconds", "rows", "answers"} <= set(raw)
    assert set(raw["rows"][0]) == ROW_KEYS
    assert set(raw["answers"][0]) >= ANSWER_KEYS
    assert {answer["specific"] for answer in raw["answers"]} == {"yes", "no", "undecided", None}


def test_an_answer_from_fewer_seeds_than_planned_is_not_final() -> None:
    assert [answer.final for answer in ANSWERS] == [True] * 4
    assert not ANSWERS[0].model_copy(update={"n": 29}).final


def test_a_number_on_the_end_of_its_interval_is_inside() -> None:
    assert [make_placed(value).inside for value in (0.099, 0.1, 0.4, 0.401)] == [False, True, True, False]


def test_what_is_damaged_or_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    with pytest.raises(RunMissingError, match="spectral-edge reproduce"):
        Claims.read(path)
    make_claims().write(path)
    whole = json.loads(path.read_text())
    row = make_evidence().model_dump(by_alias=True)
    for changes, words in (
        ({"rows": [row | {"step": "soon"}]}, r"claims\.json: rows\.0\.step: .*'soon'"),
        ({"answers": [whole["answers"][0] | {"specific": "maybe"}]}, r"answers\.0\.specific"),
        ({"rows": [row | {"definition": "theirs"}]}, r"rows\.0\.definition"),
    ):
        path.write_text(json.dumps(whole | changes))
        with pytest.raises(RunCorruptError, match=words):
            Claims.read(path)
    path.write_text(json.dumps(whole | {"schema": 1}))
    with pytest.raises(SchemaError, match=r"claims\.json: written with schema 1; .* reads schema 2"):
        Claims.read(path)
    with pytest.raises(StoreError, match="not a directory"):
        make_claims().write(tmp_path)
