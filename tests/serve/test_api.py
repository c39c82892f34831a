"""What pages are told, against the library's own functions on the same run; and the files that they hand out."""

import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

import spectral_edge as se
from spectral_edge.report import recording_page
from spectral_edge.serve.explorer import Explorer
from spectral_edge.statistics import random_directions
from spectral_edge.subjects.trained_run import TrainedRun
from support.serve_requests import HOSTILE, opened

ASKED = {"run": "runs/add", "step": 50, "window": 5, "stride": 5, "basis": "sum"}


@pytest.fixture
def run(trained):
    return TrainedRun.open(trained / "runs" / "add")


def test_f_of_the_edge_is_that_of_functional_modes(client, run):
    answer = client.get("/api/mode", params=ASKED | {"inputs": "all"}).json()
    edge = run.edge(50, 5, 5, True)
    model, parameters = run.model_at(50)
    modes = se.functional_modes(model, edge.directions(3), run.task.pairs, parameters=parameters)
    np.testing.assert_allclose(np.ravel(answer["grid"]), modes.energy[0], rtol=1e-4)
    profile = se.fourier_profile(modes.energy, run.task.labels, 13)
    assert answer["peak"] == profile.peak[0]
    assert answer["concentration"] == pytest.approx(profile.concentration[0], rel=1e-4)
    np.testing.assert_allclose(answer["singular_values"], edge.singular_values[:10], rtol=1e-5, atol=1e-9)


def test_a_mixture_is_the_function_of_its_unit_direction(client, run):
    answer = client.get("/api/mode", params=ASKED | {"weights": "1,-0.5"}).json()
    model, parameters = run.model_at(50)
    v = run.edge(50, 5, 5, True).directions(2)
    unit = (v[0] - 0.5 * v[1]) / np.sqrt(1.25)
    modes = se.functional_modes(model, unit[None], run.task.pairs, parameters=parameters)
    np.testing.assert_allclose(np.ravel(answer["grid"]), modes.energy[0], rtol=1e-3)


@pytest.mark.parametrize("inputs", ["all", "test"])
@pytest.mark.parametrize("weights", [(1.0,), (0.5, -1.0, 0.2)])
def test_the_null_is_of_random_directions_in_the_same_weights_and_inputs(client, run, inputs, weights):
    asked = ASKED | {"inputs": inputs, "weights": ",".join(map(str, weights))}
    answer = client.get("/api/null", params=asked).json()
    model, parameters = run.model_at(50)
    v = run.edge(50, 5, 5, True).directions(3)[: len(weights)]
    mixture = (torch.tensor(weights) / np.linalg.norm(weights)) @ v
    drawn = random_directions(40, parameters.dim, 0)
    f = se.functional_modes(model, torch.cat([mixture[None], drawn]), run.task.pairs, parameters=parameters).energy
    chosen = slice(None) if inputs == "all" else run.task.split(run.training.frac_train, 1).test
    concentration = se.fourier_profile(f[:, chosen], run.task.labels[chosen], 13).concentration
    assert answer["n"] == 40
    assert answer["pvalue"] == pytest.approx((1 + (concentration[1:] >= concentration[0]).sum()) / 41, abs=1e-5)
    assert answer["concentration_quantile95"] == pytest.approx(np.quantile(concentration[1:], 0.95), rel=1e-4)
    third = client.get("/api/mode", params=asked | {"random": 3}).json()
    np.testing.assert_allclose(np.ravel(third["grid"]), f[3], rtol=1e-4)


def test_a_run_that_vanishes_between_two_looks_is_said_to_be_gone(served, monkeypatch):
    client = opened(served)
    compute = Explorer.run

    def removing(self, name):
        found = compute(self, name)
        shutil.rmtree(served / "runs" / "add")
        return found

    monkeypatch.setattr(Explorer, "run", removing)
    answer = client.get("/api/mode", params=ASKED)
    assert (answer.status_code, "runs/add" in answer.json()["error"]) == (404, True)


