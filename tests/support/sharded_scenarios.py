"""What each process of a group does and checks; run as `python -m support.sharded_scenarios RANK SIZE FOLDER`.

References are computed from whole parameters, gathered by the test and never by the library.
"""

import json
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import spectral_edge as se
from spectral_edge.recording.watching import restore
from spectral_edge.store import StoreError
from support.language_models import TinyLM
from support.sharded_failures import (
    WINDOW,
    a_failure_in_one_process_stops_all,
    a_failure_while_looking_stops_all,
    a_failure_while_writing_stops_all,
    deferred_failures_stop_all_at_the_next_spectrum,
    infinite_shards_stop_all,
)
from support.sharded_models import (
    adamw,
    fsdp,
    full_state,
    hybrid,
    mlp,
    partly_plain,
    tensor_parallel,
    train,
    two_meshes,
    whole,
)


def gathered(recorder: se.Recorder, vector: Tensor) -> dict[str, Tensor]:
    """The whole tensors of a vector of shards, put together by the test from what each process holds."""
    pieces = [None] * dist.get_world_size()
    held = [
        (shard.name, shard.full_shape, shard.offset, shard.shape, values)
        for shard, values in zip(
            recorder.parameters.shards, recorder.parameters.unflatten(vector).values(), strict=True
        )
    ]
    dist.all_gather_object(pieces, held)
    result = {name: torch.zeros(full) for name, full, *_ in pieces[0]}
    for process in pieces:
        for name, _, offset, shape, values in process:
            place = tuple(slice(o, o + n) for o, n in zip(offset, shape, strict=True))
            result[name][place] = values
    return result


def same_as_whole(model: nn.Module, **settings: object) -> None:
    """Spectrum and directions of a sharded window are those of the whole updates."""
    optimizer = adamw(model)
    with se.watch(model, optimizer, parameters=".", window=WINDOW, verbose=False, **settings) as recorder:
        states = [full_state(model)]
        for step in range(WINDOW + 2):
            train(model, optimizer, 1, seed=step)
            states.append(full_state(model))
        assert recorder.stopped is None, recorder.stopped
        flat = torch.stack([torch.cat([v.flatten() for v in state.values()]) for state in states])
        updates = (flat[1:] - flat[:-1])[-WINDOW:]
        for center in (False, True):
            expected, found = se.spectral_edge(updates, center), recorder.edge(center=center)
            error = abs(found.singular_values - expected.singular_values).max() / expected.singular_values[0]
            assert error < 1e-10, error
            k = 2
            ours = found.directions(k)
            assert ours.shape == (k, recorder.parameters.dim)
            for j, direction in enumerate(expected.directions(k)):
                tensors = gathered(recorder, ours[j])
                vector = torch.cat([tensors[name].flatten() for name in states[0]])
                torch.testing.assert_close(vector, direction, atol=1e-5, rtol=0)
        assert recorder.parameters.full_dim == flat.shape[1]


def fsdp_is_the_whole(folder: Path) -> None:
    same_as_whole(fsdp())


def decay_is_that_of_the_whole(folder: Path) -> None:
    """Both parts of sharded updates, against -ηλθ of whole weights before each step."""
    model = fsdp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.3)
    with se.watch(model, optimizer, parameters=".", window=WINDOW, decay=True, verbose=False) as recorder:
        states = [full_state(model)]
        for step in range(WINDOW):
            train(model, optimizer, 1, seed=step)
            states.append(full_state(model))
        assert recorder.stopped is None, recorder.stopped
        flat = torch.stack([torch.cat([v.flatten() for v in state.values()]) for state in states])
        decay = -0.01 * 0.3 * flat[:-1]
        for part, rows in (("decay", decay), ("gradient", flat[1:] - flat[:-1] - decay)):
            expected = se.spectral_edge(rows, center=False).singular_values
            found = recorder.edge(of=part, center=False).singular_values
            assert abs(found - expected).max() < 1e-5 * expected[0], (part, found, expected)


def gradients_by_source_are_those_of_the_whole(folder: Path) -> None:
    """Of two losses, against autograd on a whole model with the same weights."""
    model, alone = fsdp(), mlp()
    optimizer = adamw(model)
    losses = {"a": lambda m, x: m(x).square().mean(), "b": lambda m, x: m(x + 1).sin().mean()}
    asked = {name: [] for name in losses}
    with se.watch(model, optimizer, parameters=".", window=WINDOW, sources=tuple(losses), verbose=False) as recorder:
        for step in range(WINDOW):
            optimizer.zero_grad()
            alone.load_state_dict(full_state(model))
            x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
            for name, loss in losses.items():
                gradients = torch.autograd.grad(loss(alone, x), list(alone.parameters()))
                asked[name].append(-torch.cat([g.flatten() for g in gradients]))
                with recorder.source(name):
                    loss(model, x).backward()
            optimizer.step()
        assert recorder.stopped is None, recorder.stopped
        for name, rows in asked.items():
            expected = se.spectral_edge(torch.stack(rows), center=False).singular_values
            found = recorder.edge(of="gradient", source=name, center=False).singular_values
            assert abs(found - expected).max() < 1e-5 * expected[0], (name, found, expected)


