"""Spectra from what a run keeps, against the same window taken straight from its weights."""

import json
import shutil

import numpy as np
import pytest

from spectral_edge.serve.library import Library
from spectral_edge.serve.spectra import Spectra, SpectrumChoice
from spectral_edge.subjects import train_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import tiny


@pytest.fixture
def spectra(trained):
    return Spectra(Library(trained))


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize(("window", "stride"), [(3, 5), (5, 10), (10, 5), (2, 25)])
def test_every_window_is_that_of_the_weights(spectra, trained, window, stride, centered):
    found = spectra.series("runs/add", SpectrumChoice(window, stride, centered))
    weights = {s: w for s in range(0, 65, 5) for w in [TrainedRun.open(trained / "runs" / "add").weights_at(s)]}
    assert found.steps == [step for step in range(0, 65, 5) if step >= window * stride]
    for step, sigma, ratios in zip(found.steps, found.singular_values, found.gap_ratios, strict=True):
        ends = [weights[step - stride * back].double().numpy() for back in range(window, -1, -1)]
        updates = np.diff(ends, axis=0)
        expected = np.linalg.svd(updates - centered * updates.mean(0), compute_uv=False)[: len(sigma)]
        np.testing.assert_allclose(sigma, expected, rtol=1e-6, atol=1e-6 * expected[0])
        if window > 3:
            np.testing.assert_allclose(ratios[:2], expected[:2] / expected[1:3], rtol=1e-5)


def test_single_steps_come_from_the_log(spectra, trained):
    found = spectra.series("runs/add", SpectrumChoice(4, 1, True))
    log = [json.loads(line) for line in (trained / "runs" / "add" / "metrics.jsonl").read_text().splitlines()]
    gram = np.array(log[-1]["gram_matrix"])
    centring = np.eye(4) - 1 / 4
    expected = np.sqrt(np.linalg.eigvalsh(centring @ gram @ centring)[::-1][:3])
    assert found.steps[-1] == 60
    np.testing.assert_allclose(found.singular_values[-1][:3], expected, rtol=1e-6)
    shorter = spectra.series("runs/add", SpectrumChoice(3, 1, False))
    np.testing.assert_allclose(
        shorter.singular_values[-1] ** 2, np.linalg.eigvalsh(gram[1:, 1:])[::-1], rtol=1e-6, atol=1e-9
    )


def test_recordings_give_the_windows_of_their_log(spectra):
    choices = spectra.choices("runs/recorded")
    assert choices["strides"] == {2: 5}
    found = spectra.series("runs/recorded", SpectrumChoice(5, 2, True))
    assert found.steps[-1] == 40
    assert (found.singular_values[:, 0] > 0).all()


def test_what_is_not_kept_is_refused_with_what_is(spectra):
    with pytest.raises(ValueError, match=r"stride 7 .* 5 \(up to 12\)"):
        spectra.series("runs/add", SpectrumChoice(3, 7, True))
    with pytest.raises(ValueError, match="window of 13"):
        spectra.series("runs/add", SpectrumChoice(13, 5, True))


def test_thinning_keeps_the_last_window(spectra):
    every = spectra.series("runs/add", SpectrumChoice(3, 5, True))
    few = spectra.series("runs/add", SpectrumChoice(3, 5, True), most=4)
    assert (few.found, len(few.steps), few.steps[-1]) == (len(every.steps), 4, every.steps[-1])


def test_each_choice_begins_with_a_window_that_is_there(spectra):
    for name in ("runs/add", "runs/mul", "runs/recorded"):
        begin = spectra.choices(name)["begin"]
        assert spectra.series(name, SpectrumChoice(**begin)).steps


def test_another_run_of_the_same_name_is_read_anew(served):
    spectra, choice = Spectra(Library(served)), SpectrumChoice(3, 5, True)
    before = spectra.series("runs/add", choice)
    shutil.rmtree(served / "runs" / "add")
    train_run(served / "runs" / "add", tiny("add", seed=9))
    after = spectra.series("runs/add", choice)
    assert after.steps == before.steps
    assert (after.singular_values[:, 0] != before.singular_values[:, 0]).all()
    fresh = Spectra(Library(served)).series("runs/add", choice)
    np.testing.assert_array_equal(after.singular_values, fresh.singular_values)


def test_a_failure_leaves_what_was_there(served, monkeypatch):
    spectra, choice = Spectra(Library(served)), SpectrumChoice(3, 5, True)

    def full(*arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("spectral_edge.serve.spectra.displacement_gram", full)
        with pytest.raises(MemoryError):
            spectra.series("runs/add", choice)
    assert len(spectra.series("runs/add", choice).steps) == 10
