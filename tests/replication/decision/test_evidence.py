"""An arm on tiny runs: trained, measured, gathered; its rows against values computed by hand."""

import shutil

import numpy as np
import polars
import pytest
import torch

import spectral_edge as se
from spectral_edge.replication.decision import PROTOCOL, evidence
from spectral_edge.replication.decision.answers import answers_of, claim_answers, replaced_in
from spectral_edge.replication.decision.evidence import gather_arm, measure_arm, restore_arm
from spectral_edge.replication.decision.instruments import measure_cross_terms, measure_features
from spectral_edge.replication.decision.measure import measure_hybrid
from spectral_edge.replication.decision.statistics import ScriptPeakedness
from spectral_edge.replication.decision.tables import gathered, read_table, write_frame, write_table
from spectral_edge.replication.decision.trunk import measure_trunk, script_pairs
from spectral_edge.spectrum import gradient_share
from spectral_edge.store import StoreError
from spectral_edge.subjects import run_folder, train_run
from spectral_edge.subjects.profiles import single_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import STOP, tiny
from support.tiny_runs import TINY_PROTOCOL as TINY

RUNS = [tiny(name, seed=1, **STOP) for name in ("add", "mul", "x2_y2", "sub")]
BY_INSTRUMENTS = {run.run_id for run in RUNS}


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    out = tmp_path_factory.mktemp("decide")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainedRun, "step_of", lambda run, name, window=20: {"stop": 60, "transition": 55}[name])
        patch.setattr(evidence, "runs_of", lambda arm, replaced=None: RUNS)
        patch.setattr(evidence, "_read_by_instruments", lambda arm, replaced: BY_INSTRUMENTS)
        patch.setattr(evidence, "call_all", lambda calls, jobs, say: [f(*a) for f, *a in calls.values()])
        measure_arm(out, "seeds", protocol=TINY)
        files = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
        measure_arm(out, "seeds", protocol=TINY)
        assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == files
        measure_arm(out, "paper_seed", protocol=TINY)
        for name in ("seeds", "paper_seed"):
            gather_arm(out, name, out / "kept", TINY)
    return out


@pytest.fixture(scope="module")
def rows(arm):
    return read_table(arm / "kept" / "seeds.parquet", TINY)


def test_every_direction_has_its_nulls(rows):
    own = rows.filter(task="mul", statistic="concentration", grouping="discrete_log", inputs="test_off_diagonal")
    nulls = {name: set(part["null"]) for (name,), part in own.group_by("direction")}
    k = own["position"][0]
    assert nulls["v1"] == {"isotropic", "span", "weights", "blocks", "inputs"}
    assert nulls["theta"] == {"isotropic", "span", "inputs"}  # no direction has its cosine to itself and more
    assert nulls["v8"] == {"isotropic", "span"}
    assert {name for name, found in nulls.items() if "blocks" in found} == {f"v{i + 1}" for i in range(min(k, 3))}
    assert set(own.filter(null="inputs")["draws"]) == {8}
    assert set(rows["step"]) == {60, 55}
    early = rows.filter(checkpoint="transition")
    assert set(early["task"]) == {"add"}
    script = early.filter(statistic="peakedness:script", direction="v1")
    assert set(script["null"]) == {"isotropic", "span", "weights", "blocks", "inputs"}
    assert script["peak"].drop_nulls().len() == 5


def test_a_row_is_the_statistic_of_the_direction_s_response(arm, rows):
    run = TrainedRun.open(run_folder(arm, RUNS[1]))
    model, parameters = run.model_at(60)
    pairs = run.task.pairs[run.task.split(0.5, 1).test]
    v1 = run.edge(60, 9, 5, True).directions(1)
    theta = parameters.flatten() / parameters.flatten().norm()
    across = v1[0] - (v1[0] @ theta) * theta
    q = se.grouping("discrete_log", 13)
    labels = np.where(pairs[:, 0] == pairs[:, 1], -1, q(pairs))
    for name, direction in (("v1", v1[0]), ("v1-theta", across / across.norm())):
        energy = se.functional_modes(model, direction[None], pairs, parameters=parameters).energy.numpy()
        profile = se.fourier_profile(energy, labels, 12)
        row = rows.filter(
            task="mul", direction=name, statistic="concentration", grouping="discrete_log", inputs="test_off_diagonal"
        ).row(0, named=True)
        assert row["measured"] == pytest.approx(profile.concentration[0], rel=1e-4)
        assert row["peak"] == profile.peak[0]
        assert row["cosine"] == pytest.approx(float(direction / direction.norm() @ theta), abs=1e-5)