def tensor_parallel_is_the_whole(folder: Path) -> None:
    same_as_whole(tensor_parallel())


def hybrid_is_the_whole(folder: Path) -> None:
    same_as_whole(hybrid())


def two_meshes_are_the_whole(folder: Path) -> None:
    same_as_whole(two_meshes())


def plain_parameters_count_once(folder: Path) -> None:
    same_as_whole(partly_plain())


def disk_is_the_whole(folder: Path) -> None:
    same_as_whole(fsdp(), storage="disk", run_dir=folder / "disk")


def sketch_is_that_of_the_whole(folder: Path) -> None:
    """The same sketch as one process makes, and exact directions from the files of all."""
    model = fsdp()
    optimizer = adamw(model)
    settings = {"parameters": ".", "window": WINDOW, "storage": "sketch", "sketch_size": 64, "verbose": False}
    with se.watch(model, optimizer, run_dir=folder / "sketch", **settings) as recorder:
        alone = mlp()
        mover = torch.optim.SGD(alone.parameters(), lr=1.0)
        with se.watch(alone, mover, **settings) as single:
            for step in range(WINDOW + 1):
                train(model, optimizer, 1, seed=step)
                with torch.no_grad():
                    for name, value in full_state(model).items():
                        alone.get_parameter(name).copy_(value)
                single.note_step(0)
                single.commit()
            expected, found = single.edge(center=False), recorder.edge(center=False)
        assert abs(found.singular_values / expected.singular_values - 1).max() < 1e-9
        exact = found.directions(2)
    assert recorder.stopped is None, recorder.stopped
    squares = torch.tensor([float((exact[0].double() ** 2).sum()), float((exact[0] * exact[1]).double().sum())])
    dist.all_reduce(squares)
    torch.testing.assert_close(squares, torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)


