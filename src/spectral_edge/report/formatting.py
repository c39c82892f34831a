"""How values and names are spelled in the report: numbers, marks for answers, operations, groupings."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "DASH",
    "Mark",
    "bounds",
    "checkpoint_label",
    "duration",
    "enumeration",
    "grouped_by",
    "grouping_label",
    "inputs_label",
    "mark",
    "measurement",
    "model_label",
    "null_label",
    "number",
    "operation",
    "plural",
    "statistic_label",
    "subscript",
    "yes_no",
]

DASH = "—"

_OPERATIONS = {
    "add": "a + b",
    "sub": "a − b",
    "mul": "a · b",
    "x2_y2": "a² + b²",
    "x2_xy_y2": "a² + ab + b²",
    "x3_xy": "a³ + ab",
}

_GROUPINGS = {
    "sum": "a + b",
    "difference": "a − b",
    "discrete_log": "log a + log b",
    "discrete_log_difference": "log a − log b",
    "gaussian_radial": "log u + log v",
    "gaussian_angular": "log u − log v",
}

_STATISTICS = {
    "auc": "area under the ROC curve",
    "concentration beyond isotropic": "F beyond random directions",
    "concentration beyond weights": "F beyond the same angle to the weights",
    "cosine_theta": "|cosine| to the weights",
    "gradient_share": "gradient share",
    "jaccard": "overlap of features",
    "largest concentration of five bases": "largest F of five bases",
    "log_concentration_ratio": "log ratio of F",
    "log_g23_decline": "log decline of g₂₃",
    "sigma_ratio": "σ₁/σ₂ at the stop",
    "signed_rank_correlation": "agreement of three spectra",
    "stop_step": "step of the stop",
    "variance_share": "share of Var f",
    "variance_share:pc1": "share of Var PC1",
    "concentration": "concentration F",
    "cross_gain:held_out": "held-out gain of R² by cross-terms",
    "peakedness:script": "peakedness by the script",
    "r2": "R²",
    "share:difference": "share on the difference line",
    "share:other": "share off the lines",
    "share:sum": "share on the sum line",
}

_INPUTS = {
    "test": "held-out inputs",
    "all": "all inputs",
    "test_off_diagonal": "held-out inputs with a ≠ b",
    "all_diagonal_averaged": "all inputs, f(a, a) averaged",
}

_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Mark(NamedTuple):
    """An answer as a sign, a word and a style class, so that no reader depends on the colour."""

    sign: str
    word: str
    style: str


_MARKS = {
    "yes": Mark("✓", "yes", "yes"),
    "no": Mark("✗", "no", "no"),
    "undecided": Mark("?", "undecided", "undecided"),
}


def mark(value: str | None) -> Mark:
    """Return the sign and the word for an answer; ``None`` means that the question is not asked."""
    return Mark(DASH, "", "undecided") if value is None else _MARKS[value]


def number(value: float | None) -> str:
    """Return ``value`` to three significant digits, integers in full, ``None`` as a dash."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    if isinstance(value, int):
        return str(value).replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def measurement(value: float | None, digits: int = 3) -> str:
    """Return ``value`` to three significant digits, trailing zeros kept, so that a column lines up."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:#.{digits}g}".rstrip(".").replace("-", "−")


def yes_no(value: bool | None) -> str:
    """Return ``yes``, ``no`` or a dash."""
    return DASH if value is None else ("yes" if value else "no")


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: ``1 run``, ``4 runs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Return a wall-clock time in the largest unit that leaves a number above one."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def operation(task: str) -> str:
    """Return ``task`` with its formula where it is known: ``add (a + b)``."""
    if task == "all":
        return "all runs"
    return f"{task} ({_OPERATIONS[task]})" if task in _OPERATIONS else task


def grouping_label(grouping: str) -> str:
    """Return a grouping's name with its formula: ``sum (a + b)``, ``output (a · b)``."""
    kind, _, task = grouping.partition(":")
    formula = _OPERATIONS.get(task)
    if kind == "output" and formula:
        return f"output ({formula})"
    if kind == "output_discrete_log" and formula:
        return f"log of output ({formula})"
    return f"{grouping} ({_GROUPINGS[grouping]})" if grouping in _GROUPINGS else grouping


def grouped_by(grouping: str) -> str:
    """Return how a quantity was read: ``by sum (a + b)`` for a basis, the name itself for anything else."""
    if "|" in grouping:
        return f"by {enumeration(grouping.split('|'))} together"
    is_basis = grouping in _GROUPINGS or grouping.startswith(("output:", "output_discrete_log:"))
    if is_basis:
        return f"by {grouping_label(grouping)}"
    return _words(grouping.removeprefix("features:").replace("~", " with "))


def statistic_label(statistic: str) -> str:
    """Return the name of a statistic in words: ``concentration F``, ``head purity``."""
    kind, _, rest = statistic.partition(":")
    if statistic in _STATISTICS or not rest:
        return _STATISTICS.get(statistic, _words(statistic))
    return f"{statistic_label(kind)}, {_words(rest)}"


def _words(name: str) -> str:
    """The name with spaces for the underscores of words, but not for those of symbols such as ``W_Q``."""
    return re.sub(r"(?<=[a-z0-9])_(?=[a-z0-9])", " ", name).replace(":", ", ")


def inputs_label(inputs: str) -> str:
    """Return which part of the domain was used, in words."""
    return _INPUTS.get(inputs, inputs.replace("_", " "))


def checkpoint_label(checkpoint: str) -> str:
    """Return the name of a checkpoint as it stands in a sentence: ``at the stop``."""
    return {"early": "early", "memorisation": "at memorisation"}.get(checkpoint, f"at the {checkpoint}")


def model_label(model: str) -> str:
    """Return what was trained, as it stands behind a quantity: ``trained on add+mul``."""
    return f"trained on {model}"


def null_label(kind: str) -> str:
    """Return the name of a null in words: ``random directions``."""
    return kind.replace("_", " ")


def subscript(index: int) -> str:
    """Return an index as it stands below the line: ``₁₀``."""
    return str(index).translate(_LOWERED)


def bounds(low: float, high: float) -> str:
    """Return an interval: ``0.120 to 0.400``."""
    return f"{measurement(low)} to {measurement(high)}"


def enumeration(words: Sequence[str]) -> str:
    """Return the words as a list in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
