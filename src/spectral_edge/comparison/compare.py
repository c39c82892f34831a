"""Hold directions against matched nulls by any statistic, on any model: one pass over the draws of each null."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.comparison.draw_plan import Combination, DrawPlan
from spectral_edge.comparison.measurement import Measurement
from spectral_edge.comparison.nulls import NULLS, PERMUTED, DirectionNull, available_draws, direction_null, why_no_sets
from spectral_edge.comparison.progress import Progress
from spectral_edge.comparison.result import Alternative, Comparison
from spectral_edge.comparison.space import CannotDrawError, DirectionSpace
from spectral_edge.comparison.statistic import Keep, named_statistics, set_size
from spectral_edge.modes import Forward, Inputs, Responder, left_as_found, responder_of
from spectral_edge.parameters import ParameterSubset, Selector
from spectral_edge.spectrum import SpectralEdge

__all__ = ["compare"]

Nulls = str | DirectionNull | Iterable[str | DirectionNull] | None


def compare(
    model: nn.Module,
    directions: SpectralEdge | Tensor | np.ndarray,
    inputs: Inputs | np.ndarray,
    statistics: Any,
    *,
    parameters: ParameterSubset | Selector | None = None,
    forward: Forward | None = None,
    k: int | None = None,
    nulls: Nulls = None,
    draws: int = 200,
    seed: int = 0,
    alternative: Alternative = "greater",
    batch_size: int | None = None,
    keep: Mapping[str, Keep] | None = None,
    threads: int = 1,
    quiet: bool = False,
) -> Comparison:
    """Ask of each direction whether it is special, or whether any matched direction would do it.

    A direction v has a response h(x) = d model(x; θ + εv)/dε; a statistic makes one number of it; a null draws other
    directions v' and the same number of each. effect = (measured - mean of draws)/SD of draws; p = (b + 1)/(n + 1), b
    the draws at least as extreme.

    Args:
        model: any module. Its weights, mode and the random state are left as they were.
        directions: an edge, of which the first ``k`` directions are tested; or rows (k, D). Scaled to unit length, as
            draws are.
        inputs: a tensor or a mapping of tensors, batched along the first axis, moved to the model's device.
        statistics: one, several, or a mapping from names: functions of a response (N, d), :class:`Concentration`,
            :class:`VarianceShare`, :class:`Peakedness`, :func:`of_direction`, :func:`of_set`, or your own
            (:class:`Statistic`). All are computed in one pass.
        parameters: what the directions live in, or a choice as for ``watch``; the attention weights if left out.
        forward: ``forward(model, batch)``, (n, …), flattened to (n, d); see
            :func:`~spectral_edge.modes.functional_modes`.
        k: number of edge directions; the edge's position k* if left out.
        nulls: names among ``isotropic``, ``span``, ``weights``, ``blocks``, ``inputs``, or nulls such as
            :class:`OtherPhases`. Left out: each that can be had, for each statistic and direction.
        draws: of each null, at least 2. The smallest p-value is 1/(draws + 1).
        seed: of the draws.
        alternative: whether large or small values of the statistics would be special.
        batch_size: inputs at once; 256 if left out.
        keep: functions of a response (N, d) whose values, arrays of any shape, are kept for every tested direction and
            every draw: ``result.kept[name]["tested"]`` and ``result.kept[name][null]``, to draw figures of.
        threads: that share the draws where a model brings its own derivative; others use PyTorch's own threads. The
            result does not depend on it.
        quiet: print neither the expected time nor progress.

    Returns:
        The comparison: ``.table``, ``.plot()``, ``.save(path)``. Interrupted from the keyboard, it has what was done.

    Raises:
        ValueError: directions do not fit the parameters, a statistic is not one finite number or changes with the
            direction's sign, a null asked for by name cannot be had (the message says why), or an argument is out of
            range.

    Cost: draws responses for each null, k times as many for ``blocks`` and none for ``inputs``; the expected time is
    printed first. Memory: the responses to the tested directions; one draw (or 8, up to 64 MB) and its response, at
    most three copies of the parameters in float32. A statistic of m directions holds m draws and their responses at
    once.

    >>> layer = nn.Linear(2, 1, bias=False)  # the response to v is v·x
    >>> weights = ParameterSubset(dict(layer.named_parameters()))
    >>> found = compare(
    ...     layer, torch.tensor([[1.0, 0.0]]), torch.tensor([[5.0, 0.1], [-7.0, 0.2]]),
    ...     {"size": lambda h: float(h.square().sum())}, parameters=weights, nulls="isotropic", draws=99,
    ... )
    >>> found
    Comparison(1 directions, size against isotropic, 99 draws)
    >>> bool(found.rows[0].effect > 0)
    True
    """
    chosen, several = named_statistics(statistics), _listed(nulls)
    draws, seed, threads = (_whole(*named) for named in (("draws", draws), ("seed", seed), ("threads", threads)))
    k = None if k is None else _whole("k", k)
    _check_numbers(draws, seed, alternative, k, threads)
    _check_keep(keep)
    progress = Progress(quiet)
    with left_as_found(model):
        respond = responder_of(model, inputs, parameters=parameters, forward=forward, batch_size=batch_size)
        with respond.reading():
            edge = directions if isinstance(directions, SpectralEdge) else None
            space = DirectionSpace(respond.parameters, edge)
            tested = _tested_rows(respond, space, directions, k)
            set_size(chosen, len(tested))
            measurement = Measurement.of(
                respond, space, tested, chosen, keep or {}, draws=draws, seed=seed, threads=threads, progress=progress
            )
            plans, left_out = _plans(several, space, measurement)
            permuted = _permuted(several, measurement, left_out)
            responses = sum(plan.responses for plan in plans)
            progress.begin(len(tested), responses, draws if permuted else 0, measurement.time_of_permutations(permuted))
            complete = measurement.take_all(plans, permuted)
    protocol = _protocol(respond, edge, measurement, draws, seed)
    found = tuple(measurement.rows(plans, permuted))
    return Comparison(found, protocol, alternative, complete, left_out, measurement.arrays())


def _whole(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"compare: {name} = {value!r} is not a whole number") from None


def _check_keep(keep: Any) -> None:
    if keep is not None and not (isinstance(keep, Mapping) and all(callable(function) for function in keep.values())):
        raise ValueError(f"compare: keep = {keep!r}; give a mapping from names to functions of a response")


def _check_numbers(draws: int, seed: int, alternative: str, k: int | None, threads: int) -> None:
    if threads < 1:
        raise ValueError(f"compare: threads = {threads}; at least one is needed")
    if draws < 2:
        raise ValueError(f"compare: draws = {draws}; an effect needs the spread of at least 2 draws")
    if seed < 0:
        raise ValueError(f"compare: seed = {seed}; need a nonnegative integer")
    if alternative not in ("greater", "less"):
        raise ValueError(f"compare: alternative = {alternative!r} is unknown; use 'greater' or 'less'")
    if k is not None and k < 1:
        raise ValueError(f"compare: k = {k}; at least one direction is needed")


def _tested_rows(
    respond: Responder, space: DirectionSpace, directions: SpectralEdge | Tensor | np.ndarray, k: int | None
) -> Tensor:
    """The tested directions (k, D), of unit length."""
    if isinstance(directions, SpectralEdge):
        return respond.of_edge(directions, k)
    rows = torch.as_tensor(directions)
    rows = rows if rows.is_floating_point() else rows.float()
    rows = rows[None] if rows.ndim == 1 else rows
    if k is not None and k > len(rows):
        raise ValueError(f"compare: k = {k} directions asked for, but {len(rows)} were given")
    rows = rows if k is None else rows[:k]
    respond.checked(rows)
    # In the type they came in: that of the parameters may round lengths by half a per cent.
    return respond.checked(rows / rows.new_tensor([space.inner(row, row) ** 0.5 for row in rows])[:, None])


def _plans(
    several: list[str | DirectionNull] | None, space: DirectionSpace, measurement: Measurement
) -> tuple[list[DrawPlan], dict[str, str]]:
    """The draws to be made, and the nulls that cannot be had with the reason; one asked for by name raises."""
    left_out: dict[str, str] = {}
    plans: list[DrawPlan] = []
    for null in _direction_nulls(several):
        samplers, problem = _samplers(null, space, measurement)
        if measurement.taking("set") and problem is None:
            problem = why_no_sets(null, measurement.size, measurement.space.edge)
        if problem is not None and several is not None:
            can = ", ".join(plan.null.name for plan in plans)
            raise ValueError(
                f"compare: null {null.name!r} cannot be drawn: {problem}" + (f"; {can} can" if can else "")
            )
        if problem is not None:
            left_out[null.name] = problem
        if samplers:
            singles = (available_draws(null) or measurement.draws) if measurement.singles or measurement.keep else 0
            sets = _sets(null, measurement, problem is not None)
            combinations = _combinations(null, samplers, space, measurement)
            plans.append(DrawPlan(null, samplers, measurement.k, singles, sets, measurement.size, combinations))
    return plans, left_out


def _sets(null: DirectionNull, measurement: Measurement, some_are_missing: bool) -> int:
    """How many sets are drawn for statistics of a set."""
    if not measurement.taking("set") or some_are_missing:
        return 0
    most = available_draws(null)
    if most is not None and most < measurement.size:
        raise ValueError(
            f"compare: null {null.name!r} has {most} draws, and a set takes {measurement.size}; give it more, or leave "
            "out statistics of a set"
        )
    return measurement.draws if most is None else most // measurement.size


def _listed(nulls: Nulls) -> list[str | DirectionNull] | None:
    """What was asked for as a list; ``None`` for all that can be had."""
    if nulls is None:
        return None
    several = list(nulls) if isinstance(nulls, Iterable) and not isinstance(nulls, str) else [nulls]
    if not several:
        raise ValueError("compare: nulls is empty; leave it out for all that can be had")
    return several


def _direction_nulls(several: list[str | DirectionNull] | None) -> list[DirectionNull]:
    if several is None:
        return list(NULLS)
    found = [direction_null(null) for null in several if null != PERMUTED]
    names = [null.name for null in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"compare: null {twice!r} is asked for twice")
    return found


def _samplers(
    null: DirectionNull, space: DirectionSpace, measurement: Measurement
) -> tuple[dict[int, Any], str | None]:
    """The sampler of each direction (0 for all), and why one cannot be had."""
    if not null.per_direction:
        try:
            return {0: null.sampler(space, None)}, None
        except CannotDrawError as problem:
            return {}, str(problem)
    found, why = {}, None
    for number, row in enumerate(measurement.tested):
        try:
            found[number] = null.sampler(space, row)
        except CannotDrawError as problem:
            why = f"direction {number + 1}: {problem}"
    return found, why


def _combinations(
    null: DirectionNull, samplers: Mapping[int, Any], space: DirectionSpace, measurement: Measurement
) -> dict[int, Combination]:
    """How a null makes draws of each direction from shared noise; empty if it does not, or responses are not linear."""
    if not hasattr(null, "combination") or measurement.respond.method != "jvp":
        return {}
    return {j: null.combination(space, measurement.tested[j]) for j in samplers}


def _permuted(several: list[str | DirectionNull] | None, measurement: Measurement, left_out: dict[str, str]) -> bool:
    """Whether the null of permuted labels is to be drawn."""
    asked = several is not None and PERMUTED in [null for null in several if isinstance(null, str)]
    if several is not None and not asked:
        return False
    why = measurement.leave_out_unpermutable()
    if not measurement.labelled and why is None:
        why = "no statistic has labels to permute; give it permute_labels(generator), as se.Concentration has"
    if asked and why is not None:
        raise ValueError(f"compare: null 'inputs' cannot be drawn: {why}")
    if why is not None:
        left_out[PERMUTED] = f"only for {why}" if measurement.labelled else why
    return bool(measurement.labelled)


def _protocol(
    respond: Responder, edge: SpectralEdge | None, measurement: Measurement, draws: int, seed: int
) -> dict[str, Any]:
    return {
        "model": type(respond.model).__name__,
        "parameters": list(respond.parameters.names),
        "dim": respond.parameters.full_dim,
        "inputs": measurement.inputs,
        "method": respond.method,
        "directions": len(measurement.tested),
        "window": None if edge is None else len(edge.singular_values),
        "centered": None if edge is None else edge.centered,
        "position": None if edge is None else edge.position,
        "draws": draws,
        "seed": seed,
    }
