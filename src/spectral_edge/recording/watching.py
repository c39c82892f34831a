"""Attach a recorder to a model and the optimizers that move it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spectral_edge.parameters import (
    Adapter,
    ParameterSubset,
    Selector,
    adapted_weights,
    adapters_of,
    reshard,
    select_parameters,
    unwrap_model,
)
from spectral_edge.recording.archive import Archive
from spectral_edge.recording.configuration import RecordingConfig
from spectral_edge.recording.cost import Cost, Plan, available_memory, refuse_if_above
from spectral_edge.recording.decay import DecayPart
from spectral_edge.recording.gradients import SourceGradient
from spectral_edge.recording.layout import LayoutGuard, master_of
from spectral_edge.recording.live import LiveSpectrum, LiveValues
from spectral_edge.recording.monitor import Monitor
from spectral_edge.recording.parts import PartWindow
from spectral_edge.recording.recorder import Recorder
from spectral_edge.recording.refusals import (
    check_adapters,
    check_decay,
    check_settings,
    check_sources,
    refuse_unreadable,
)
from spectral_edge.recording.steps import outermost
from spectral_edge.recording.storage import KeptUpdates, Storage, source_part
from spectral_edge.recording.window_log import WindowLog

__all__ = ["restore", "watch"]

logger = logging.getLogger("spectral_edge")


def watch(
    model: nn.Module,
    optimizer: Optimizer | Iterable[Optimizer] | None,
    *,
    parameters: Selector | ParameterSubset = "attention",
    window: int = 20,
    every: int = 1,
    storage: Storage = "float32",
    sketch_size: int = 4096,
    run_dir: Path | str | None = None,
    keep_updates: bool = False,
    callback: Callable[[LiveValues], None] | None = None,
    masters: Mapping[str, Tensor] | None = None,
    automatic: bool = True,
    decay: bool = False,
    sources: Sequence[str] = (),
    memory_limit: int | None = None,
    verbose: bool = True,
) -> Recorder:
    """Record the updates that optimizers make to a model, until the returned recorder is closed.

    Reads parameters after a training step and writes only to buffers of its own: training with and without it is
    bitwise equal. Whatever fails after this call is logged once and ends the recording, never the training; a
    callback that fails ends neither.

    A training step ends when all optimizers have stepped, or when one of them is about to step again. One recorded
    update is ``every`` training steps.

    Args:
        model: the module whose parameters are watched, as it is, compiled, in DDP, or sharded by FSDP2 or tensor
            parallelism.
        optimizer: what moves it: one optimizer, several, or wrappers of Accelerate or Lightning; ``None`` if you
            measure updates yourself and pass them to :meth:`Recorder.update`.
        parameters: ``"attention"``, a regular expression, a predicate ``(name, parameter) -> bool``, or a subset.
            Those that are in no optimizer are left out. ``"lora"``: the products B A of low-rank adapters, as updates
            of the base weights that they are added to; only factors are kept.
        window: W, updates kept.
        every: stride, training steps per update.
        storage: ``"float32"`` or ``"bfloat16"`` in memory, where the parameters are; ``"disk"``, a memory-mapped file
            in ``run_dir``; ``"sketch"``, ``sketch_size`` numbers an update and no copy of the parameters, and the
            updates themselves in ``run_dir`` if there is one.
        sketch_size: m, a power of two.
        run_dir: where the spectrum of every W updates is logged (``metrics.jsonl``); made if missing. Read it again
            with :class:`Recording`.
        keep_updates: write all updates there as well, 4 D bytes each, for directions of any recorded step.
        callback: called with :class:`LiveValues` after every W updates, in the first process. If it raises, that is
            logged once, and it is called again after the next window.
        masters: name -> float32 master weight of parameters in a shorter format. Found without it where the parameter
            has ``main_param`` (Megatron) or its optimizer state a "master" of its shape.
        automatic: whether hooks on the optimizers end training steps; otherwise call :meth:`Recorder.commit`.
        decay: keep the part of each update that is weight decay as well, for ``edge(of="decay")`` and
            ``edge(of="gradient")``. Optimizers with decoupled decay only; storage in memory.
        sources: names of data sets, tasks or terms of the loss whose gradients are kept apart, for
            ``edge(of="gradient", source=name)``: run their backward passes inside :meth:`Recorder.source`. Storage in
            memory.
        memory_limit: bytes; by default half of what can be had now.
        verbose: print to stderr what recording will cost, in the first process.

    Raises:
        ValueError: nothing is selected; optimizers and model share no parameter; a setting is out of range; FSDP1 or
            DeepSpeed, whose parameters cannot be read; ``decay`` with an optimizer that couples decay to the gradient.
        MemoryError: above the limit; names settings that would fit.
        StoreError: ``run_dir`` holds another recording, or cannot be written.

    Memory: (W + 1) D numbers, as much again for ``decay`` and for each source, or as printed. Cost of a recorded step:
    a few passes over D numbers; the spectrum, W² D multiply-adds, when asked for or after every W updates. ``decay``
    costs a pass a step, a source three passes a block.

    >>> model = nn.Linear(4, 2)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(model, optimizer, parameters="weight", window=2, verbose=False) as recorder:
    ...     for x in torch.eye(4)[:2]:
    ...         optimizer.zero_grad()
    ...         model(x).square().sum().backward()
    ...         _ = optimizer.step()
    >>> recorder.edge(center=False).singular_values.shape
    (2,)
    """
    check_settings(window, every, storage, sketch_size, run_dir, keep_updates)
    optimizers = _torch_optimizers(optimizer)
    check_decay(decay, storage, optimizers)
    check_sources(model, sources, storage, optimizers)
    refuse_unreadable(model, optimizer, optimizers)
    reshard(model)
    adapters = adapters_of(model) if parameters == "lora" else []
    check_adapters(adapters, storage, keep_updates, decay or bool(sources), optimizers)
    chosen = _chosen(model, parameters, adapters)
    subset, values = _moved_by(chosen, optimizers, masters or {})
    if adapters and len(subset.parameters) < len(chosen.parameters):
        missing = next(name for name in chosen.names if name not in subset.names)
        raise ValueError(f"watch: {missing} is in no optimizer; parameters='lora' needs both factors of every adapter")
    recorded = adapted_weights(model) if adapters else subset
    first = _rank() == 0
    live = (run_dir is not None or callback is not None) and (values.sharded or first)
    plan = Plan(
        dim=values.dim,
        window=window,
        storage=storage,
        sketch_size=sketch_size,
        anchor_bytes=max(parameter.element_size() for parameter in values.parameters.values()),
        live=live,
        in_directory=run_dir is not None,
        parts=decay + len(sources),
    )
    device = next(iter(values.parameters.values())).device
    cost = plan.cost(device)
    available = available_memory(device)
    refuse_if_above(memory_limit if memory_limit is not None or available is None else available // 2, plan)
    if verbose and first:
        print(_announcement(chosen, subset, plan, every, keep_updates, cost), file=sys.stderr)
    config = RecordingConfig(
        model=type(unwrap_model(model)).__name__,
        parameters={shard.name: shard.full_shape for shard in recorded.shards},
        window=window,
        every=every,
        storage=storage,
        sketch_size=sketch_size if storage == "sketch" else None,
        keep_updates=keep_updates and (values.sharded or first),
        dim=recorded.dim if adapters else values.dim,
        process=_rank(),
        processes=torch.distributed.get_world_size() if values.sharded else 1,
    )
    with contextlib.ExitStack() as undo:
        archive = None
        if run_dir is not None and (live or storage in ("disk", "sketch")):
            place = Path(run_dir) if first else Path(run_dir) / f"process_{_rank():05d}"
            archive = Archive(place, config, logs=first)
            undo.callback(archive.release)
            if verbose and first and archive.earlier is not None:
                print(
                    f"spectral-edge: {place} holds a recording up to step {archive.earlier}. It is continued if the "
                    "recorder's state is restored; otherwise nothing is recorded",
                    file=sys.stderr,
                )
        folder = None if archive is None else archive.path
        guard = LayoutGuard(model, subset, values, optimizers, parameters, masters or {}, bool(adapters))
        kept = KeptUpdates(values, window, storage, sketch_size, folder, bool(optimizers), adapters)
        log = None
        if live:
            monitor = Monitor(recorded, values, optimizers, adapters)
            log = WindowLog(LiveSpectrum(folder), monitor, archive, callback if first else None)
        recorder = Recorder(
            recorded,
            values,
            kept,
            every=every,
            cost=cost,
            guard=guard if optimizers else None,
            log=log,
            archive=archive,
            automatic=automatic and bool(optimizers),
            identity=config.identity(tuple(shard.offset for shard in values.shards)),
            model=model,
            first=first,
        )
        part = DecayPart(optimizers, values, subset, recorder.guarded) if decay else None
        if part is not None:  # corrected before the recorder takes a step's update …
            recorder.keep_part(PartWindow("decay", part, window, values))
        for source in sources:
            gradient = SourceGradient(subset, _replaces_gradients(model))
            recorder.keep_part(PartWindow(source_part(source), gradient, window, subset, zeros=True))
        _attach(recorder, optimizers)
        if part is not None:  # … and counted after the recorder has ended the step before
            part.start()
        undo.pop_all()  # from here on the recorder closes it
    return recorder


def restore(recorder: Recorder, state: Mapping[str, Tensor]) -> None:
    """Continue from a state if it is this recorder's; otherwise say so, and begin with an empty window.

    Where parameters are sharded, all processes must call, and all continue or none does.
    """
    if recorder.all_can_restore(state):
        recorder.load_state_dict(state)
    else:
        logger.warning(
            "spectral-edge: training resumes, but its checkpoint has no state of this recorder in every process: the "
            "window starts empty, and a run_dir that holds an earlier recording is not continued"
        )


def _chosen(model: nn.Module, parameters: Selector | ParameterSubset, adapters: Sequence[Adapter]) -> ParameterSubset:
    """What is read: of adapters their factors, A and B one after the other."""
    if adapters:
        factors = ((adapter.right, adapter.left) for adapter in adapters)
        names = (adapter.names for adapter in adapters)
        return ParameterSubset(
            {name: p for pair, two in zip(names, factors, strict=True) for name, p in zip(pair, two, strict=True)}
        )
    return select_parameters(model, parameters)


def _replaces_gradients(model: nn.Module) -> bool:
    return any(getattr(module, "gradient_as_bucket_view", False) for module in model.modules())


def _torch_optimizers(optimizer: Any) -> list[Optimizer]:
    """Torch optimizers inside whatever was given; wrappers look like optimizers, but take no hooks."""
    if optimizer is None:
        return []
    if isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        return _torch_optimizers(inner)
    if isinstance(optimizer, Optimizer):
        return [optimizer]
    if isinstance(optimizer, Iterable):
        found = [one for given in optimizer for one in _torch_optimizers(given)]
        if found:
            return found
    raise ValueError(
        f"watch: {type(optimizer).__name__} is no torch.optim.Optimizer and holds none in .optimizer; pass the "
        "optimizer itself, a list of them, or None to call recorder.update(delta) yourself"
    )


def _moved_by(
    chosen: ParameterSubset, optimizers: list[Optimizer], masters: Mapping[str, Tensor]
) -> tuple[ParameterSubset, ParameterSubset]:
    """What of ``chosen`` the optimizers move, in the model and in the format in which they keep it."""
    if not optimizers:
        return chosen, chosen
    if unknown := set(masters) - set(chosen.names):
        raise ValueError(f"watch: masters has {sorted(unknown)}, which are not among the selected {chosen.names}")
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    for name, master in masters.items():
        if master.shape != chosen.parameters[name].shape:
            raise ValueError(
                f"watch: the master of {name!r} has shape {tuple(master.shape)}, the parameter "
                f"{tuple(chosen.parameters[name].shape)}"
            )
    values = {name: masters.get(name, master_of(p, optimizers)) for name, p in chosen.parameters.items()}
    moved = {name for name, p in chosen.parameters.items() if id(p) in held or id(values[name]) in held}
    if not moved:
        raise ValueError(
            f"watch: optimizer and model share none of the selected parameters ({', '.join(chosen.names[:6])}, …). "
            "They are frozen, or the optimizer was built for another copy of the model: build it after wrapping, "
            "sharding or moving the model, and watch after that"
        )
    kept = {name: p for name, p in chosen.parameters.items() if name in moved}
    return (
        ParameterSubset(kept, n_heads=chosen.n_heads if len(kept) == len(chosen.parameters) else None),
        ParameterSubset({name: values[name] for name in kept}),
    )


def _attach(recorder: Recorder, optimizers: list[Optimizer]) -> None:
    def mark(number: int, *_: Any) -> None:
        recorder.note_step(number)

    # Not traced: what a recorder does is no part of a compiled step.
    @torch.compiler.disable
    def before(number: int, optimizer: Optimizer, *_: Any) -> None:
        if outermost(optimizer) and recorder.has_stepped(number):
            recorder.commit()  # the training step before, which has ended without the other optimizers

    @torch.compiler.disable
    def after(number: int, optimizer: Optimizer, *_: Any) -> None:
        if not outermost(optimizer):
            return
        recorder.note_step(number)
        if all(recorder.has_stepped(other) for other in range(len(optimizers))):
            recorder.commit()

    for number, optimizer in enumerate(optimizers):
        if recorder.automatic:
            recorder.on_close(optimizer.register_step_pre_hook(partial(before, number)).remove)
        hook = after if recorder.automatic else mark
        recorder.on_close(optimizer.register_step_post_hook(partial(hook, number)).remove)


def _announcement(
    chosen: ParameterSubset, subset: ParameterSubset, plan: Plan, every: int, keep_updates: bool, cost: Cost
) -> str:
    left_out = len(chosen.parameters) - len(subset.parameters)
    frozen = f" ({left_out} tensors that no optimizer holds left out)" if left_out else ""
    growth = f", and {4 * plan.dim / 2**20:,.1f} MiB on disk each recorded update" if keep_updates else ""
    return (
        f"spectral-edge: recording {subset.full_dim:,} parameters in {len(subset.parameters)} tensors{frozen}, "
        f"{plan.window} updates of {every} step{'s' * (every > 1)} as {plan.storage}: {cost}{growth}"
    )


def _rank() -> int:
    """This process's number; 0 outside a process group."""
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