def modes_are_those_of_the_whole(folder: Path) -> None:
    """Perturbing shards in place gives the responses of the whole model, and leaves the weights as they were."""
    model = fsdp()
    optimizer = adamw(model)
    with torch.no_grad():
        model(torch.zeros(1, 4))  # leaves the gathered parameters of the root in the model
    with se.watch(model, optimizer, parameters="weight", window=WINDOW, verbose=False) as recorder:
        train(model, optimizer, WINDOW)
        directions = recorder.edge().directions(2)
    before = full_state(model)
    inputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(5))
    forward = lambda m, x: m(x)  # noqa: E731
    found = se.functional_modes(
        model, directions, inputs, parameters=recorder.parameters, forward=forward, method="central_difference"
    )
    after = full_state(model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    alone = mlp()
    alone.load_state_dict(before)
    subset = se.select_parameters(alone, "weight")
    stacked = torch.stack([subset.flatten(gathered(recorder, v)) for v in directions])
    expected = se.functional_modes(
        alone, stacked, inputs, parameters=subset, forward=forward, method="central_difference"
    )
    assert abs(found.epsilon / expected.epsilon - 1) < 1e-6
    torch.testing.assert_close(found.response, expected.response, atol=2e-4, rtol=0)


def token_modes_are_those_of_the_whole(folder: Path) -> None:
    """Next-token predictions of a sharded language model along shards of directions, and what its edge explains."""
    torch.manual_seed(0)
    model = TinyLM()
    fully_shard(model.attention["o"])
    fully_shard(model)
    optimizer = adamw(model)
    ids = torch.randint(0, 11, (8, 6), generator=torch.Generator().manual_seed(5))
    with se.watch(model, optimizer, parameters="attention.*weight", window=WINDOW, verbose=False) as recorder:
        for _ in range(WINDOW):
            optimizer.zero_grad()
            (-se.token_log_probabilities(model, ids).mean()).backward()
            optimizer.step()
        edge = recorder.edge()
    directions = edge.directions(2)
    with pytest.warns(UserWarning, match="central differences"):
        found = se.token_modes(model, directions, ids, parameters=recorder.parameters)
    settings = {"forward": se.token_log_probabilities, "k": 1, "draws": 2}
    with pytest.warns(UserWarning, match="central differences"):
        explained = se.explained_change(model, edge, ids, parameters=recorder.parameters, **settings)
    state, displacement = full_state(model), gathered(recorder, edge.displacement())
    alone = TinyLM()
    alone.load_state_dict(state)
    subset = se.select_parameters(alone, "attention.*weight")
    rows = torch.stack([subset.flatten(gathered(recorder, v)) for v in directions])
    expected = se.token_modes(alone, rows, ids, parameters=subset)
    for name in ("signed", "sensitivity"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=2e-3 * float(theirs.abs().max()))
    flat = subset.flatten(displacement)
    swings = torch.tensor([[1.0, 0.1], [-1.0, 0.1], [0.5, -0.1], [-0.5, -0.1]])
    parts = 0.25 * flat + float(edge.singular_values[0]) * swings @ rows
    whole_edge = se.spectral_edge(parts, center=True)  # v1 and the displacement are those of the shards
    of_whole = se.explained_change(alone, whole_edge, ids, parameters=subset, **settings)
    for by in ("displacement", "edge"):
        r2 = [change.table.filter(by=by)["r2"].item() for change in (explained, of_whole)]
        assert abs(r2[0] - r2[1]) < 5e-3, (by, r2)


def a_comparison_is_that_of_the_whole(folder: Path) -> None:
    """Draws are shards of the whole model's draws, and effects those of one process; blocks cannot be had."""
    model = fsdp()
    optimizer = adamw(model)
    with se.watch(model, optimizer, parameters="weight", window=WINDOW, verbose=False) as recorder:
        train(model, optimizer, WINDOW)
        edge = recorder.edge()
        inputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(5))
        statistics = {"size": lambda h: float(h.square().sum())}
        forward = lambda m, x: m(x)  # noqa: E731
        with pytest.warns(UserWarning, match="central differences"):
            found = se.compare(
                model, edge, inputs, statistics, parameters=recorder.parameters, forward=forward, k=1, draws=6
            )
        directions = edge.directions(1)
    alone = mlp()
    alone.load_state_dict(full_state(model))
    subset = se.select_parameters(alone, "weight")
    whole = subset.flatten(gathered(recorder, directions[0]))
    drawn = torch.cat(list(se.iterate_random_directions(3, subset, "weights", direction=whole)))
    here = se.iterate_random_directions(3, recorder.parameters, "weights", direction=directions[0])
    for ours, theirs in zip(torch.cat(list(here)), drawn, strict=True):
        torch.testing.assert_close(subset.flatten(gathered(recorder, ours)), theirs, atol=1e-6, rtol=0)
    nulls = ["isotropic", "weights"]
    expected = se.compare(
        alone, whole[None], inputs, statistics, parameters=subset, forward=forward, nulls=nulls, draws=6
    )
    assert found.table["null"].to_list() == ["isotropic", "span", "weights"]
    assert "sharded" in found.left_out["blocks"]
    for row in expected.rows:
        (ours,) = [other for other in found.rows if other.null == row.null]
        torch.testing.assert_close(torch.tensor(ours.values), torch.tensor(row.values), rtol=1e-2, atol=0)


def ddp_needs_no_communication(folder: Path) -> None:
    model = DistributedDataParallel(mlp())
    optimizer = adamw(model)
    seen = []
    with se.watch(
        model, optimizer, parameters=".", window=WINDOW, run_dir=folder / "ddp", callback=seen.append, verbose=False
    ) as recorder:
        assert recorder.parameters.names[0] == "0.weight"
        train(model, optimizer, 2 * WINDOW)
        if dist.get_rank() == 0:
            recorder.edge()  # would wait for ever if the others had to take part
    assert len(seen) == (2 if dist.get_rank() == 0 else 0)
    assert recorder.stopped is None
    sigma = torch.from_numpy(recorder.edge().singular_values)
    others = [torch.zeros_like(sigma) for _ in range(dist.get_world_size())]
    dist.all_gather(others, sigma)
    assert all(torch.equal(other, sigma) for other in others)


def training_is_unchanged(folder: Path) -> None:
    for build in (fsdp, tensor_parallel, lambda: DistributedDataParallel(mlp())):
        outcomes = []
        for watched in (False, True):
            model = build()
            optimizer = adamw(model)
            if watched:
                with se.watch(model, optimizer, parameters=".", window=WINDOW, verbose=False) as recorder:
                    losses = train(model, optimizer, 200)
                    recorder.edge()
                assert recorder.stopped is None, recorder.stopped
            else:
                losses = train(model, optimizer, 200)
            moments = [whole(v) for state in optimizer.state.values() for v in state.values()]
            outcomes.append((losses, [*full_state(model).values(), *moments, torch.get_rng_state()]))
        (losses, tensors), (watched_losses, watched_tensors) = outcomes
        assert losses == watched_losses
        assert all(torch.equal(a, b) for a, b in zip(tensors, watched_tensors, strict=True))