def test_every_row_says_by_which_method_and_whose_definition(arm, rows):
    assert set(rows["method"]) == {"jvp"}
    found = {(row["statistic"], row["grouping"]): row["definition"] for row in rows.iter_rows(named=True)}
    assert found["concentration", "sum"] == found["r2:cross", "cross_terms"] == "text"
    assert found["concentration", "output_discrete_log:add"] == found["head_purity", None] == "script"
    assert found["peakedness:script", "sum"] == "script"
    assert found["jaccard", None] == found["variance_share", "sum"] == "ours"
    for question in TINY.questions:
        grouping = "cross_terms" if question.claim == "C10" else question.grouping
        if (question.statistic, grouping) in found:
            assert found[question.statistic, grouping] == question.definition


def test_the_largest_of_five_bases_is_the_largest(rows):
    own = rows.filter(task="x2_y2", direction="v1", inputs="test", null="isotropic")
    largest = own.filter(statistic="largest concentration of five bases")["measured"].item()
    assert largest == own.filter(statistic="concentration")["measured"].max()
    assert own.filter(statistic="concentration").height == 5


def test_what_was_measured_is_answered_and_every_published_number_has_reruns(arm):
    """From run directories to answers: one seed decides nothing, but no question falls through."""
    answers = {(a.question.claim, a.question.task): a for a in answers_of(arm / "kept", TINY)}
    of_directions = {(q.claim, q.task) for q in TINY.questions if q.claim not in ("C1", "C2", "C11", "C12")}
    assert set(answers) == of_directions
    for key, answer in answers.items():
        assert answer.specific.answer == answer.exists.answer == "undecided"
        assert set(answer.by_null) == set(answer.question.specific)
        if answer.question.published is not None:
            assert answer.reproduces.answer is not None, key
            assert answer.reproduces.n == 1  # the copies of this arm have one number
    assert (
        claim_answers([q for q in TINY.questions if q.claim == "C3"], list(answers.values()))["exists"] == "undecided"
    )


def test_script_peakedness_is_that_of_a_slow_twin():
    torch.manual_seed(0)
    labels = np.random.default_rng(0).integers(0, 12, 200)
    response = torch.randn(200, 6, dtype=torch.float64)
    response[:, 0] += 2 * torch.cos(torch.tensor(2 * np.pi * 3 * labels / 12))
    u = np.linalg.svd(response.numpy())[2][0]
    s = response.numpy() @ u
    s = s - s.mean()
    power = []
    for w in range(1, 7):
        waves = [f(2 * np.pi * w * labels / 12) for f in (np.cos, np.sin)]
        power.append(sum((wave / np.linalg.norm(wave) @ s) ** 2 for wave in waves if np.linalg.norm(wave) > 1e-9))
    statistic = ScriptPeakedness(labels, 12)
    assert statistic(response) == pytest.approx(max(power) / np.mean(power))
    assert statistic.peak(response) == 3
    names = np.random.default_rng(1).permutation(12)
    permuted = statistic.permute_labels(np.random.default_rng(1))(response)
    assert permuted == pytest.approx(ScriptPeakedness(names[labels], 12)(response))
    assert statistic.permuted_values(response, np.random.default_rng(1), 1)[0] == pytest.approx(permuted)


def test_series_hold_both_parts_of_the_updates(arm):
    series = read_table(arm / "kept" / "seeds.series.parquet", TINY).filter(task="add")
    run = TrainedRun.open(run_folder(arm, RUNS[0]))
    last = series.row(-1, named=True)
    assert series["step"].to_list() == [50, 55, 60]
    for part, suffix in (("update", ""), ("gradient", "_gradient"), ("decay", "_decay")):
        sigma = run.edge(60, 10, 5, False, of=part).singular_values
        assert last[f"g23{suffix}"] == pytest.approx(sigma[1] ** 2 - sigma[2] ** 2, rel=1e-4)
        assert last[f"sigma_ratio{suffix}"] == pytest.approx(sigma[0] / sigma[1], rel=1e-4)
    v1 = run.edge(60, 9, 5, True).directions(1)
    theta = run.weights_at(60)
    assert last["cosine_theta"] == pytest.approx(float(v1[0] @ theta / theta.norm()), abs=1e-5)
    assert 0 < last["gradient_share_v1"] < 1


def test_the_gradient_share_of_planted_updates():
    v = torch.eye(3)[:2]
    gradient = torch.tensor([[3.0, 0.0, 1.0], [-3.0, 0.0, 5.0]])
    decay = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]])
    assert gradient_share(v, gradient, decay).tolist() == [0.9, 0.0]


