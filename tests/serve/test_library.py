"""The list of runs: what each is, damaged and vanished ones, and runs in progress."""

import json
import os
import shutil
from pathlib import Path

import pytest

from spectral_edge.serve.library import Library, UnknownRunError
from spectral_edge.store import RunDirectory, StoreError
from support.serve_requests import HOSTILE, opened


def lines(root):
    return {line.name: line for line in Library(root).lines()}


def test_every_kind_of_run_has_its_line(trained):
    found = lines(trained)
    assert set(found) == {f"runs/{name}" for name in ("add", "mul", "recorded", "broken", HOSTILE)}
    add = found["runs/add"]
    assert (add.kind, add.operation, add.p, add.seed, add.weight_decay, add.step) == ("training", "add", 13, 1, 1.0, 60)
    assert add.state == "finished"
    status = json.loads((trained / "runs" / "add" / "status.json").read_text())
    assert add.test_accuracy == status["test_accuracy"]
    assert (found["runs/recorded"].kind, found["runs/recorded"].model) == ("recording", HOSTILE)
    assert found["runs/broken"].state == "unreadable"
    assert "config.json" in found["runs/broken"].why


def test_a_run_directory_itself_can_be_served(trained):
    assert [line.name for line in Library(trained / "runs" / "add").lines()] == ["."]


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(StoreError, match="nowhere"):
        Library(tmp_path / "nowhere")


def test_an_empty_directory_has_no_runs(tmp_path):
    assert opened(tmp_path).get("/api/runs").json()["runs"] == []


def test_a_held_run_is_running_and_a_killed_one_stopped(served):
    path = served / "runs" / "add"
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | {"state": "running"}))
    assert lines(served)["runs/add"].state == "stopped"
    with RunDirectory.open(path).lock():
        assert lines(served)["runs/add"].state == "running"


def test_a_run_that_vanishes_while_open_is_said_to_be_gone(served):
    client = opened(served)
    assert client.get("/api/metrics", params={"run": "runs/add"}).status_code == 200
    shutil.rmtree(served / "runs" / "add")
    answer = client.get("/api/metrics", params={"run": "runs/add"})
    assert answer.status_code == 404
    assert "runs/add" in answer.json()["error"]
    with pytest.raises(UnknownRunError):
        Library(served).path("runs/add")


def test_lines_appended_to_the_log_are_read(served):
    library = Library(served)
    before = library.metrics("runs/add")
    log = served / "runs" / "add" / "metrics.jsonl"
    with log.open("a") as stream:
        stream.write('{"step": 65, "test_accuracy": 0.5}\n{"step": 70, "test_acc')
    assert [line["step"] for line in library.metrics("runs/add")] == [*(line["step"] for line in before), 65]
    assert library.curve("runs/add")["test_accuracy"][-1] == 0.5


def test_a_rewound_log_is_read_again(served):
    library = Library(served)
    library.metrics("runs/add")
    log = served / "runs" / "add" / "metrics.jsonl"
    kept = log.read_text().splitlines(keepends=True)[:3]
    log.write_text("".join(kept))
    assert library.metrics("runs/add") == [json.loads(line) for line in kept]


def test_a_damaged_log_is_an_error_of_its_run_only(served):
    log = served / "runs" / "add" / "metrics.jsonl"
    log.write_text("not json\n" + log.read_text())
    client = opened(served)
    answer = client.get("/api/metrics", params={"run": "runs/add"})
    assert (answer.status_code, "metrics.jsonl:1" in answer.json()["error"]) == (409, True)
    assert client.get("/api/metrics", params={"run": "runs/mul"}).status_code == 200
    curves = client.get("/api/curves", params={"run": ["runs/add", "runs/mul"]}).json()
    assert curves["runs/add"]["why"]
    assert curves["runs/mul"]["step"]


def test_markup_in_names_and_configurations_stays_text(client):
    answer = client.get("/api/runs")
    assert answer.headers["content-type"] == "application/json"
    found = {line["name"]: line for line in answer.json()["runs"]}
    assert found["runs/recorded"]["model"] == HOSTILE
    assert f"runs/{HOSTILE}" in found


def test_names_that_are_no_text_hide_only_themselves(served):
    folder = Path(os.fsdecode(os.fsencode(served / "runs") + b"/b\xffd"))
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert len(opened(served).get("/api/runs").json()["runs"]) == 5


@pytest.mark.parametrize("line", ['{"test_accuracy": 0.5}', '{"step": "7"}', '{"step": null}'])
def test_a_line_without_a_step_is_damage_of_its_run_only(served, line):
    with (served / "runs" / "add" / "metrics.jsonl").open("a") as stream:
        stream.write(line + "\n{}\n")
    client = opened(served)
    assert client.get("/api/metrics", params={"run": "runs/add"}).status_code == 409
    curves = client.get("/api/curves", params={"run": ["runs/add", "runs/mul"]}).json()
    assert "metrics.jsonl" in curves["runs/add"]["why"]
    assert curves["runs/mul"]["step"]


def test_a_number_too_large_for_a_float_is_none(served):
    with (served / "runs" / "add" / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": 65, "test_loss": 10**400, "test_accuracy": 10**400}) + "\n")
    client = opened(served)
    assert client.get("/api/metrics", params={"run": "runs/add"}).json()["test_loss"][-1] is None
    assert client.get("/api/curves", params={"run": ["runs/add"]}).status_code == 200


def test_a_pipe_in_place_of_a_log_is_refused_and_not_waited_for(served):
    log = served / "runs" / "add" / "metrics.jsonl"
    log.unlink()
    os.mkfifo(log)
    client = opened(served)
    assert client.get("/api/metrics", params={"run": "runs/add"}).status_code == 409
    assert client.get("/api/metrics", params={"run": "runs/mul"}).status_code == 200
