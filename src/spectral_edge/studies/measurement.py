"""Everything several studies need of a set of directions at one checkpoint, in one pass over their responses."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.bases import grouping
from spectral_edge.grokking import ModularTask, ModularTransformer
from spectral_edge.modes import Method, map_responses, mode_energy
from spectral_edge.parameters import ParameterSubset, attention_weights
from spectral_edge.representation import (
    RidgeProbe,
    cross_term_features,
    head_purity,
    loss_derivatives,
    loss_gradient,
    response_shape,
)
from spectral_edge.statistics import random_directions
from spectral_edge.studies.study import AnalysisConfig
from spectral_edge.subjects.device import Device, check_device
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Measured", "cross_term_probe", "measure", "measured_at_random", "mixture_names"]

_COMPONENTS = 3


@dataclass(frozen=True)
class Measured:
    """Functions and scalars of k directions; N inputs in the order of the task's pairs.

    Attributes:
        energy: (k, N) f_k.
        components: (k, 3 or fewer, N) scores on the first principal components of the response.
        effective_rank: (k,) of the response.
        head_purity: (k,) of the direction itself.
        mixtures: (g, 4, N): f of v_1+v_2, v_1+v_3, v_2+v_3, v_1+v_2+v_3, each over sqrt(number), for each of g
            groups of three directions. Responses add, so they cost no further pass.
        triples: (g, 3) the directions of each group.
        cross_term_r2: (k,) ridge R^2 of the response on sum, discrete-log and cross-term features; NaN where the
            task does not ask for it.
        loss_derivatives: (T, k, N) of the loss of every task at every input, along the direction.
    """

    energy: np.ndarray
    components: np.ndarray
    effective_rank: np.ndarray
    head_purity: np.ndarray
    mixtures: np.ndarray
    triples: np.ndarray
    cross_term_r2: np.ndarray
    loss_derivatives: np.ndarray

    def first(self, n: int) -> Measured:
        """The same of the first n directions, and of the triples that lie among them."""
        within = (self.triples < n).all(axis=1)
        return Measured(
            self.energy[:n],
            self.components[:n],
            self.effective_rank[:n],
            self.head_purity[:n],
            self.mixtures[within],
            self.triples[within],
            self.cross_term_r2[:n],
            self.loss_derivatives[:, :n],
        )


def mixture_names() -> list[str]:
    """Names of the four mixtures, in the order of :attr:`Measured.mixtures`."""
    return ["v1+v2", "v1+v3", "v2+v3", "v1+v2+v3"]


def measure(
    model: ModularTransformer,
    directions: Tensor,
    tasks: Sequence[ModularTask],
    parameters: ParameterSubset,
    probe: tuple[RidgeProbe, np.ndarray] | None = None,
    *,
    n_components: int = _COMPONENTS,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
    threads: int = 1,
    device: Device = "cpu",
) -> Measured:
    """Measure k directions on every pair of the tasks, with the exact derivative or a finite difference.

    Mixtures are formed of disjoint triples of neighbours, (1, 2, 3), (4, 5, 6), …; random directions are exchangeable,
    so such triples are independent draws of the null. At least 3 directions.

    Args:
        model: at the checkpoint.
        directions: (k, D) unit rows.
        tasks: that the model was trained on, all with the same pairs.
        parameters: layout of the directions.
        probe: a ridge probe and the (N,) mask of inputs it was built for.
        n_components: principal components whose scores are kept, 0 or more.
        method, relative_epsilon, threads: of the response, as in :func:`spectral_edge.modes.map_responses`.
        device: where responses are computed, on a copy of the model; what is read of them is computed on the CPU.

    Raises:
        ValueError: the device is not there.

    Cost: k derivatives over all pairs; memory k N floats and one group of responses.
    """
    check_device(device)
    inputs = torch.from_numpy(tasks[0].pairs)
    gradients = _loss_gradients(model, tasks, inputs)

    there = model if device == "cpu" else copy.deepcopy(model).to(device)

    def look(response: Tensor) -> tuple[np.ndarray, ...]:
        response = response.cpu()
        energy = mode_energy(response)
        rank, scores = response_shape(response, n_components)
        return (
            energy.numpy(),
            scores.numpy(),
            rank.numpy(),
            _mixtures(response, energy).numpy(),
            np.full(len(energy), np.nan) if probe is None else probe[0].r2(response.numpy()[:, probe[1]]).in_sample[0],
            # The paths of all tasks to their losses part after the residual stream: one response serves them all.
            torch.stack([loss_derivatives(response, gradient) for gradient in gradients], dim=1).numpy(),
        )

    parts = list(
        map_responses(
            look,
            there,
            directions,
            inputs,
            parameters=parameters if there is model else attention_weights(there),
            method=method,
            relative_epsilon=relative_epsilon,
            threads=threads,
        )
    )
    ends = np.cumsum([0, *(len(part[0]) for part in parts)])
    triples = [start + np.arange((end - start) // 3 * 3).reshape(-1, 3) for start, end in itertools.pairwise(ends)]
    energies, components, ranks, mixtures, r2, of_loss = (np.concatenate(part) for part in zip(*parts, strict=True))
    purity = np.atleast_1d(head_purity(directions, parameters))
    of_loss = np.ascontiguousarray(of_loss.swapaxes(0, 1))
    return Measured(energies, components, ranks, purity, mixtures, np.concatenate(triples), r2, of_loss)


def measured_at_random(run: TrainedRun, config: AnalysisConfig, step: int) -> Measured:
    """The random directions of the null at one step of a run; kept with the open run, as several studies ask for it.

    Memory: 50 to 100 MB a step of 200 directions on 9409 inputs.
    """
    key = (step, config.random_directions, config.seed, config.device)
    if key not in run.measured:
        model, parameters = run.model_at(step)
        directions = random_directions(config.random_directions, parameters.dim, config.seed)
        run.measured[key] = measure(
            model, directions, run.tasks, parameters, cross_term_probe(run), threads=run.threads, device=config.device
        )
    found = run.measured[key]
    assert isinstance(found, Measured)
    return found


def cross_term_probe(run: TrainedRun) -> tuple[RidgeProbe, np.ndarray] | None:
    """The probe for the claim on cross terms and the (N,) mask of its inputs, held-out pairs without their zeros.

    ``None`` if the run's task has no such claim, or its modulus no discrete logarithm.
    """
    task, training = run.task, run.training
    if training.operation != "x2_y2":
        return None
    try:
        grouping("discrete_log", task.p)
    except ValueError:
        return None
    inputs = np.zeros(len(task.pairs), dtype=bool)
    test = task.split(training.frac_train, training.seed).test
    inputs[test] = (task.pairs[test] != 0).all(axis=1)
    return RidgeProbe(cross_term_features(task.pairs[inputs], task.p)), inputs


def _loss_gradients(model: ModularTransformer, tasks: Sequence[ModularTask], inputs: Tensor) -> list[Tensor]:
    with torch.no_grad():
        residual = model(inputs[:, 0], inputs[:, 1], return_residual=True)[1]
    heads = ["head" if len(model.tasks) == 1 else f"head_{task.name}" for task in tasks]
    return [
        loss_gradient(nn.Sequential(model.ln, model.get_submodule(head)), residual, torch.from_numpy(task.labels))
        for head, task in zip(heads, tasks, strict=True)
    ]


def _mixtures(response: Tensor, energy: Tensor) -> Tensor:
    """Energies of the mixtures of (1, 2, 3), (4, 5, 6), …, from ||sum r||^2 = sum f + 2 sum <r, r'>; (k // 3, 4, N)."""
    groups = len(response) // 3
    first, second, third = (response[i : 3 * groups : 3] for i in range(3))
    f1, f2, f3 = (energy[i : 3 * groups : 3] for i in range(3))
    g12, g13, g23 = (
        (left * right).sum(-1).double() for left, right in ((first, second), (first, third), (second, third))
    )
    pairs = [(f1 + f2) / 2 + g12, (f1 + f3) / 2 + g13, (f2 + f3) / 2 + g23]
    return torch.stack([*pairs, (f1 + f2 + f3 + 2 * (g12 + g13 + g23)) / 3], dim=1)
