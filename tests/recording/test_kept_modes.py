"""Modes that are kept as training goes, against the same modes asked for at that step."""

import json
import subprocess
import sys

import pytest
import torch

import spectral_edge as se
from spectral_edge.recording import watching
from spectral_edge.store import RunCorruptError, RunMissingError


def watched(run_dir, **settings):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    settings = {"parameters": ".", "window": 4, "run_dir": run_dir, "verbose": False} | settings
    return model, optimizer, se.watch(model, optimizer, **settings)


def train(model, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 3)).square().mean().backward()
        optimizer.step()


INPUTS = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("storage", ["float32", "sketch"])
def test_they_are_the_modes_of_the_windows_directions_at_its_end(tmp_path, storage):
    model, optimizer, recorder = watched(tmp_path, storage=storage)
    with recorder:
        recorder.keep_modes(INPUTS, k=2, labels=[f"input {i}" for i in range(7)])
        train(model, optimizer, 8)
        edge = recorder.edge(center=False)
        expected = se.functional_modes(model, edge.directions(2), INPUTS, parameters=recorder.parameters)
    recording = se.Recording(tmp_path)
    assert recording.mode_steps == [4, 8]
    kept = recording.modes()
    assert kept.step == 8
    torch.testing.assert_close(kept.energy, expected.energy, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(kept.response.abs(), expected.response.abs(), rtol=1e-3, atol=1e-5)
    assert kept.labels[3] == "input 3"
    assert recording.modes(4).step == 4


def test_responses_of_many_numbers_are_left_out(tmp_path):
    model, optimizer, recorder = watched(tmp_path, parameters="3")
    with recorder:
        recorder.keep_modes(INPUTS, lambda model, x: model(x).repeat(1, 60_000))
        train(model, optimizer, 4)
    kept = se.Recording(tmp_path).modes()
    assert kept.response is None
    assert kept.energy.shape == (3, 7)


@pytest.mark.filterwarnings("ignore:Sequential cannot be differentiated in forward mode")
def test_training_is_bitwise_the_same_with_modes_kept(tmp_path):
    ends = []
    for keep in (False, True):
        model, optimizer, recorder = watched(tmp_path / str(keep))
        with recorder:
            if keep:  # reads with random numbers of its own
                recorder.keep_modes(INPUTS, lambda model, x: model(x + torch.randn_like(x)))
            torch.manual_seed(3)
            train(model, optimizer, 9)
            assert model.training
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*ends)


def test_a_forward_that_fails_at_once_is_the_callers_and_later_ends_only_the_modes(tmp_path, caplog):
    model, optimizer, recorder = watched(tmp_path)
    with pytest.raises(ZeroDivisionError):
        recorder.keep_modes(INPUTS, lambda model, x: model(x) / (1 // 0))
    works = [True]

    def forward(model, x):
        if not works:
            raise RuntimeError("the data set is gone")
        return model(x)

    with recorder:
        recorder.keep_modes(INPUTS, forward)
        train(model, optimizer, 4)
        works.clear()
        train(model, optimizer, 8)
        assert recorder.stopped is None
    recording = se.Recording(tmp_path)
    assert recording.mode_steps == [4]
    assert recording.steps == [4, 8, 12]
    assert sum("the data set is gone" in record.message for record in caplog.records) == 1


def test_a_resumed_recording_forgets_modes_of_later_steps(tmp_path):
    model, optimizer, recorder = watched(tmp_path)
    recorder.keep_modes(INPUTS)
    train(model, optimizer, 4)
    state = recorder.state_dict()
    train(model, optimizer, 4)
    recorder.close()
    model, optimizer, recorder = watched(tmp_path)
    recorder.load_state_dict(state)
    assert se.Recording(tmp_path).mode_steps == [4]
    recorder.keep_modes(INPUTS)
    train(model, optimizer, 4)
    assert se.Recording(tmp_path).mode_steps == [4, 8]
    recorder.close()


def test_what_cannot_be_kept_is_said(tmp_path):
    _, _, recorder = watched(tmp_path)
    with pytest.raises(ValueError, match="k = 0"):
        recorder.keep_modes(INPUTS, k=0)
    with pytest.raises(ValueError, match="2 labels for 7 inputs"):
        recorder.keep_modes(INPUTS, labels=["a", "b"])
    with pytest.raises(ValueError, match="k = 5 directions of a window of 4"):
        recorder.keep_modes(INPUTS, k=5)
    recorder.close()
    with pytest.raises(RunMissingError, match="keep_modes"):
        se.Recording(tmp_path).modes()
    model, optimizer, _ = watched(tmp_path / "other")
    with pytest.raises(ValueError, match="run_dir"):
        se.watch(model, optimizer, parameters=".", window=4, verbose=False).keep_modes(INPUTS)


def test_modes_of_another_program_are_refused(tmp_path):
    model, optimizer, recorder = watched(tmp_path)
    with recorder:
        recorder.keep_modes(INPUTS, labels=list("abcdefg"))
        train(model, optimizer, 4)
    index = tmp_path / "modes.jsonl"
    line = json.loads(index.read_text())
    line["extra"]["labels"] = ["too few"]
    index.write_text(json.dumps(line) + "\n")
    with pytest.raises(RunCorruptError, match="labels do not fit 7 inputs"):
        se.Recording(tmp_path).modes()


def test_notes_that_nobody_reads_are_not_kept():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    recorder = se.watch(model, torch.optim.SGD(model.parameters()), parameters=".", window=2, verbose=False)
    recorder.note(loss=torch.zeros(()))
    assert recorder._log is None


def test_only_the_first_process_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_rank", lambda: 1)
    model, optimizer, recorder = watched(tmp_path)
    with recorder:
        recorder.keep_modes(INPUTS)
        train(model, optimizer, 4)
        assert recorder.stopped is None
    assert not list(tmp_path.iterdir())


def test_a_recorder_without_them_does_not_load_what_they_need():
    code = "import sys, spectral_edge.recording; print({'spectral_edge.modes', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
