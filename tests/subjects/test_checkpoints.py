import pytest

from spectral_edge.store import RunDirectory
from spectral_edge.subjects.checkpoints import checkpoint_step, grok_step, snapshots_before


def history(*accuracies):
    return [
        {"step": 100 * (i + 1), "train_accuracy": train, "test_accuracy": test}
        for i, (train, test) in enumerate(accuracies)
    ]


RUN = history((0.5, 0.0), (0.9, 0.1), (1, 0.1), (1, 0.2), (1, 0.6), (1, 0.97), (1, 0.99), (1, 0.99), (1, 0.94))


@pytest.mark.parametrize(
    ("name", "step"), [("memorisation", 300), ("transition", 500), ("stop", 800), ("final", 900), ("early", 300)]
)
def test_names_of_the_paper(name, step):
    assert checkpoint_step(RUN, name, window=3) == step


def test_phases_that_never_came():
    never = history((0.5, 0.1), (0.6, 0.1))
    assert [checkpoint_step(never, name, 3) for name in ("stop", "transition", "memorisation", "early")] == [None] * 4
    with pytest.raises(ValueError, match="choose early"):
        checkpoint_step(RUN, "middle", 3)
    with pytest.raises(ValueError, match="no evaluations"):
        checkpoint_step([], "stop", 3)


def test_grok_step_is_the_first_of_the_evaluations_in_a_row():
    assert grok_step(RUN, 0.97, 3) == 600
    assert grok_step(RUN, 0.98, 2) == 700
    assert grok_step(RUN, 0.98, 3) is None


def test_a_window_longer_than_the_trajectory_is_refused(trained):
    run = RunDirectory.open(trained["add"])
    assert snapshots_before(run, 60, stride=10, window=6) == list(range(0, 70, 10))
    with pytest.raises(ValueError, match=r"window of 13 updates of stride 5 .* before step 60; a window of 12"):
        snapshots_before(run, 60, stride=5, window=13)
    with pytest.raises(ValueError, match=r"of steps …, 45, 50, 55, 60"):
        snapshots_before(run, 60, stride=7, window=2)
    with pytest.raises(ValueError, match=r"nearest is of step 60, the last of step \d+"):
        snapshots_before(run, 61, stride=5, window=2)
