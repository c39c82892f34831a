"""The two parts of a run's updates: they add up, and decay shrinks weights along themselves."""

import pytest
import torch

from spectral_edge.store import RunMissingError
from spectral_edge.subjects.trained_run import TrainedRun


@pytest.fixture(scope="module")
def run(trained):
    return TrainedRun.open(trained["add"])


def test_parts_add_up_to_the_update(run):
    update, decay, gradient = (run.updates(60, 6, 10, part) for part in ("update", "decay", "gradient"))
    torch.testing.assert_close(decay + gradient, update)
    assert decay.norm() > 0.1 * update.norm()


def test_decay_of_one_interval_lies_between_that_of_the_weights_at_its_ends(run):
    """Over five steps at η = .001, λ = 1, weights hardly change: -Σηλθ is -.005 θ up to their movement."""
    rate = run.training.learning_rate * run.training.weight_decay * 5
    decay = run.updates(60, 2, 5, "decay")[-1]
    start, end = run.weights_at(55), run.weights_at(60)
    assert (decay + rate * start).norm() <= rate * 4 * (end - start).norm() + 1e-6
    assert torch.nn.functional.cosine_similarity(decay, -start, dim=0) > 0.9


def test_edges_of_both_parts_differ_from_the_edge_of_the_update(run):
    edges = [run.edge(60, 9, 5, True, of=part).singular_values for part in ("update", "decay", "gradient")]
    assert edges[0][0] > edges[1][0] > 0
    assert abs(edges[0][0] - edges[2][0]) > 1e-4 * edges[0][0]


def test_a_step_without_decay_says_so(run):
    with pytest.raises(RunMissingError, match="no decay of step 7"):
        run.run.read_decay(7)