def test_tables_of_another_protocol_damaged_tables_and_runs_that_are_there_twice_are_named(arm, tmp_path):
    kept = arm / "kept" / "seeds.parquet"
    with pytest.raises(StoreError, match=rf"seeds.parquet.*{TINY.digest}.*{PROTOCOL.digest}"):
        read_table(kept, PROTOCOL)
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"damaged\.parquet: cannot be read"):
        read_table(damaged, TINY)
    polars.DataFrame({"a": [1]}).write_parquet(damaged)
    with pytest.raises(StoreError, match="no column 'protocol'"):
        read_table(damaged, TINY)
    one = next((arm / "measured" / "seeds").glob("add*.rows.parquet"))
    again = tmp_path / "again.parquet"
    again.write_bytes(one.read_bytes())
    with pytest.raises(StoreError, match=r"again.parquet: run add.* of arm seeds is in .*add.*too"):
        gathered([one, again], TINY)


def test_equal_rows_are_equal_bytes(arm, tmp_path):
    table = read_table(arm / "kept" / "seeds.parquet", TINY)
    for name in ("first", "second"):
        write_table(tmp_path / name, table.rows(named=True))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_column_of_nulls_keeps_its_type_and_a_file_that_cannot_be_written_is_named(tmp_path):
    frame = polars.DataFrame({"seed": [1, 2], "pvalue": [None, None]}, schema={"seed": int, "pvalue": float})
    write_frame(tmp_path / "table.parquet", frame)
    assert polars.read_parquet(tmp_path / "table.parquet").equals(frame)
    assert polars.read_parquet_schema(tmp_path / "table.parquet") == frame.schema
    with pytest.raises(StoreError, match="missing"):
        write_frame(tmp_path / "missing" / "table.parquet", frame)