def a_resumed_recording_is_bitwise_the_same(folder: Path) -> None:
    settings = {"parameters": ".", "window": WINDOW, "keep_updates": True, "verbose": False}

    def first_half(run_dir: Path) -> tuple[nn.Module, torch.optim.Optimizer, se.Recorder]:
        model = fsdp()
        optimizer = adamw(model)
        recorder = se.watch(model, optimizer, run_dir=run_dir, **settings)
        train(model, optimizer, WINDOW + 1)
        return model, optimizer, recorder

    model, optimizer, recorder = first_half(folder / "resume_whole")
    train(model, optimizer, WINDOW + 1, seed=1)
    expected = recorder.edge().singular_values.tolist()
    recorder.close()
    model, optimizer, recorder = first_half(folder / "resume_parts")
    state = recorder.state_dict()
    recorder.close()
    with se.watch(model, optimizer, run_dir=folder / "resume_parts", **settings) as resumed:
        resumed.load_state_dict(state)
        train(model, optimizer, WINDOW + 1, seed=1)
        assert resumed.edge().singular_values.tolist() == expected
        if dist.get_rank() == 0:
            logs = [(folder / name / "metrics.jsonl").read_bytes() for name in ("resume_whole", "resume_parts")]
            assert logs[0] == logs[1]
        # A step whose spectrum is in the log of the first process, and one that is in no log.
        stored = [resumed.edge(step) for step in (WINDOW, WINDOW + 2)]
        lengths = torch.stack([edge.directions(1).double().square().sum() for edge in stored])
        dist.all_reduce(lengths)
        torch.testing.assert_close(lengths, torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)
        assert stored[0].singular_values.shape == (WINDOW,)
    if dist.get_rank() == 0:
        recording = se.Recording(folder / "resume_parts")
        assert recording.steps == [WINDOW, 2 * WINDOW]
        logged = recording.edge(WINDOW)
        assert abs(logged.singular_values / stored[0].singular_values - 1)[:-1].max() < 1e-9
        with pytest.raises(StoreError, match="sharded over"):
            logged.directions(1)
        with pytest.raises(StoreError, match=f"known: {WINDOW} to {2 * WINDOW}"):
            recording.edge(WINDOW + 2)
    else:
        with pytest.raises(StoreError, match="open the directory above"):
            se.Recording(folder / "resume_parts" / f"process_{dist.get_rank():05d}")


def states_of_other_processes_are_refused(folder: Path) -> None:
    """As a checkpoint that only the first process wrote would give them to all."""
    model = fsdp()
    optimizer = adamw(model)
    with se.watch(model, optimizer, parameters=".", window=WINDOW, verbose=False) as recorder:
        train(model, optimizer, WINDOW)
        box = [recorder.state_dict()]
        dist.broadcast_object_list(box, src=0)
        restore(recorder, box[0])  # by none, since not by all
        assert recorder.window.steps == list(range(1, WINDOW + 1))
        if dist.get_rank():
            with pytest.raises(ValueError, match="the process that holds other shards"):
                recorder.load_state_dict(box[0])
        else:
            recorder.load_state_dict(box[0])


SCENARIOS = [
    fsdp_is_the_whole,
    decay_is_that_of_the_whole,
    gradients_by_source_are_those_of_the_whole,
    tensor_parallel_is_the_whole,
    hybrid_is_the_whole,
    two_meshes_are_the_whole,
    plain_parameters_count_once,
    disk_is_the_whole,
    sketch_is_that_of_the_whole,
    modes_are_those_of_the_whole,
    token_modes_are_those_of_the_whole,
    a_comparison_is_that_of_the_whole,
    ddp_needs_no_communication,
    training_is_unchanged,
    a_failure_in_one_process_stops_all,
    a_failure_while_looking_stops_all,
    a_failure_while_writing_stops_all,
    deferred_failures_stop_all_at_the_next_spectrum,
    infinite_shards_stop_all,
    a_resumed_recording_is_bitwise_the_same,
    states_of_other_processes_are_refused,
]
# Both dimensions of a mesh larger than 1.
OF_FOUR = [hybrid_is_the_whole, two_meshes_are_the_whole]


def main() -> None:
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size, timeout=timedelta(seconds=60)
    )
    for scenario in OF_FOUR if size == 4 else SCENARIOS:
        try:
            scenario(folder)
            outcome = "passed"
        except Exception:
            outcome = traceback.format_exc()
        with (folder / f"{rank}.jsonl").open("a") as log:
            log.write(json.dumps([scenario.__name__, outcome]) + "\n")
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