def test_held_out_inputs_are_those_of_the_split(client, run):
    answer = client.get("/api/mode", params=ASKED | {"format": "csv", "inputs": "test"})
    table = pl.read_csv(io.BytesIO(answer.content))
    test = run.task.split(run.training.frac_train, 1).test
    assert sorted(np.flatnonzero(table["held_out"].to_numpy())) == sorted(test)
    shown = client.get("/api/mode", params=ASKED).json()
    f = table["f"].to_numpy()[test]
    profile = se.fourier_profile(f[None], run.task.labels[test], 13)
    assert shown["concentration"] == pytest.approx(profile.concentration[0], rel=1e-4)


def test_a_recording_has_no_modes_and_says_how_to_get_them(client):
    answer = client.get("/api/mode", params=ASKED | {"run": "runs/recorded"})
    assert (answer.status_code, "functional_modes" in answer.json()["error"]) == (400, True)


def test_downloads_have_all_digits_and_the_setting(client, run):
    asked = {"run": "runs/add", "window": 5, "stride": 5, "centered": "false"}
    answer = client.get("/api/spectrum", params=asked | {"format": "parquet"})
    table = pl.read_parquet(io.BytesIO(answer.content))
    assert table.select("window", "stride", "centered").unique().rows() == [(5, 5, False)]
    edge = run.edge(60, 5, 5, False)
    assert table["step"][-1] == 60
    np.testing.assert_allclose(table["sigma_1"][-1], edge.singular_values[0], rtol=1e-9)
    metrics = pl.read_csv(io.BytesIO(client.get("/api/metrics", params={"run": "runs/add", "format": "csv"}).content))
    log = [json.loads(line) for line in (run.run.path / "metrics.jsonl").read_text().splitlines()]
    assert metrics["test_loss"].to_list() == [line["test_loss"] for line in log]


def test_names_of_files_are_harmless(client):
    answer = client.get("/api/metrics", params={"run": f"runs/{HOSTILE}", "format": "csv"})
    assert re.fullmatch(r'attachment; filename="[\w-]+\.csv"', answer.headers["content-disposition"])


def test_json_has_no_nan(client, served):
    log = served / "runs" / "add" / "metrics.jsonl"
    line = {"step": 65, "test_accuracy": 0.5, "test_loss": None}
    with log.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    text = opened(served).get("/api/metrics", params={"run": "runs/add"}).text
    assert json.loads(text, parse_constant=pytest.fail)["test_loss"][-1] is None


def test_claims_are_the_stored_answers(client, trained):
    stored = json.loads((trained / "claims.json").read_text())
    shown = client.get("/api/claims").json()
    names = ("claim", "reproduces", "exists", "specific", "because")
    assert [[c[name] for name in names] for c in shown["claims"]] == [
        [answer[name] for name in names] for answer in stored["answers"]
    ]
    (addition,) = [c for c in shown["claims"] if c["claim"] == "C6"]
    assert len(addition["effects"]["rows"]) == 6, "four nulls, v1 beyond the weights, permuted inputs"
    inside = sum(p["spread"]["low"] <= p["measured"] <= p["spread"]["high"] for p in stored["placed"])
    assert shown["placed"].startswith(f"{inside} of {len(stored['placed'])} numbers")
    assert shown["figures"] == ["forest.png", "placed.png"]
    for name in shown["figures"]:
        image = client.get("/api/figure", params={"name": name})
        assert Image.open(io.BytesIO(image.content)).format == "PNG"


