import itertools
import shutil

import numpy as np
import pytest

import spectral_edge as se
from spectral_edge.replication import MODE_CLAIMS, AnalysisConfig, analyze_run, assemble, find_analyses
from spectral_edge.replication.modes import study as mode_study
from spectral_edge.replication.modes.study import MODES
from spectral_edge.store import Numbers, RunCorruptError, RunMissingError
from spectral_edge.subjects import open_run
from support.tiny_runs import TINY_ANALYSIS


@pytest.fixture(scope="module")
def analyses(trained):
    return {operation: analyze_run(path, TINY_ANALYSIS) for operation, path in trained.items()}, TINY_ANALYSIS


def test_every_measurement_that_applies_has_a_row_with_provenance(analyses):
    for operation, analysis in analyses[0].items():
        assert {row.task for row in analysis.rows} == {operation}
        for row in analysis.rows:
            assert (row.stride, row.window, row.centered, row.step, row.checkpoint) == (5, 9, True, 60, "final")
            assert row.null is not None
            assert row.null.n >= (20 if row.statistic != "jaccard" else 5)  # disjoint triples
            assert 0 < row.null.pvalue <= 1
    claims = {row.claim for analysis in analyses[0].values() for row in analysis.rows}
    assert claims == {"C3", "C4", "C6", "C7", "C8", "C9", "C13", "C14"}


def test_a_row_is_the_number_that_the_library_gives_by_hand(analyses, trained):
    """The README's own path: stack snapshots, find the edge, respond, group, transform."""
    run, _ = open_run(trained["add"])
    model = se.ModularTransformer(p=13, d_model=16, n_heads=2, d_mlp=16)
    subset = se.attention_weights(model)
    theta = [subset.flatten(run.read_snapshot(step)).double() for step in range(15, 65, 5)]
    x = np.stack([(b - a).numpy() for a, b in itertools.pairwise(theta)])
    _, _, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    model.load_state_dict(run.read_snapshot(60))
    task = se.ModularTask("add", 13)
    test = task.split(0.5, 42).test
    energy = se.functional_modes(model, v[:1].astype(np.float32), task.pairs[test]).energy.numpy()[0]
    mean = [energy[task.labels[test] == q].mean() for q in range(13)]
    power = np.abs(np.fft.fft(mean)[1:7]) ** 2
    row = next(
        r
        for r in analyses[0]["add"].rows
        if (r.claim, r.direction, r.statistic, r.grouping) == ("C6", "v1", "concentration", "sum")
    )
    assert row.measured == pytest.approx(power.max() / power.sum(), rel=1e-3)
    assert row.peak == power.argmax() + 1


def test_arrays_for_the_figures_are_there(analyses):
    arrays = analyses[0]["x2_y2"].arrays
    assert arrays["profile.final.output:x2_y2.power"].shape == (8, 6)
    assert arrays["profile.final.output:x2_y2.null"].shape == (20, 6)
    np.testing.assert_allclose(arrays["profile.final.output:x2_y2.power"].sum(1), 1, rtol=1e-5)
    assert arrays["energy.final"].shape == (3, 13, 13)
    assert arrays["character.final.gaussian"].shape == (3, 12, 12)
    assert arrays["spectrum.stride5.singular_values"].shape == (4, 9)
    summary = analyses[0]["x2_y2"].summary
    assert len(summary.finite_difference_error["final"]) == 8
    assert 0 < max(summary.finite_difference_error["final"]) < 0.2
    assert 1 <= summary.edge_position["final"] <= 8
    assert np.isnan(analyses[0]["mul"].arrays["energy.final"][:, 0]).all()


def test_an_analysis_is_not_repeated(analyses, trained, monkeypatch):
    monkeypatch.setattr(mode_study, "StepComparison", None)  # not needed again
    assert analyze_run(trained["add"], analyses[1]).rows == analyses[0]["add"].rows


def test_the_same_run_gives_the_same_numbers(analyses, trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained["sub"], copy, ignore=shutil.ignore_patterns("analysis-*"))
    again = analyze_run(copy, analyses[1])
    assert again.rows == analyses[0]["sub"].rows
    assert all(np.array_equal(again.arrays[k], v, equal_nan=True) for k, v in analyses[0]["sub"].arrays.items())


def test_assembled_numbers_round_trip(analyses, tmp_path):
    numbers = assemble(list(analyses[0].values()), TINY_ANALYSIS, "test", 1.0, MODE_CLAIMS)
    assert list(dict.fromkeys(row.claim for row in numbers.rows)) == ["C3", "C4", "C6", "C7", "C8", "C9", "C13", "C14"]
    assert [run.run_id for run in numbers.runs] == [analysis.summary.run_id for analysis in analyses[0].values()]
    numbers.write(tmp_path / "numbers.json")
    assert Numbers.read(tmp_path / "numbers.json") == numbers


def test_a_damaged_analysis_is_named(analyses, trained):
    folder = trained["x2_y2"] / MODES.folder(analyses[1])
    arrays = next(folder.glob("arrays-*"))
    good = arrays.read_bytes()
    try:
        arrays.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(RunCorruptError, match=arrays.name):
            find_analyses(trained["x2_y2"], analyses[1])
    finally:
        arrays.write_bytes(good)


def test_a_shorter_window_measures_what_it_can(trained):
    analysis = analyze_run(trained["add"], AnalysisConfig(window=4, stride=5, random_directions=20, permutations=20))
    directions = {row.direction for row in analysis.rows if row.claim == "C6"}
    assert {"v1", "v3", "mean(v1..v3)"} <= directions
    assert not {"v4", "mean(v4..v8)"} & directions


def test_errors_say_what_to_do(trained, tmp_path, tiny_analysis):
    with pytest.raises(ValueError, match="window of 30 updates"):
        analyze_run(trained["add"], AnalysisConfig(window=30, stride=5))
    with pytest.raises(RunMissingError, match="no run is here"):
        find_analyses(tmp_path, tiny_analysis)
    with pytest.raises(RunMissingError, match="no run here"):
        analyze_run(tmp_path / "nowhere", tiny_analysis)


def test_a_run_that_went_on_is_analysed_again(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained["mul"], copy, ignore=shutil.ignore_patterns("analysis-*"))
    run, _ = open_run(copy)
    lines = (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    (copy / "metrics.jsonl").write_text("".join(lines[:-1]))
    run.write_status({**run.status, "state": "running"})
    assert analyze_run(copy, TINY_ANALYSIS).summary.steps == 55
    (copy / "metrics.jsonl").write_text("".join(lines))
    assert analyze_run(copy, TINY_ANALYSIS).summary.steps == 60


def test_lost_evaluations_of_a_finished_run_are_noticed(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained["mul"], copy)
    metrics = copy / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-3])  # reads as a torn last line
    with pytest.raises(RunCorruptError, match=r"metrics.jsonl.*step 55.*step 60"):
        analyze_run(copy, TINY_ANALYSIS)


def test_published_numbers_stand_beside_the_published_protocol_only(analyses):
    assert all(row.published is None for analysis in analyses[0].values() for row in analysis.rows)
