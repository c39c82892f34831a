import os

import pytest
from pydantic import ValidationError

from spectral_edge.replication import ReproduceConfig, analyze_run, assemble, reproduce
from spectral_edge.replication.decision import runs_of
from spectral_edge.store import RunLockedError, StoreError, hold_lock
from spectral_edge.subjects import run_folder, train_run
from support.tiny_runs import TINY_ANALYSIS, tiny


class TinyProfile(ReproduceConfig):
    @property
    def runs(self):
        return [tiny("add"), tiny("mul"), tiny("sub")]


CONFIG = TinyProfile(analysis=TINY_ANALYSIS, jobs=2)


def test_profile_quick_is_the_first_copy_of_the_decision_s_seed_42():
    runs = ReproduceConfig().runs
    assert {run.run_id for run in runs} == {run.run_id for run in runs_of("paper_seed")[:4]}
    assert {run.training.operation for run in runs} == {"add", "sub", "mul", "x2_y2"}
    assert {(run.training.seed, run.training.p, run.training.weight_decay) for run in runs} == {(42, 97, 1.0)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"claims": ("C6", "C99")}, "C99: no such claim; possible are C1, C2"),
        ({"seeds": (1, 1)}, "seeds are distinct"),
        ({"seeds": (-1,)}, "42, 137, 2024"),
        ({"jobs": 1000}, "possible are 1 to"),
        ({"jobs": 0}, "greater than or equal to 1"),
    ],
)
def test_impossible_settings_are_refused_with_what_is_possible(settings, words):
    with pytest.raises(ValidationError, match=words):
        ReproduceConfig(**settings)


def test_the_paper_is_36_single_runs_on_one_grid_and_shared_trunks_on_one_split():
    runs = [run.training for run in ReproduceConfig(profile="paper").runs]
    single = [t for t in runs if len(t.operations) == 1 and not t.nonzero]
    assert len({(t.operation, t.weight_decay, t.seed) for t in single}) == len(single) == 36
    assert {(t.min_steps, t.eval_every) for t in single} == {(5000, 100)}
    shared = [t for t in runs if len(t.operations) > 1]
    assert sorted(t.seed for t in shared if t.operation == "add+mul+x2_y2") == [42, 137, 2024]
    for partner in ("add+x2_y2", "mul+x2_y2"):
        assert len([t for t in shared if t.operation == partner]) == 2
    assert all(t.nonzero for t in shared)
    assert len([t for t in runs if t.operation == "x2_y2" and t.nonzero]) == 3


def test_runs_of_different_protocols_are_not_put_into_one_table(tmp_path, trained):
    other = run_folder(tmp_path, tiny("add", learning_rate=0.01, seed=7))
    train_run(other, tiny("add", learning_rate=0.01, seed=7))
    analyses = [analyze_run(path, TINY_ANALYSIS) for path in (trained["mul"], other)]
    with pytest.raises(StoreError, match=r"mul-s42.* and add-s7.*learning_rate 0.001 and 0.01.*directory of their own"):
        assemble(analyses, TINY_ANALYSIS, "test", 1.0, ("C6",))


def test_a_second_command_on_the_same_results_is_refused(tmp_path):
    with hold_lock(tmp_path / "lock"), pytest.raises(RunLockedError, match=str(os.getpid())):
        reproduce(tmp_path, CONFIG)
