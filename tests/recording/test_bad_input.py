"""What is wrong is named with its remedy, at once where it can be known; later it may end the recording, only that."""

import logging

import pytest
import torch
from torch import nn

import spectral_edge as se
from support.loops import mlp, plain


def watch(loop, **settings):
    return se.watch(loop.model, loop.optimizers, **({"parameters": "weight", "window": 3, "verbose": False} | settings))


def assert_stops(loop, change, message, caplog, **settings):
    """Recording stops with `message` after `change`, is logged once, and training goes on."""
    with caplog.at_level(logging.WARNING), watch(loop, **settings) as recorder:
        for _ in range(4):
            loop.step()
        spectrum = recorder.edge().singular_values
        change()
        for _ in range(3):
            loop.step()
    assert recorder.stopped is not None
    assert message in recorder.stopped
    assert caplog.text.count("recording stopped") == 1
    # What was recorded before can still be read.
    assert recorder.edge().singular_values.tolist() == spectrum.tolist()
    return recorder


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parameters": "nothing"}, "matches no parameter of this model; it has 0.weight"),
        ({"every": 0}, "every = 0; it counts training steps"),
        ({"window": 1}, "at least 2 updates"),
        ({"window": 20.0}, r"window = 20\.0 is not a whole number"),
        ({"every": 1.5}, r"every = 1\.5 is not a whole number"),
        ({"storage": "cloud"}, "'float32', 'bfloat16', 'disk' or 'sketch'"),
        ({"storage": "disk"}, "give run_dir"),
        ({"keep_updates": True}, "give run_dir"),
        ({"storage": "sketch", "sketch_size": 1000}, "power of two"),
        ({"masters": {"elsewhere": torch.zeros(2)}}, "masters has .'elsewhere'."),
    ],
)
def test_settings_are_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        watch(plain(), **settings)


def test_an_optimizer_of_another_copy_is_refused():
    model, other = mlp(), mlp()
    with pytest.raises(ValueError, match=r"share none of the selected parameters.*build it after wrapping"):
        se.watch(model, torch.optim.SGD(other.parameters(), lr=0.1), parameters="weight")


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(ValueError, match=r"object is no torch\.optim\.Optimizer"):
        se.watch(mlp(), object(), parameters="weight")


def test_parameters_that_are_resized_stop_the_recording(caplog):
    loop = plain()

    def resize():
        loop.model[2].weight.data = torch.zeros(3, 9)
        loop.model[0].weight.data, loop.model[0].bias.data = torch.zeros(9, 4), torch.zeros(9)
        for parameter in loop.model.parameters():
            parameter.grad = None
        loop.optimizers[0].state.clear()

    assert_stops(loop, resize, "was resized from (6, 4) to (9, 4); close this recorder", caplog)


def test_parameters_that_leave_the_optimizer_stop_the_recording(caplog):
    loop = plain()

    def remove():
        del loop.optimizers[0].param_groups[0]["params"][0]

    assert_stops(loop, remove, "'0.weight' is no longer in any watched optimizer", caplog)


def test_parameters_that_are_replaced_in_the_model_stop_the_recording(caplog):
    loop = plain()

    def assign():
        copies = {name: value.clone() for name, value in loop.model.state_dict().items()}
        loop.model.load_state_dict(copies, assign=True)

    assert_stops(loop, assign, "'0.weight' of the model is another tensor now", caplog)


def test_parameters_that_are_moved_stop_the_recording(caplog):
    loop = plain()
    with caplog.at_level(logging.WARNING), watch(loop) as recorder:
        for _ in range(4):
            loop.step()
        weight = loop.model[0].weight  # as Module.to does: another tensor under the same identity
        torch.utils.swap_tensors(weight, nn.Parameter(weight.detach().to("meta")))
        recorder.note_step(0)
        recorder.commit()
    assert "was moved from cpu to meta; move the model before you watch it" in recorder.stopped


def test_parameters_that_join_the_optimizer_are_named_once(caplog):
    loop = plain()
    loop.optimizers[0] = torch.optim.SGD(loop.model[0].parameters(), lr=0.1)
    with caplog.at_level(logging.WARNING), watch(loop) as recorder:
        loop.optimizers[0].add_param_group({"params": list(loop.model[2].parameters())})
        for _ in range(3):
            loop.model(torch.ones(2, 4)).sum().backward()
            loop.optimizers[0].step()
    assert recorder.stopped is None
    assert caplog.text.count("now also moves 2.weight, which the selection matches") == 1