def test_a_film_has_a_frame_for_every_window(client, run):
    asked = {"run": "runs/add", "window": 5, "stride": 5}
    film = client.get("/api/film", params=asked).json()
    assert film["steps"] == list(range(25, 65, 5))
    frame = np.frombuffer(client.get("/api/frame", params=asked | {"step": 50}).content, "<f4").reshape(13, 13)
    grid = np.array(client.get("/api/mode", params=ASKED).json()["grid"])
    np.testing.assert_allclose(frame, grid / grid.mean(), rtol=1e-4)
    picture = Image.open(io.BytesIO(client.get("/api/film.png", params=asked).content))
    assert (picture.format, picture.n_frames) == ("PNG", 8)
    page = client.get("/api/film.html", params=asked).text
    data = json.loads(re.search(r"const film = (\{.*\});\n", page)[1])
    assert [f["step"] for f in data["frames"]] == film["steps"]
    assert re.findall(r"(?:src|href)=", page) == []


def test_an_exported_page_cannot_be_broken_by_a_name(client):
    page = client.get("/api/film.html", params={"run": f"runs/{HOSTILE}", "window": 5, "stride": 5}).text
    assert HOSTILE not in page
    assert "\\u003cimg" in page


def test_a_long_run_is_thinned_and_ends_where_it_ends(served):
    log = served / "runs" / "mul" / "metrics.jsonl"
    with log.open("a") as stream:
        for step in range(65, 50_065, 5):
            stream.write(json.dumps({"step": step, "test_accuracy": 0.5}) + "\n")
    client = opened(served)
    shown = client.get("/api/metrics", params={"run": "runs/mul"}).json()
    assert 750 < len(shown["step"]) <= 1500
    assert shown["step"][-1] == 50_060
    assert shown["found"] > 10_000
    whole = client.get("/api/metrics", params={"run": "runs/mul", "format": "csv"}).content
    assert len(pl.read_csv(io.BytesIO(whole))) == shown["found"]


def test_the_monitor_of_a_recording_is_its_log(client, trained):
    lines = se.Recording(trained / "runs" / "recorded").values
    found = client.get("/api/monitor", params={"run": "runs/recorded"}).json()
    assert found["step"] == [line["step"] for line in lines]
    assert found["update_norm"] == pytest.approx([line["update_norm"] for line in lines], rel=1e-5)
    assert found["noted"]["loss"] == pytest.approx([line["noted"]["loss"] for line in lines], rel=1e-5)
    assert found["noted"][HOSTILE] == [2.0] * len(lines)
    assert found["modes"] == len(lines)
    shares = [[line["layer_shares"][layer] for layer in found["layers"]] for line in lines]
    np.testing.assert_allclose(found["shares"], shares, rtol=1e-5)
    table = pl.read_csv(io.BytesIO(client.get("/api/monitor?run=runs/recorded&format=csv").content))
    assert table["weight_norm"].to_list() == pytest.approx([line["weight_norm"] for line in lines])
    assert table[f"noted.{HOSTILE}"].to_list() == [2.0] * len(lines)
    assert client.get("/api/monitor?run=runs/add").status_code == 404


def test_many_windows_are_thinned_and_the_last_is_there(served):
    log = served / "runs" / "recorded" / "metrics.jsonl"
    last = json.loads(log.read_text().splitlines()[-1])
    more = [last | {"step": last["step"] + 10 * i} for i in range(1, 3001)]
    with log.open("a") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in more)
    found = opened(served).get("/api/monitor?run=runs/recorded").json()
    assert len(found["step"]) <= 1500
    assert found["step"][-1] == more[-1]["step"]


def test_the_page_of_a_recording_is_its_report(client, trained, tmp_path):
    answer = client.get("/api/recording", params={"run": "runs/recorded"})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text == recording_page(trained / "runs" / "recorded", tmp_path)
    assert "&lt;img" in answer.text
    assert HOSTILE not in answer.text
    assert client.get("/api/recording?run=runs/add").status_code == 404


@pytest.mark.parametrize("parameters", [None, [], {"a": 3}, {"a": ["x"]}])
def test_a_recording_whose_shapes_are_damaged_is_named(served, parameters):
    path = served / "runs" / "recorded" / "config.json"
    document = json.loads(path.read_text())
    document["config"]["parameters"] = parameters
    path.write_text(json.dumps(document))
    answer = opened(served).get("/api/monitor?run=runs/recorded")
    assert answer.status_code == 409
    assert "runs/recorded/config.json" in answer.json()["error"]


