"""What happens on an accelerator, on the CPU: decisions stay on the device, and nothing waits for them."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import spectral_edge as se
from support.loops import mixed_precision, plain

# What makes the host wait for the device: reading a value, or a result whose size depends on values.
WAITING = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "is_nonzero", "item"}


class NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in WAITING, f"{name} makes the host wait"
        return function(*args, **(kwargs or {}))


def watch(loop, deferred, **settings):
    recorder = se.watch(loop.model, loop.optimizers, parameters="weight", window=4, verbose=False, **settings)
    if deferred:
        recorder._kept.deferred = True
        recorder._kept.source.waits = False
    return recorder


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@pytest.mark.parametrize("build", [plain, lambda: mixed_precision(fused=True)], ids=["plain", "skipped steps"])
def test_the_window_is_the_same(build, storage):
    outcomes = []
    for deferred in (False, True):
        loop = build()
        with watch(loop, deferred, storage=storage) as recorder:
            for _ in range(30):
                loop.step()
        assert recorder.stopped is None
        outcomes.append(recorder)
    direct, deferred = outcomes
    assert direct.window.pushed == deferred.window.pushed
    assert direct.window.steps == deferred.window.steps
    assert torch.equal(direct.window.updates, deferred.window.updates)
    assert direct.edge().singular_values.tolist() == deferred.edge().singular_values.tolist()


def test_nothing_waits_for_the_device():
    loop = plain()
    with watch(loop, deferred=True) as recorder:
        loop.step()  # the first update is looked at once, for the resolution of its format
        commit = recorder.commit

        def commit_without_waiting(*arguments):
            with NoWaiting():
                commit(*arguments)

        recorder.commit = commit_without_waiting
        for _ in range(9):
            loop.step()
    assert recorder.stopped is None
    assert recorder.window.pushed == 10


def test_the_check_itself_sees_waiting():
    loop = plain()
    with watch(loop, deferred=False) as recorder:
        loop.step()
        recorder.note_step(0)
        with NoWaiting():
            recorder.commit()
    assert "makes the host wait" in recorder.stopped


def test_infinite_updates_are_dropped_and_the_window_keeps_those_before():
    loop = plain()
    with watch(loop, deferred=True) as recorder:
        for _ in range(6):
            loop.step()
        before = recorder.window.updates
        loop.optimizers[0].param_groups[0]["lr"] = float("nan")
        loop.step()
        loop.step()
    assert torch.equal(recorder.window.updates, before)
    assert recorder.window.steps == [3, 4, 5, 6]


def test_a_log_of_updates_that_are_all_dropped_says_so():
    loop, seen = plain(), []
    with watch(loop, deferred=True, callback=seen.append) as recorder:
        for _ in range(8):
            loop.step()
        loop.optimizers[0].param_groups[0]["lr"] = float("nan")
        for _ in range(8):
            loop.step()
    assert [values.step for values in seen] == [4, 8]
    assert "the last 4 updates were all zero or not finite" in recorder.stopped


def test_a_deferred_state_resumes():
    loop = plain()
    with watch(loop, deferred=True) as recorder:
        for _ in range(6):
            loop.step()
        state = recorder.state_dict()
        loop.step()
        expected = recorder.window.updates
    again = plain()
    for _ in range(6):
        again.step()
    with watch(again, deferred=True) as resumed:
        resumed.load_state_dict(state)
        again.step()
    assert torch.equal(resumed.window.updates, expected)


def test_kept_updates_are_each_written_once_where_steps_are_skipped(tmp_path):
    """Updates that are dropped on the device make windows overlap."""
    loop = mixed_precision(fused=True)
    theta = []
    with watch(loop, deferred=True, run_dir=tmp_path / "run", keep_updates=True) as recorder:
        theta.append(recorder.parameters.flatten())
        for _ in range(31):
            loop.step()
            theta.append(recorder.parameters.flatten())
    assert recorder.stopped is None
    updates = torch.stack(theta).diff(dim=0)
    moved = [step for step, update in enumerate(updates, 1) if update.any()]
    assert len(moved) < 31  # the premise
    stored = se.Recording(tmp_path / "run")
    assert stored.steps == moved[3:]
    for last in range(3, len(moved)):
        window = updates[[step - 1 for step in moved[last - 3 : last + 1]]]
        expected = se.spectral_edge(window).singular_values
        assert stored.edge(moved[last]).singular_values == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_after_weights_are_put_back_the_next_update_begins_at_the_last_good_ones():
    loop = plain()
    weight = loop.model[0].weight
    with watch(loop, deferred=True) as recorder:
        for _ in range(5):
            loop.step()
        good = weight.detach().clone()
        theta = recorder.parameters.flatten()
        with torch.no_grad():
            weight[0, 0] = float("nan")
        recorder.note_step(0)
        recorder.commit()
        with torch.no_grad():
            weight.copy_(good)
            weight[0, 0] += 1.0
        recorder.note_step(0)
        recorder.commit()
    assert recorder.window.steps == [3, 4, 5, 7]
    assert torch.equal(recorder.window.updates[-1], recorder.parameters.flatten() - theta)