def test_overlaps_and_cross_terms_have_their_nulls(arm):
    run = TrainedRun.open(run_folder(arm, RUNS[2]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainedRun, "step_of", lambda run, name, window=20: 60)
        features = measure_features(run, "seeds", TINY)
        terms = measure_cross_terms(run, "seeds", TINY)
        hybrid = measure_hybrid(run, TrainedRun.open(run_folder(arm, RUNS[2])), TINY)
        overlap = measure_features(run, "hybrid", TINY, TrainedRun.open(run_folder(arm, RUNS[2])))
    assert {(r["direction"], r["null"]) for r in features} == {
        ("pairs(v1..v3)", null) for null in ("isotropic", "span", "weights", "random_features")
    }
    assert len({r["measured"] for r in features}) == 1
    gains = [r for r in terms if r["statistic"] == "cross_gain:held_out"]
    assert {(r["direction"], r["null"]) for r in gains} == {
        (v, null) for v in ("v1", "v2", "v3") for null in ("isotropic", "span", "weights", "blocks", "random_features")
    }
    assert {r["arm"] for r in hybrid} == {r["arm"] for r in overlap} == {"hybrid"}
    assert {r["null"] for r in hybrid} == {"isotropic"}
    (printed,) = [r for r in hybrid if (r["statistic"], r["direction"]) == ("r2:cross", "v1")]
    (own,) = [r for r in terms if (r["statistic"], r["direction"], r["null"]) == ("r2:cross", "v1", "isotropic")]
    assert printed["measured"] == pytest.approx(own["measured"], rel=1e-5)  # of a run applied to itself
    assert overlap[0]["measured"] == pytest.approx(features[0]["measured"])


def test_a_trunk_has_the_script_s_concentration_and_the_sharedness_of_its_directions(tmp_path):
    config = tiny("add+mul+x2_y2", seed=1, nonzero=True, **STOP)
    train_run(run_folder(tmp_path, config), config)
    run = TrainedRun.open(run_folder(tmp_path, config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainedRun, "step_of", lambda run, name, window=20: 60)
        rows = measure_trunk(run, "trunk", TINY.model_copy(update={"draws": 10}))
    table = polars.DataFrame(rows, infer_schema_length=None)
    pairs = script_pairs(13)
    assert len(pairs) == 85
    assert (pairs == 0).any()
    model, parameters = run.model_at(60)
    v = run.edge(60, 9, 5, True).directions(8)
    energy = se.functional_modes(model, v[:1], pairs, parameters=parameters).energy.numpy()
    expected = se.fourier_profile(energy, pairs.sum(1) % 13, 13)
    own = table.filter(statistic="concentration", inputs="all", direction="v1").row(0, named=True)
    assert (own["measured"], own["peak"]) == (pytest.approx(expected.concentration[0], rel=1e-4), expected.peak[0])

    # Usage by automatic differentiation of each task's loss along each direction.
    test = run.task.split(0.5, 1).test
    inputs = torch.from_numpy(run.task.pairs[test])
    usage = np.zeros((3, 8))
    theta = parameters.flatten()
    for t, task in enumerate(run.tasks):
        labels = torch.from_numpy(task.labels[test])
        for k in range(8):

            def losses(epsilon, k=k, name=task.name, labels=labels):
                moved = parameters.unflatten(theta + epsilon * v[k])
                logits = torch.func.functional_call(model, moved, (inputs[:, 0], inputs[:, 1]))[name]
                return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

            _, along = torch.func.jvp(losses, (torch.zeros(()),), (torch.ones(()),))
            usage[t, k] = float(along.double().square().mean())
    shared = usage.sum(0) ** 2 / (3 * (usage**2).sum(0))
    split = table.filter(statistic="sharedness")
    assert split["measured"].to_list() == pytest.approx([shared[:3].mean() - shared[3:].mean()] * 2, rel=1e-3)
    assert split["null"].to_list() == ["label_permutation", "isotropic"]
    assert split["draws"][0] == 55


def ended(out, operation, seed, stop_step):
    run = single_run(operation, seed)
    row = {"protocol": TINY.digest, "arm": "seeds", "run_id": run.run_id, "task": operation, "seed": seed, "copy": 0}
    series = out / "measured" / "seeds" / f"{run.run_id}.series.parquet"
    series.parent.mkdir(parents=True, exist_ok=True)
    write_table(series, [row | {"stop_step": stop_step}])


def test_a_seed_that_did_not_generalise_has_a_reserve_also_where_run_directories_are_gone(tmp_path):
    assert evidence.replaced_seeds(tmp_path, TINY) == {}
    ended(tmp_path, "mul", 1001, 3000)
    ended(tmp_path, "mul", 1002, None)
    ended(tmp_path, "add", 1005, None)
    assert evidence.replaced_seeds(tmp_path, TINY) == {("add", 1005): 1031, ("mul", 1002): 1031}
    ended(tmp_path, "mul", 1031, None)
    ended(tmp_path, "mul", 1003, None)
    ended(tmp_path, "mul", 1032, 3000)
    replaced = {("add", 1005): 1031, ("mul", 1002): 1032, ("mul", 1003): 1033}
    assert evidence.replaced_seeds(tmp_path, TINY) == replaced
    gather_arm(tmp_path, "seeds", tmp_path / "kept", TINY)
    restore_arm(tmp_path / "elsewhere", "seeds", tmp_path / "kept", TINY)
    assert evidence.replaced_seeds(tmp_path / "elsewhere", TINY) == replaced
    assert replaced_in(tmp_path / "kept", TINY) == {"mul 1002": 1032}
    for seed in range(1032, 1041):
        ended(tmp_path, "mul", seed, None)
    with pytest.raises(ValueError, match="more than 10 seeds of mul"):
        evidence.replaced_seeds(tmp_path, TINY)


def test_what_is_kept_is_not_measured_again_where_run_directories_are_gone(arm, tmp_path):
    kept = arm / "kept"
    for name in ("seeds", "paper_seed"):
        written = restore_arm(tmp_path, name, kept, TINY)
        there = sorted(path.name for path in (arm / "measured" / name).glob("*.parquet"))
        assert sorted(path.name for path in (tmp_path / "measured" / name).glob("*.parquet")) == there
        assert written == len(there)
        assert restore_arm(tmp_path, name, kept, TINY) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "runs_of", lambda arm, replaced=None: RUNS)
        gather_arm(tmp_path, "seeds", tmp_path / "again", TINY)
    again, before = (read_table(folder / "seeds.parquet", TINY) for folder in (tmp_path / "again", kept))
    keys = ["run_id", "checkpoint", "direction", "statistic", "grouping", "inputs", "null"]
    assert again.select(before.columns).sort(keys).equals(before.sort(keys))


def test_a_table_of_older_code_is_measured_again(arm, tmp_path, monkeypatch):
    out = shutil.copytree(arm, tmp_path / "out")
    monkeypatch.setattr(evidence, "runs_of", lambda arm, replaced=None: RUNS[1:2])
    monkeypatch.setattr(evidence, "_read_by_instruments", lambda arm, replaced: set())
    monkeypatch.setattr(evidence, "call_all", lambda calls, jobs, say: [f(*a) for f, *a in calls.values()])
    monkeypatch.setattr(TrainedRun, "step_of", lambda run, name, window=20: {"stop": 60, "transition": 55}[name])
    table = out / "measured" / "seeds" / f"{RUNS[1].run_id}.rows.parquet"
    whole = read_table(table, TINY)
    assert set(whole["version"]) == {2}
    write_table(table, whole.drop("version").with_columns(measured=polars.lit(0.5)).rows(named=True))
    assert set(read_table(table, TINY)["version"]) == {1}
    measure_arm(out, "seeds", protocol=TINY)
    assert read_table(table, TINY).sort(whole.columns).equals(whole.sort(whole.columns))