def test_an_update_that_is_not_finite_stops_the_recording_and_keeps_the_window(caplog):
    loop = plain()

    def diverge():
        loop.optimizers[0].param_groups[0]["lr"] = float("nan")

    recorder = assert_stops(loop, diverge, "the update of step 5 has NaN or infinite entries", caplog)
    assert recorder.window.steps == [2, 3, 4]
    assert torch.isfinite(recorder.edge().directions(2)).all()


def test_a_window_that_never_filled_says_how_far_it_got():
    loop = plain()
    with watch(loop, window=5) as recorder:
        loop.step()
        with pytest.raises(ValueError, match="only 1 of 5 updates recorded"):
            recorder.edge()


def test_a_second_commit_in_a_step_is_ignored_and_said_once(caplog):
    loop = plain()
    with watch(loop, automatic=False) as recorder:
        for _ in range(4):
            loop.step()
            recorder.commit()
            recorder.commit()
    assert recorder.steps == 4
    assert recorder.window.pushed == 4
    assert caplog.text.count("ignored: no optimizer has stepped") == 1


def test_a_tracker_that_is_down_for_a_while_misses_its_windows_only(caplog):
    seen = []

    def sometimes(values):
        if values.step in (3, 6, 12):
            raise OSError("the tracker is down")
        seen.append(values.step)

    loop = plain()
    with watch(loop, callback=sometimes) as recorder:
        for _ in range(15):
            loop.step()
    assert recorder.stopped is None
    assert seen == [9, 15]
    told = [line.getMessage() for line in caplog.records]
    assert [f"at step {step};" in line for step, line in zip((3, 12), told, strict=True)] == [True, True]


def test_an_interrupted_update_leaves_no_mixed_window(caplog):
    """Ctrl-C while an update is written: some parameters are at the new step, others are not."""
    loop = plain()
    with watch(loop) as recorder:
        for _ in range(4):
            loop.step()
        source = recorder._kept.source
        write = source.write

        def interrupted(row):
            write(row)
            raise KeyboardInterrupt

        source.write = interrupted
        with pytest.raises(KeyboardInterrupt):
            loop.step()
        source.write = write
        loop.step()
    assert "interrupted by KeyboardInterrupt" in recorder.stopped
    assert recorder.window.pushed == 0
    with pytest.raises(se.RecordingStoppedError):
        recorder.edge()


def test_updates_after_a_stop_are_ignored():
    with se.watch(mlp(), None, parameters="weight", window=2, verbose=False) as recorder:
        recorder.update(torch.ones(42), step=2)
        recorder.update(torch.ones(42), step=1)
        assert "step 1 comes after step 2" in recorder.stopped
        recorder.update(torch.ones(42), step=3)
    assert recorder.window.pushed == 1


def test_masters_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"master of '0.weight' has shape \(4, 6\), the parameter \(6, 4\)"):
        watch(plain(), masters={"0.weight": torch.zeros(4, 6)})


def test_a_recording_that_stopped_before_its_window_was_full_says_why():
    loop = plain()
    with watch(loop, window=8) as recorder:
        recorder.stop("the user wished so")
        loop.step()
    with pytest.raises(se.RecordingStoppedError, match="the user wished so"):
        recorder.edge()


def test_an_edge_that_is_older_than_the_weights_says_so():
    loop = plain()
    with watch(loop, window=4) as recorder:
        for _ in range(6):
            loop.step()
        before = recorder.edge().singular_values
        recorder.stop("the disk is full")
        for _ in range(6):
            loop.step()
    with pytest.warns(RuntimeWarning, match="stopped at training step 6: the disk is full.* on to step 12"):
        after = recorder.edge().singular_values
    assert after.tolist() == before.tolist()


def test_updates_that_are_measured_elsewhere_are_recorded(tmp_path):
    loop = plain()
    deltas = torch.randn(6, 42, generator=torch.Generator().manual_seed(0))
    with torch.device("meta"):
        shapes = mlp()
    for storage in ("float32", "sketch"):
        with se.watch(
            shapes,
            None,
            parameters="weight",
            window=4,
            storage=storage,
            run_dir=tmp_path / storage,
            sketch_size=4096,
            verbose=False,
        ) as recorder:
            for delta in deltas:
                recorder.update(recorder.parameters.unflatten(delta))
            expected = se.spectral_edge(deltas[2:])
            found = recorder.edge()
            assert found.singular_values == pytest.approx(expected.singular_values, rel=1e-4)
            torch.testing.assert_close(found.directions(3), expected.directions(3))
            for wrong, message in (
                (torch.zeros(42), "exactly zero"),
                (torch.full((42,), torch.nan), "not finite"),
                (torch.ones(41), r"shape \(41,\)"),
            ):
                with pytest.raises(ValueError, match=message):
                    recorder.update(wrong)
            with pytest.raises(ValueError, match="call update"):
                recorder.commit()
        assert len(se.Recording(tmp_path / storage).values) == 1
    assert loop.model is not shapes


