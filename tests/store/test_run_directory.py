"""Laws: a run reopens only as what it is; status and metrics read back equal; damage is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from spectral_edge.store import RunCorruptError, RunDirectory, RunMissingError, SchemaError, StoreError


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}) + "\n")


class TestOpening:
    def test_create_is_idempotent_and_keeps_the_first_environment(self, run: RunDirectory, config: BaseModel) -> None:
        before = (run.path / "config.json").read_bytes()
        again = RunDirectory.create(run.path, config, {"python": "4"})
        assert (run.path / "config.json").read_bytes() == before
        assert again.environment == {"python": "3.11"}
        assert again.config["optimizer"] == {"lr": 1e-3, "betas": [0.9, 0.98]}
        assert RunDirectory.open(run.path) == again == run
        assert repr(run) == f"RunDirectory({str(run.path)!r})"

    def test_config_carries_its_schema(self, run: RunDirectory) -> None:
        assert json.loads((run.path / "config.json").read_text()) == {"schema": 1, "config": run.config}

    def test_missing_run(self, tmp_path: Path) -> None:
        with pytest.raises(RunMissingError, match="none: there is no run here"):
            RunDirectory.open(tmp_path / "none")

    def test_file_instead_of_a_run(self, tmp_path: Path, config: BaseModel) -> None:
        file = tmp_path / "out"
        file.write_text("precious")
        with pytest.raises(RunMissingError, match="out: a file, not a run"):
            RunDirectory.open(file)
        with pytest.raises(StoreError, match="out: the output path is a file"):
            RunDirectory.create(file, config, {})
        with pytest.raises(StoreError, match="none of whose parents is a file"):
            RunDirectory.create(file / "run", config, {})
        assert file.read_text() == "precious"

    def test_half_written_run_is_refused_and_completed_by_create(self, run: RunDirectory, config: BaseModel) -> None:
        (run.path / "config.json").unlink()
        with pytest.raises(RunCorruptError, match=r"half written: config\.json"):
            RunDirectory.open(run.path)
        assert RunDirectory.create(run.path, config, {"python": "4"}).environment == {"python": "4"}

    def test_other_schema(self, run: RunDirectory, config: BaseModel) -> None:
        _edit(run.path / "config.json", schema=7)
        with pytest.raises(SchemaError, match=r"config\.json: written with schema 7; .* reads schema 1"):
            RunDirectory.open(run.path)
        with pytest.raises(SchemaError):
            RunDirectory.create(run.path, config, {})

    @pytest.mark.parametrize("text", ["", '{"schema": 1, "config"', "[]", '{"config": {}}', '{"schema":1,"config":3}'])
    def test_damaged_config(self, run: RunDirectory, text: str) -> None:
        (run.path / "config.json").write_text(text)
        with pytest.raises(RunCorruptError, match=r"config\.json: "):
            RunDirectory.open(run.path)


class TestStatusAndMetrics:
    def test_status_reads_back_with_its_free_keys(self, run: RunDirectory) -> None:
        assert run.status == {}
        run.write_status({"state": "running", "step": 3, "test_accuracy": 0.5})
        run.write_status({"state": "finished", "step": 4, "note": None})
        assert run.status == {"state": "finished", "step": 4, "note": None}

    @pytest.mark.parametrize("status", [{"state": "asleep", "step": 1}, {"state": "running"}])
    def test_wrong_status_is_refused_both_ways(self, run: RunDirectory, status: dict[str, Any]) -> None:
        with pytest.raises(StoreError, match=r"status\.json: not written: (state|step)"):
            run.write_status(status)
        (run.path / "status.json").write_text(json.dumps(status))
        with pytest.raises(RunCorruptError, match=r"status\.json: (state|step)"):
            _ = run.status

    def test_metrics_read_back_equal(self, run: RunDirectory) -> None:
        lines = [{"step": step, "loss": 1 / (step + 1), "tasks": {"add": 0.1}} for step in range(5)]
        for line in lines:
            run.append_metrics(line)
        assert run.metrics() == lines

    @pytest.mark.parametrize("line", [{"loss": 1.0}, {"step": -1}, {"step": 1.5}, {"step": True}, {"step": "1"}])
    def test_metrics_of_no_step_are_refused_both_ways(self, run: RunDirectory, line: dict[str, Any]) -> None:
        with pytest.raises(StoreError, match=r"metrics\.jsonl: not written: step"):
            run.append_metrics(line)
        run.append_metrics({"step": 0})
        with (run.path / "metrics.jsonl").open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        with pytest.raises(RunCorruptError, match=r"metrics\.jsonl:2: step: "):
            run.metrics()
