import pytest

from spectral_edge.replication.sweep import SpecError, SweepSpec, read_spec, run_sweep
from support.sweeping import tiny_spec


def problems_of(**parts):
    with pytest.raises(SpecError) as refused:
        tiny_spec(**parts).configurations  # noqa: B018
    return str(refused.value)


def test_a_grid_is_every_combination_and_single_runs_follow():
    spec = tiny_spec(
        base={"frac_train": 0.4},
        grid={"operation": ["add", "mul"], "weight_decay": [1.0, 0.0], "seed": [1, 2, 3]},
        runs=[{"operation": "sub", "frac_train": 0.6, "threads": 2}],
    )
    *grid, single = spec.configurations
    assert len({(run.training.operation, run.training.weight_decay, run.training.seed) for run in grid}) == 12
    assert {run.training.frac_train for run in grid} == {0.4}
    assert {run.window for run in grid} == {4}
    assert (single.training.operation, single.training.frac_train, single.threads) == ("sub", 0.6, 2)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"grid": {"seed": [1, 2, 1]}}, "grid (seed = 1): the same run as grid (seed = 1)"),
        ({"grid": {"weight_decay": [1, 1.0]}}, "the same run as grid (weight_decay = 1)"),
        ({"grid": {"seed": [1, 2]}, "runs": [{"seed": 2}]}, "runs[0]: the same run as grid (seed = 2); leave one"),
        ({"runs": [{}, {"seed": 42}]}, "runs[1]: the same run as runs[0]"),
        ({"base": {"seed": 7}, "grid": {"seed": [1, 2]}}, "base.seed and grid.seed contradict each other"),
        ({"runs": [{"min_steps": 500}]}, "runs[0]: min_steps 500 is above max_steps 60"),
        ({"runs": [{"weight_decy": 1}]}, "runs[0].weight_decy: there is no such field; did you mean weight_decay?"),
        ({"grid": {"zzz": [1]}}, "grid.zzz: there is no such field; possible are operation, p"),
        ({"grid": {"seed": []}}, "grid.seed: an empty list"),
        ({}, "there are no runs"),
        ({"base": {"p": 2}, "grid": {"seed": [1, 2]}}, "base.p: Input should be greater than or equal to 5 (found 2)"),
        ({"grid": {"seed": [1, "x"]}}, "grid.seed: Input should be a valid integer"),
        ({"runs": [{"n_heads": 3}]}, "runs[0]: "),
        ({"runs": [{"operation": "x2_y"}]}, "x2_y2"),
        ({"runs": [{}], "claims": ["C6", "C99"]}, "claims: C99 is unknown; possible are C1"),
    ],
)
def test_what_cannot_be_run_is_named_with_its_place(parts, words):
    assert words in problems_of(**parts)


def test_all_problems_are_listed_each_once():
    text = problems_of(base={"p": 2}, grid={"seed": [1, 2, 3]}, runs=[{"min_steps": -1}])
    assert text.startswith("2 problems in this sweep:")
    assert text.count("base.p") == 1
    assert "runs[0].min_steps" in text
    text = problems_of(base={"p": 22, "zzz": 1, "seed": 3}, grid={"operation": ["add", "foo"], "seed": [1]})
    for problem in ("base.zzz", "base.seed and grid.seed", "p = 22", "unknown operation"):
        assert problem in text, "one problem does not hide another"


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        ({"stride": 3, "window": 4}, "analysis.stride 3 is no multiple of eval_every"),
        ({"stride": 20, "window": 4}, "is 80, above max_steps 60"),
    ],
)
def test_an_analysis_that_no_run_can_have_is_refused_before_training(analysis, words):
    assert words in problems_of(runs=[{}], claims=["C6"], analysis=analysis)
    assert tiny_spec(runs=[{}], analysis=analysis).configurations, "without claims nothing is analysed"


def test_nothing_is_written_for_a_spec_that_cannot_be_run(tmp_path):
    with pytest.raises(SpecError):
        run_sweep(tmp_path / "out", tiny_spec(runs=[{}, {}]), None)
    assert list(tmp_path.iterdir()) == []


def test_toml_and_json_say_the_same(tmp_path):
    (tmp_path / "spec.toml").write_text("[base]\np = 13\n[grid]\nseed = [1, 2]\n[[runs]]\nseed = 3\n")
    (tmp_path / "spec.json").write_text('{"base": {"p": 13}, "grid": {"seed": [1, 2]}, "runs": [{"seed": 3}]}')
    spec = read_spec(tmp_path / "spec.toml")
    assert (
        spec
        == read_spec(tmp_path / "spec.json")
        == SweepSpec(base={"p": 13}, grid={"seed": [1, 2]}, runs=[{"seed": 3}])
    )


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("spec.toml", "[grid]\nseed = [1]\nseed = [2]\n", "line 3"),
        ("spec.toml", "[grid\n", "line 1"),
        ("spec.json", '{"grid": {"seed": [1], "seed": [2]}}', "seed: written twice"),
        ("spec.json", "[1]", "base, grid, runs"),
        ("spec.toml", "[grid]\nseed = 4\n", r"grid.seed: Input should be a valid list \(found 4\)"),
        ("spec.toml", "[bse]\np = 13\n", "bse: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_is_no_spec_is_named_with_its_place(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(SpecError, match=words) as refused:
        read_spec(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"nowhere.toml: cannot be read \(No such file"):
        read_spec(tmp_path / "nowhere.toml")
