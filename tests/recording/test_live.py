"""Live values are those of the windows they describe; the record on disk gives the same edges again."""

import json

import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.store import StoreError
from support.loops import plain


def record(folder, steps=24, **settings):
    loop, seen, snapshots = plain(), [], []
    with se.watch(
        loop.model,
        loop.optimizers,
        parameters="weight",
        window=4,
        run_dir=folder,
        callback=seen.append,
        verbose=False,
        **settings,
    ) as recorder:
        snapshots.append(recorder.parameters.flatten())
        for _ in range(steps):
            loop.step()
            snapshots.append(recorder.parameters.flatten())
    assert recorder.stopped is None
    return recorder, seen, torch.stack(snapshots).double()


def test_values_are_those_of_an_independent_svd(tmp_path):
    _, seen, theta = record(tmp_path / "run")
    updates = (theta[1:] - theta[:-1]).numpy()
    previous = None
    assert [values.step for values in seen] == [4, 8, 12, 16, 20, 24]
    for values in seen:
        assert values.first_step == values.step - 3
        _, sigma, v = np.linalg.svd(updates[values.step - 4 : values.step], full_matrices=False)
        assert values.singular_values == pytest.approx(sigma, rel=1e-5)
        assert values.gap_ratios == pytest.approx(sigma[:-1] / sigma[1:], rel=1e-5)
        assert values.eigengaps == pytest.approx(sigma[:3] ** 2 - sigma[1:] ** 2, rel=1e-4)
        scores = sigma[:-1] / sigma.sum() * sigma[:-1] / sigma[1:]
        assert values.position == np.argmax(scores) + 1
        if previous is None:
            assert values.rotation_degrees is None
            assert values.drift is None
        else:
            cosine = abs(v[0] @ previous[0])
            assert values.rotation_degrees == pytest.approx(np.degrees(np.arccos(cosine)), abs=0.1)
            assert values.drift == pytest.approx(1 - np.sum((v[:3] @ previous[:3].T) ** 2) / 3, abs=1e-3)
        previous = v


def test_the_log_has_one_line_a_window_with_what_the_callback_saw(tmp_path):
    _, seen, _ = record(tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [values.step for values in seen]
    for line, values in zip(lines, seen, strict=True):
        assert tuple(line["singular_values"]) == values.singular_values
        assert line["centered"] is False
        assert np.diag(line["gram_matrix"]).sum() == pytest.approx(sum(s**2 for s in values.singular_values))
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"


def test_scalars_have_flat_names_and_leave_out_what_is_not_known(tmp_path):
    _, seen, _ = record(None)
    first, second = seen[0].scalars(), seen[1].scalars()
    assert {"step", "position", "sigma_1", "sigma_4", "gap_ratio_1", "eigengap_2"} <= set(first)
    assert "rotation_degrees" not in first
    assert "noise_floor" not in second
    assert second["rotation_degrees"] == seen[1].rotation_degrees
    assert all(isinstance(value, int | float) for value in second.values())


@pytest.mark.parametrize("center", [False, True])
def test_any_recorded_step_is_read_back_where_updates_are_kept(tmp_path, center):
    recorder, _, theta = record(tmp_path / "run", keep_updates=True)
    updates = theta[1:] - theta[:-1]
    stored = se.Recording(tmp_path / "run")
    assert stored.steps == list(range(4, 25))
    for step in (4, 7, 16, 22, 24):
        expected = se.spectral_edge(updates[step - 4 : step].float(), center=center)
        for edge in (stored.edge(step, center=center), recorder.edge(step, center=center)):
            assert edge.singular_values == pytest.approx(expected.singular_values, rel=1e-6, abs=1e-9)
            torch.testing.assert_close(edge.directions(2), expected.directions(2), atol=1e-5, rtol=0)


def test_without_kept_updates_the_spectra_of_whole_windows_are_read_back(tmp_path):
    _, seen, _ = record(tmp_path / "run")
    stored = se.Recording(tmp_path / "run")
    assert stored.steps == [4, 8, 12, 16, 20, 24]
    edge = stored.edge(12, center=False)
    assert edge.singular_values == pytest.approx(seen[2].singular_values)
    with pytest.raises(StoreError, match="keep_updates=True"):
        edge.directions(1)
    with pytest.raises(StoreError, match="keep_updates=True"):
        stored.edge(13)


def test_a_step_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    recorder, _, _ = record(tmp_path / "run", keep_updates=True)
    for step in (0, 3, 25):
        with pytest.raises(StoreError, match=f"ends at step {step}; known: 4 to 24"):
            recorder.edge(step)
    loop = plain()
    with (
        se.watch(loop.model, loop.optimizers, parameters="weight", verbose=False) as recorder,
        pytest.raises(ValueError, match="give watch a run_dir"),
    ):
        recorder.edge(3)


def test_recorded_updates_can_be_read_before_the_log_has_a_line_of_them(tmp_path):
    loop = plain()
    with se.watch(
        loop.model, loop.optimizers, parameters="weight", window=4, run_dir=tmp_path, keep_updates=True, verbose=False
    ) as recorder:
        for _ in range(6):
            loop.step()
        early = recorder.edge(6)
    assert early.singular_values == pytest.approx(recorder.edge().singular_values)


def test_a_live_edge_says_of_which_parameters_it_is():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with se.watch(model, optimizer, parameters="0.weight", window=2, verbose=False) as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
    with pytest.raises(ValueError, match=r"other parameters \(0\.weight"):
        se.compare(model, recorder.edge(), torch.randn(6, 4), lambda h: float(h.norm()), parameters="1.weight")


def test_an_earlier_recording_is_never_written_over(tmp_path, capsys):
    record(tmp_path / "run")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    loop = plain()
    with se.watch(loop.model, loop.optimizers, parameters="weight", window=4, run_dir=tmp_path / "run") as recorder:
        assert "holds a recording up to step 24" in capsys.readouterr().err  # said before training begins
        for _ in range(6):
            loop.step()
        assert "holds a recording up to step 24 already" in recorder.stopped
        with pytest.raises(se.RecordingStoppedError, match=r"stopped at training step 0: .*holds a recording"):
            recorder.edge()  # and not the edge of some steps before the end
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_sketched_windows_log_their_noise_floor(tmp_path):
    _, seen, theta = record(tmp_path / "run", storage="sketch", sketch_size=4096)
    updates = theta[1:] - theta[:-1]
    for values in seen:
        longest = updates[values.step - 4 : values.step].norm(dim=1).max()
        assert values.noise_floor == pytest.approx(float(longest) / 8, rel=1e-4)
        assert values.scalars()["noise_floor"] == values.noise_floor
    assert seen[1].rotation_degrees > 0


def test_updates_after_the_last_full_window_are_written_at_the_end(tmp_path):
    _, _, theta = record(tmp_path / "run", steps=11, keep_updates=True)
    updates = theta[1:] - theta[:-1]
    stored = se.Recording(tmp_path / "run")
    assert stored.steps == list(range(4, 12))
    expected = se.spectral_edge(updates[7:11].float())
    assert stored.edge(11).singular_values == pytest.approx(expected.singular_values, rel=1e-6, abs=1e-9)


def test_a_sketched_recording_is_exact_where_updates_are_kept_and_says_so_where_not(tmp_path):
    _, _, theta = record(tmp_path / "kept", storage="sketch", sketch_size=4, keep_updates=True)
    updates = (theta[1:] - theta[:-1]).float()
    for step in (12, 13):
        expected = se.spectral_edge(updates[step - 4 : step])
        found = se.Recording(tmp_path / "kept").edge(step)
        assert found.noise_floor is None
        assert found.singular_values == pytest.approx(expected.singular_values, rel=1e-5, abs=1e-9)
        torch.testing.assert_close(found.directions(2), expected.directions(2), atol=1e-5, rtol=0)
    _, seen, _ = record(tmp_path / "logged", storage="sketch", sketch_size=4)
    found = se.Recording(tmp_path / "logged").edge(12, center=False)
    assert found.noise_floor == pytest.approx(seen[2].noise_floor)
    with pytest.raises(StoreError, match="keep_updates=True"):
        found.directions(1)


def test_an_exception_in_the_loop_is_how_the_recording_ended(tmp_path):
    loop = plain()
    recorder = se.watch(loop.model, loop.optimizers, parameters="weight", run_dir=tmp_path / "run", verbose=False)

    def interrupted():
        with recorder:
            loop.step()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["why"]) == ("failed", "KeyboardInterrupt: ")
    recorder.close()  # again, without the lock
    assert json.loads((tmp_path / "run" / "status.json").read_text()) == status


