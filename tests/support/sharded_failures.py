"""What happens to a group of processes when one of them fails; each process runs these."""

from pathlib import Path

import torch
import torch.distributed as dist

import spectral_edge as se
from support.sharded_models import adamw, fsdp, partly_plain, train, two_meshes

WINDOW = 4


def a_failure_in_one_process_stops_all(folder: Path) -> None:
    """The first process cannot write; the others notice at the next recorded step and nobody waits for ever."""
    model = fsdp()
    optimizer = adamw(model)

    def full(*_: object) -> None:
        raise OSError("the disk is full")

    with se.watch(model, optimizer, parameters=".", window=WINDOW, run_dir=folder / "run", verbose=False) as recorder:
        if dist.get_rank() == 0:
            recorder._archive.log = full
        train(model, optimizer, WINDOW + 6)
    expected = "OSError: the disk is full" if dist.get_rank() == 0 else "another process stopped recording"
    assert recorder.stopped is not None
    assert expected in recorder.stopped, recorder.stopped


def a_failure_while_looking_stops_all(folder: Path) -> None:
    """The last process fails before the sum that the others are waiting in, on one mesh, two, and with sketches."""
    last = dist.get_rank() == dist.get_world_size() - 1
    for build, settings in (
        (fsdp, {}),
        (two_meshes, {}),
        (partly_plain, {}),
        (fsdp, {"storage": "sketch", "sketch_size": 64}),
    ):
        model = build()
        optimizer = adamw(model)
        with se.watch(model, optimizer, parameters=".", window=WINDOW, verbose=False, **settings) as recorder:
            train(model, optimizer, 2)
            if last:
                recorder._guard.check = lambda: 1 / 0
            train(model, optimizer, 4)
        assert recorder.stopped is not None
        assert ("ZeroDivisionError" if last else "another process") in recorder.stopped, recorder.stopped
        assert recorder.window.steps == [1, 2]


def a_failure_while_writing_stops_all(folder: Path) -> None:
    """The last process fails to take an update, before the sums of a spectrum that is due, or at another step."""
    last = dist.get_rank() == dist.get_world_size() - 1
    for before in (WINDOW - 1, WINDOW - 2):
        model = fsdp()
        optimizer = adamw(model)
        with se.watch(
            model, optimizer, parameters=".", window=WINDOW, callback=lambda values: None, verbose=False
        ) as recorder:
            train(model, optimizer, before)
            if last:
                recorder._kept.source.write = lambda row: 1 / 0
            train(model, optimizer, 4)
        assert recorder.stopped is not None
        assert ("ZeroDivisionError" if last else "another process") in recorder.stopped, recorder.stopped


def deferred_failures_stop_all_at_the_next_spectrum(folder: Path) -> None:
    """As on accelerators: nobody reads the flags, so all go on taking part until a spectrum is due."""
    last = dist.get_rank() == dist.get_world_size() - 1
    model = fsdp()
    optimizer = adamw(model)
    with se.watch(
        model, optimizer, parameters=".", window=WINDOW, callback=lambda values: None, verbose=False
    ) as recorder:
        recorder._kept.deferred = True
        recorder._kept.source.waits = False
        train(model, optimizer, WINDOW + 1)
        if last:
            recorder._guard.check = lambda: 1 / 0
        train(model, optimizer, WINDOW + 4)
    assert recorder.stopped is not None
    assert ("ZeroDivisionError" if last else "another process") in recorder.stopped, recorder.stopped
    assert recorder.window.steps == list(range(2, WINDOW + 2))  # none after the failure


def infinite_shards_stop_all(folder: Path) -> None:
    """NaN in one process's shard only."""
    model = fsdp()
    optimizer = adamw(model)
    with se.watch(model, optimizer, parameters="0.weight", window=WINDOW, verbose=False) as recorder:
        train(model, optimizer, WINDOW)
        if dist.get_rank() == 0:
            with torch.no_grad():
                model[0].weight.to_local()[0, 0] = float("nan")
        train(model, optimizer, 1)
    assert recorder.stopped is not None
    assert "NaN or infinite" in recorder.stopped, recorder.stopped
    assert recorder.window.steps == list(range(1, WINDOW + 1))
