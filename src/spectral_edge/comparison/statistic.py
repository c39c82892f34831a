"""What a statistic is: one number of a response, of a direction, or of a set of responses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "Keep",
    "LabelledFunction",
    "LabelledStatistic",
    "ManyPermutations",
    "Statistic",
    "Takes",
    "check_even",
    "check_unchanged",
    "named_statistics",
    "of_direction",
    "of_set",
    "relative_signs",
    "set_size",
    "turned_round",
    "value_of",
]

Takes = Literal["response", "direction", "set"]

Keep = Callable[[Tensor], Tensor | np.ndarray]
"""What ``compare`` is to keep of a response (N, d), of any shape."""

# Two evaluations of one even function differ by rounding only.
_SAME = 1e-5


class Statistic(Protocol):
    """One finite number; what it is given is a tensor.

    A plain function of a response is a statistic: ``name`` and ``takes`` may be left out. A class adds them.
    """

    @property
    def name(self) -> str:
        """How the table calls it; ``__name__`` if left out."""
        ...

    @property
    def takes(self) -> Takes:
        """``"response"``, (N, d); ``"direction"``, (D,); or ``"set"``, the responses (k, N, d) to all directions."""
        ...

    def __call__(self, values: Tensor, /) -> float:
        """Compute the number. The sign of a direction is arbitrary, so f(-x) must be f(x)."""
        ...


@runtime_checkable
class LabelledStatistic(Protocol):
    """A statistic of inputs that carry labels; it can be had under the null ``inputs``."""

    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        """Return this statistic with the labels exchanged at random."""
        ...


@runtime_checkable
class ManyPermutations(LabelledStatistic, Protocol):
    """A labelled statistic that can do many permutations at once."""

    def permuted_values(self, values: Tensor, generator: np.random.Generator, n: int) -> NDArray[np.float64]:
        """(n,) values, the labels exchanged at random for each."""
        ...


@dataclass(frozen=True)
class _Function:
    function: Callable[[Tensor], float]
    name: str
    takes: Takes
    size: int | None = None
    relative_signs: bool = False

    def __call__(self, values: Tensor) -> float:
        return self.function(values)


def of_direction(function: Callable[[Tensor], float], name: str | None = None) -> Statistic:
    """Make a statistic of a function of the direction itself, (D,), which needs no model pass.

    >>> of_direction(lambda v: float(v.abs().max()), name="largest_entry").takes
    'direction'
    """
    return _Function(function, name or _name_of(function), "direction")


def of_set(
    function: Callable[[Tensor], float],
    name: str | None = None,
    *,
    size: int | None = None,
    relative_signs: bool = False,
) -> Statistic:
    """Make a statistic of a function of the responses (m, N, d) to the first m tested directions together.

    The nulls are then sets of m directions.

    Args:
        function: of the responses.
        name: how the table calls it.
        size: m; all tested directions if left out.
        relative_signs: whether it may depend on the signs of the directions beside each other, as the spectrum of a
            mixture v_1 + v_2 does. They are then those of the edge's convention, and only turning all of them round is
            checked to change nothing.

    >>> of_set(lambda h: float(torch.linalg.matrix_rank(h.flatten(1))), name="rank").takes
    'set'
    """
    return _Function(function, name or _name_of(function), "set", size, relative_signs)


def named_statistics(statistics: Any) -> list[Statistic]:
    """Return what ``compare`` was given as a list of statistics with distinct names.

    Args:
        statistics: one, several, or a mapping from names.

    Raises:
        ValueError: there are none, one is not callable, two share a name, or ``takes`` is unknown.
    """
    if isinstance(statistics, Mapping):
        found = [_complete(statistic, name) for name, statistic in statistics.items()]
    elif isinstance(statistics, Sequence):
        found = [_complete(statistic, None) for statistic in statistics]
    else:
        found = [_complete(statistics, None)]
    names = [statistic.name for statistic in found]
    nameless = next((name for name in names if not isinstance(name, str)), None)
    if nameless is not None:
        raise ValueError(f"compare: a statistic is called {nameless!r}; names are strings")
    if not names:
        raise ValueError(
            "compare: no statistic was given; pass a function of a response (N, d), or se.Concentration(…)"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            f"compare: two statistics are called {twice!r}; name them: statistics={{'first': …, 'second': …}}"
        )
    return found


def _complete(statistic: Any, name: str | None) -> Statistic:
    """The statistic with a name and what it takes; other attributes it has are not looked at."""
    if not callable(statistic) or isinstance(statistic, type):
        what = "is a class, not an object of it" if isinstance(statistic, type) else "cannot be called"
        raise ValueError(f"compare: statistic {statistic!r} {what}; pass a function of a response (N, d), or an object")
    takes: Any = getattr(statistic, "takes", "response")
    if takes not in get_args(Takes):
        raise ValueError(
            f"compare: statistic {name or _name_of(statistic)!r} takes {takes!r}; choose {', '.join(get_args(Takes))}"
        )
    kind = LabelledFunction if isinstance(statistic, LabelledStatistic) else _Function
    size, signs = getattr(statistic, "size", None), bool(getattr(statistic, "relative_signs", False))
    return kind(statistic, _name_of(statistic) if name is None else name, takes, size, signs)


@dataclass(frozen=True)
class LabelledFunction(_Function):
    """A statistic with labels under the name that the table gives it."""

    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        """The function with its labels exchanged at random."""
        return self.function.permute_labels(generator)  # type: ignore[attr-defined]


def _name_of(statistic: Any) -> str:
    return str(getattr(statistic, "name", None) or getattr(statistic, "__name__", type(statistic).__name__))


def set_size(statistics: Sequence[Statistic], k: int) -> int:
    """How many of k tested directions the statistics of a set take; k if there are none.

    Raises:
        ValueError: they differ, or ask for more than k.
    """
    sizes = {getattr(s, "size", None) or k for s in statistics if s.takes == "set"} or {k}
    if len(sizes) > 1:
        raise ValueError(f"compare: statistics of sets take {sorted(sizes)} directions; compare them apart")
    (size,) = sizes
    if size > k:
        raise ValueError(f"compare: a statistic takes sets of {size} directions and {k} are tested; pass more, or k=")
    return size


def value_of(statistic: Callable[[Tensor], float], name: str, values: Tensor, place: str) -> float:
    """Evaluate a statistic and check that it gave one finite number.

    Args:
        statistic: to call.
        name: of the statistic, for errors.
        values: what it takes.
        place: what the values belong to, for errors: "direction 2", "draw 17 of the null 'span'".

    Raises:
        ValueError: it did not, or it changed ``values``; the message names statistic and place.
    """
    version = _version_of(values)
    found: Any = statistic(values)
    if _version_of(values) != version:
        raise ValueError(_changes(name))
    if isinstance(found, Tensor | np.ndarray) and math.prod(found.shape) != 1:
        raise ValueError(
            f"compare: statistic {name!r} of {place} is an array of shape {tuple(found.shape)}, not one number; "
            "reduce it, or pass one statistic for each entry"
        )
    try:
        number = float(found)
    except (TypeError, ValueError):
        raise ValueError(
            f"compare: statistic {name!r} of {place} is {type(found).__name__} {found!r}, not one number"
        ) from None
    if not math.isfinite(number):
        raise ValueError(
            f"compare: statistic {name!r} of {place} is {number}; is the response constant there? Drop that direction, "
            "or have the statistic give a number"
        )
    return number


def _version_of(values: Tensor) -> int | None:
    """How often a tensor was changed in place; unknown under ``torch.inference_mode``."""
    return None if values.is_inference() else values._version


def relative_signs(statistic: Statistic) -> bool:
    """Whether a statistic of a set may depend on the signs of its members beside each other."""
    return bool(getattr(statistic, "relative_signs", False))


def turned_round(statistic: Statistic, values: Tensor) -> Iterator[Tensor]:
    """What a statistic takes with signs changed; of a set, each member's alone unless relative signs may matter."""
    if statistic.takes != "set" or relative_signs(statistic):
        yield -values
        return
    for i in range(len(values)):
        yield torch.cat([values[:i], -values[i : i + 1], values[i + 1 :]])


def check_even(statistic: Statistic, turned: Tensor, measured: float) -> None:
    """Refuse a statistic that depends on the sign of a direction.

    Args:
        statistic: to check.
        turned: what it takes, with a sign changed.
        measured: its value before.

    Raises:
        ValueError: it has another value there.
    """
    other = value_of(statistic, statistic.name, turned, "directions with a sign changed")
    if abs(other - measured) > _SAME * max(abs(other), abs(measured)):
        raise ValueError(
            f"compare: statistic {statistic.name!r} is {measured:.6g} for a direction v and {other:.6g} for -v, but "
            "the sign of an edge direction is arbitrary; make the statistic even, for example by squaring the response"
        )


def check_unchanged(statistic: Statistic, values: Tensor, before: Tensor) -> None:
    """Refuse a statistic that changes what it is given, also behind PyTorch's back, as through ``.numpy()``.

    Raises:
        ValueError: ``values`` are not those of before.
    """
    if not torch.allclose(values, before, rtol=0, atol=0, equal_nan=True):
        raise ValueError(_changes(statistic.name))


def _changes(name: str) -> str:
    return (
        f"compare: statistic {name!r} changes the tensor that it is given, which other statistics read, too; have it "
        "work on a copy"
    )