def test_a_saved_comparison_is_shown_with_the_middle_of_its_draws(client, trained):
    assert client.get("/api/comparisons").json()["comparisons"] == ["runs/norm.json"]
    saved = se.load_comparison(trained / "runs" / "norm.json")
    found = client.get("/api/comparison?name=runs/norm.json").json()
    for row, shown in zip(saved.rows, found["rows"], strict=True):
        assert (shown["direction"], shown["null"]) == (row.direction, row.null)
        assert shown["measured"] == pytest.approx(row.measured, rel=1e-5)
        assert shown["effect"] == pytest.approx(row.effect, rel=1e-4)
        assert [shown["low"], shown["high"]] == pytest.approx(np.quantile(row.values, [0.05, 0.95]), rel=1e-5)
    assert found["protocol"]["inputs"] == 8
    table = pl.read_parquet(io.BytesIO(client.get("/api/comparison?name=runs/norm.json&format=parquet").content))
    assert table.equals(saved.table)


def test_only_comparisons_are_listed_and_only_those_listed_are_read(served):
    (served / "damaged.json").write_text('{"schema": 1, "kind": "comparison", "rows": 3}')
    (served / "outside.json").symlink_to(served.parent / "secret.json")
    (served.parent / "secret.json").write_text('{"schema": 1, "kind": "comparison"}')
    odd = os.fsencode(served) + b"/\xff\xfe"  # no text
    folder = Path(os.fsdecode(odd))
    folder.mkdir()
    shutil.copy(served / "runs" / "norm.json", folder)
    client = opened(served)
    assert client.get("/api/comparisons").json()["comparisons"] == ["damaged.json", "runs/norm.json"]
    assert client.get("/api/comparison?name=damaged.json").status_code == 409
    for name in ("../secret.json", "outside.json", "claims.json", "runs/../runs/norm.json"):
        assert client.get("/api/comparison", params={"name": name}).status_code == 404


def test_a_damaged_log_leaves_the_state_and_says_why(served):
    (served / "runs" / "add" / "metrics.jsonl").write_bytes(b"\x95\n")
    answer = opened(served).get("/api/run", params={"run": "runs/add"}).json()
    assert answer["line"]["state"] == "finished"
    assert "metrics.jsonl" in answer["line"]["why"]
    assert answer["choices"] is None


def test_a_recording_says_what_a_window_takes(client):
    assert client.get("/api/run", params={"run": "runs/recorded"}).json()["recording"] == {"window": 5, "every": 2}


def test_the_first_token_runs_across_in_exported_films(client):
    """As in the report: a to the right, b upwards, in the picture and in the frames of the page."""
    asked = {"run": "runs/mul", "window": 5, "stride": 5}
    frame = np.frombuffer(client.get("/api/frame", params=asked | {"step": 25}).content, "<f4").reshape(13, 13)
    known = np.isfinite(frame.T)
    assert not np.allclose(frame.T[known], frame[known], atol=0.05)
    picture = Image.open(io.BytesIO(client.get("/api/film.png", params=asked).content)).convert("RGB")
    size = picture.width // 13
    drawn = np.asarray(picture, dtype=float)[picture.height - 13 * size + size // 2 :: size, size // 2 :: size]
    brightness = drawn.sum(axis=2)[::-1]  # row 0 is b = 0
    order = np.corrcoef(np.clip(frame.T, 0, 3)[known], brightness[known])[0, 1]
    assert order > 0.95


@pytest.mark.parametrize(("path", "page"), [("/nowhere", True), ("/api/nowhere", False), ("/static/nowhere", False)])
def test_an_unknown_page_is_a_page(client, path, page):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html" if page else "application/json")