def test_a_failed_start_leaves_the_directory_free(tmp_path, monkeypatch):
    loop = plain()
    settings = {"parameters": "weight", "window": 4, "run_dir": tmp_path / "run", "storage": "disk", "verbose": False}

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.posix_fallocate", full)
        with pytest.raises(StoreError, match=r"window.bin: 672 bytes cannot be kept here: No space left"):
            se.watch(loop.model, loop.optimizers, **settings)
    se.watch(loop.model, loop.optimizers, **settings).close()


def test_a_status_that_cannot_be_written_does_not_hold_the_lock(tmp_path, monkeypatch, caplog):
    loop = plain()
    settings = {"parameters": "weight", "window": 4, "run_dir": tmp_path / "run", "verbose": False}
    with monkeypatch.context() as patch:
        recorder = se.watch(loop.model, loop.optimizers, **settings)
        patch.setattr("spectral_edge.store.RunDirectory.write_status", lambda *_: 1 / 0)
        recorder.close()
    assert "closing the run directory failed" in caplog.text
    se.watch(loop.model, loop.optimizers, **settings).close()


def test_files_are_not_written_through_symbolic_links(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "window.bin").symlink_to(victim)
    loop = plain()
    with pytest.raises(StoreError, match=r"window\.bin"):
        se.watch(
            loop.model, loop.optimizers, parameters="weight", storage="disk", run_dir=tmp_path / "run", verbose=False
        )
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    ("gram", "steps", "message"),
    [
        ("[[1.0]]", None, "Gram matrix of step 4"),
        ('"words"', None, "Gram matrix of step 4"),
        ("[[1,2],[3]]", None, "Gram matrix of step 4"),
        (None, [9, 8, 7, 4], "do not ascend"),
        (None, [1, 2, 3, 5], "damaged or edited"),
        (None, "none", "damaged or edited"),
        (None, [2, 4], "not 2 vectors"),
    ],
)
def test_what_was_edited_is_named(tmp_path, gram, steps, message):
    record(tmp_path / "run", steps=4, keep_updates=steps is not None)
    if gram is not None:
        (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 4, "gram_matrix": ' + gram + "}\n")
    else:
        index = tmp_path / "run" / "updates.jsonl"
        line = json.loads(index.read_text())
        line["extra"]["steps"] = steps
        if steps == [2, 4]:
            config = tmp_path / "run" / "config.json"
            document = json.loads(config.read_text())
            document["config"]["window"] = 2
            config.write_text(json.dumps(document))
        index.write_text(json.dumps(line) + "\n")
    with pytest.raises(StoreError, match=message):
        se.Recording(tmp_path / "run").edge(4)


def test_a_run_of_another_kind_is_no_recording(tmp_path):
    record(tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"recording"', '"training"'))
    with pytest.raises(StoreError, match=r"no recording of se\.watch"):
        se.Recording(tmp_path / "run")