@pytest.mark.parametrize("kind", ["model", "optimizer", "wrapper", "parameter"])
def test_deepspeed_is_refused_by_name(kind):
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if kind == "model":
        model.__class__ = type("DeepSpeedEngine", (nn.Sequential,), {"__module__": "deepspeed.runtime.engine"})
    elif kind == "optimizer":
        optimizer.__class__ = type("ZeRO", (torch.optim.SGD,), {"__module__": "deepspeed.runtime.zero.stage3"})
    elif kind == "wrapper":
        inner, optimizer = optimizer, type("DeepSpeedOptimizerWrapper", (), {})()
        optimizer.optimizer = inner
    else:
        model[0].weight.ds_id = 0
    with pytest.raises(ValueError, match=r"DeepSpeed keeps parameters in partitions.*recorder.update\(delta\)"):
        se.watch(model, optimizer, parameters="weight")


def test_megatrons_tensor_parallelism_is_refused_by_name():
    model = mlp()
    model[0].weight.tensor_model_parallel = True
    with pytest.raises(ValueError, match="Megatron's tensor parallelism keeps parameters in partitions"):
        se.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), parameters="weight")


@pytest.mark.parametrize(
    ("delta", "message"),
    [
        ({"weight": torch.ones(2, 3)}, r"delta has \['weight'\]; give a tensor \(D,\), or one of each of"),
        ([1.0] * 8, "delta is a list"),
        (torch.ones(7), r"shape \(7,\), but these parameters need \(8,\)"),
        (torch.zeros(8), "exactly zero"),
    ],
)
def test_an_update_of_ones_own_that_is_none(delta, message):
    with se.watch(torch.nn.Linear(3, 2), None, parameters=".", window=2, verbose=False) as recorder:
        with pytest.raises(ValueError, match=message):
            recorder.update(delta)
        assert (recorder.steps, recorder.stopped) == (0, None)


def stuck(kind):
    """A loop whose parameters never move."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2).bfloat16() if kind == "bfloat16" else nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0 if kind == "rate" else 1e-5)

    def step():
        optimizer.zero_grad()
        model(torch.ones(4, 3, dtype=model.weight.dtype)).square().mean().backward()
        optimizer.step()

    return model, optimizer, step


@pytest.mark.parametrize("kind", ["bfloat16", "rate"])
def test_parameters_that_never_move_are_told_of_once_and_an_edge_of_them_says_why_there_is_none(kind, caplog):
    model, optimizer, step = stuck(kind)
    before = model.weight.detach().clone()
    watched = se.watch(model, optimizer, parameters=".", window=3, verbose=False)
    with caplog.at_level(logging.WARNING), watched as recorder:
        for _ in range(10):
            step()
        with pytest.raises(ValueError, match="no recorded parameter has moved in 10 training steps"):
            recorder.edge()
    assert torch.equal(model.weight, before)
    assert caplog.text.count("no recorded parameter has moved in 3 training steps") == 1
    assert recorder.stopped is None


def test_steps_that_begin_anew_in_each_epoch_stop_the_recording(tmp_path, caplog):
    loop = plain()
    settings = {"parameters": "weight", "window": 2, "automatic": False, "verbose": False}
    with se.watch(loop.model, loop.optimizers, run_dir=tmp_path, keep_updates=True, **settings) as recorder:
        for _ in range(2):
            for batch in range(1, 5):
                loop.step()
                recorder.commit(batch)
    assert recorder.stopped is not None
    assert "step 1 comes after step 4" in recorder.stopped
    assert se.Recording(tmp_path).steps == [2, 3, 4]


def test_a_model_that_is_converted_stops_the_recording(caplog):
    loop = plain()
    loop.optimizers[0] = torch.optim.SGD(loop.model.parameters(), lr=0.01)

    def step():
        x = torch.randn(8, 4, dtype=loop.model[0].weight.dtype)
        loop.optimizers[0].zero_grad()
        loop.model(x).square().mean().backward()
        loop.optimizers[0].step()

    loop.step = step
    assert_stops(loop, lambda: loop.model.to(torch.bfloat16), "was converted from torch.float32 to torch.bf", caplog)


def test_complex_parameters_are_refused_by_name():
    model = nn.Linear(2, 2, dtype=torch.complex64)
    with pytest.raises(ValueError, match=r"'weight' is complex.*view_as_real"):
        se.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), parameters=".", window=3)
