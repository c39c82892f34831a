"""Does it work here? Each part of the library tried once on a small model, in seconds."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from spectral_edge.comparison import Concentration, compare
from spectral_edge.grokking import ModularTransformer, Training, TrainingConfig
from spectral_edge.modes import functional_modes
from spectral_edge.parameters import attention_weights
from spectral_edge.recording import Recording, watch
from spectral_edge.spectrum import spectral_edge
from spectral_edge.store import hold_lock, read_lock

__all__ = ["REFERENCE_BITS", "SelfTest", "self_test"]

REFERENCE_BITS = {1: "847edb36edc7f464", 10: "ed00171fbe6169b6", 100: "6f26fd9f5aa7df66"}
"""By step, the begin of the SHA-256 of the flat float32 parameters of addition, seed 42, on one thread.

Computed on an AMD EPYC (Zen 3) and, up to step 10, by an emulated Intel Haswell (`qemu-x86_64 -cpu Haswell`), which
gives the bits of a real Emerald Rapids with 256-bit registers. They belong to the torch and numpy of requirements.txt.
"""

_STEPS = 10
_SMALL = TrainingConfig(operation="add", p=23, d_model=32, d_mlp=64, seed=1)


@dataclass(frozen=True)
class SelfTest:
    """One part, tried.

    Attributes:
        name: of the part.
        passed: whether it did what it must; ``None`` where another answer is no fault.
        found: the numbers.
        seconds: it took.
    """

    name: str
    passed: bool | None
    found: str
    seconds: float


def self_test() -> list[SelfTest]:
    """Try training, recording, spectrum, responses, comparison and files; a part that raises has not passed.

    >>> [part.name for part in self_test() if part.passed is False]
    []
    """
    parts = {
        "files and locks": _files, "bits of a training": _bits, "recording": _recording, "spectrum": _spectrum,
        "responses": _responses, "comparison": _comparison,
    }  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as runs are trained; more would wait for each other on a machine that is busy
    try:
        return [_tried(name, part) for name, part in parts.items()]
    finally:
        torch.set_num_threads(threads)


def _tried(name: str, part: Callable[[], tuple[bool | None, str]]) -> SelfTest:
    start = time.perf_counter()
    try:
        passed, found = part()
    except Exception as problem:  # whatever it is, it is what the reader wants to know
        passed, found = False, f"{type(problem).__name__}: {problem}"
    return SelfTest(name, passed, found, time.perf_counter() - start)


def _files() -> tuple[bool, str]:
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "lock"
        with hold_lock(lock):
            held = read_lock(lock).held
        return held and not read_lock(lock).held, "a lock is held, seen and given back"


def _bits() -> tuple[bool | None, str]:
    """Other bits are no fault: other processors and versions have them."""
    training = Training(TrainingConfig(operation="add", seed=42))
    for _ in range(_STEPS):
        training.step()
    flat = torch.cat([p.detach().flatten() for p in training.model.parameters()])
    own = hashlib.sha256(flat.numpy().tobytes()).hexdigest()[:16]
    same = own == REFERENCE_BITS[_STEPS]
    return True if same else None, f"{own}, {'as' if same else 'unlike'} the reference: runs of one seed are " + (
        "the stored ones" if same else "not bitwise the stored ones"
    )


def _recording() -> tuple[bool, str]:
    plain = Training(_SMALL)
    for _ in range(30):
        plain.step()
    with tempfile.TemporaryDirectory() as folder:
        watched = Training(_SMALL)
        with watch(watched.model, watched.optimizer, window=10, run_dir=folder, verbose=False) as recorder:
            for _ in range(30):
                watched.step()
            live = recorder.edge(center=False).singular_values
        stored = np.array(Recording(folder).values[-1]["singular_values"])
    same = all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), watched.model.parameters(), strict=True))
    error = float(np.abs(stored - live).max() / live[0])
    return same and error < 1e-6, f"training is {'' if same else 'not '}the same when watched; read back to {error:.0e}"


def _spectrum() -> tuple[bool, str]:
    updates = torch.randn(20, 5000, generator=torch.Generator().manual_seed(0))
    exact = np.linalg.svd(updates.double().numpy(), compute_uv=False)
    error = float(np.abs(spectral_edge(updates, center=False).singular_values / exact - 1).max())
    return error < 1e-6, f"singular values are those of an SVD to {error:.0e}"


def _trained() -> tuple[ModularTransformer, torch.Tensor, Training]:
    training = Training(_SMALL)
    with watch(training.model, training.optimizer, window=10, verbose=False) as recorder:
        for _ in range(20):
            training.step()
        return training.model, recorder.edge().directions(1), training


def _responses() -> tuple[bool, str]:
    model, v1, training = _trained()
    exact, quotient = (
        functional_modes(model, v1, training.task.pairs, method=method).energy.numpy()
        for method in ("jvp", "finite_difference")
    )
    error = float(np.abs(quotient - exact).max() / exact.max())
    return error < 0.05, f"derivatives and difference quotients differ by {error:.0e}"


def _comparison() -> tuple[bool, str]:
    model, v1, training = _trained()
    labels = training.task.labels
    found = compare(
        model, v1, torch.from_numpy(training.task.pairs), Concentration(labels, 23), draws=20,
        parameters=attention_weights(model), nulls="isotropic", quiet=True,
    )  # fmt: skip
    (row,) = found.rows
    drawn = row.values
    return len(drawn) == 20 and bool(
        np.isfinite(drawn).all()
    ), f"F of v1 is {row.measured:.3f}, of 20 random directions {drawn.mean():.3f}"
