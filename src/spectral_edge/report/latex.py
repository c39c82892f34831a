r"""The claims as a LaTeX table: plain ASCII that needs ``\usepackage{booktabs}`` and nothing else."""

from __future__ import annotations

import re

from spectral_edge.report.formatting import DASH
from spectral_edge.report.lines import Line, lines_of
from spectral_edge.report.sections import leading_row
from spectral_edge.store.results import Claims, Verdict

__all__ = ["claims_latex", "escape"]

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    # \textquotedbl would need the T1 encoding.
    '"': "''",
}
_MATH = {
    "ω": r"\omega", "σ": r"\sigma", "λ": r"\lambda", "θ": r"\theta", "δ": r"\delta", "Δ": r"\Delta", "ε": r"\epsilon",
    "μ": r"\mu", "α": r"\alpha", "β": r"\beta", "χ": r"\chi", "∇": r"\nabla", "ℓ": r"\ell", "Σ": r"\Sigma",
    "−": "-", "·": r"\cdot", "×": r"\times", "±": r"\pm", "≥": r"\ge", "≤": r"\le", "≈": r"\approx", "≠": r"\ne",
    "∞": r"\infty", "≫": r"\gg", "≪": r"\ll", "→": r"\to", "∈": r"\in", "‖": r"\|", "⟨": r"\langle", "⟩": r"\rangle",
    "√": r"\surd", "°": r"^\circ", "∑": r"\sum", "∂": r"\partial",
}  # fmt: skip
_TEXT = {
    "–": "--", "—": "---", "…": r"\ldots{}", "“": "``", "”": "''", "‘": "`", "’": "'", "\u00a0": "~", "\u202f": r"\,",
    "ä": r"\"{a}", "ö": r"\"{o}", "ü": r"\"{u}", "é": r"\'{e}", "è": r"\`{e}",
}  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ᵀ", "0123456789-+T")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉₋₊", "0123456789-+")
_TOKEN = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ᵀ]+)|([₀₁₂₃₄₅₆₇₈₉₋₊]+)|(.)", re.DOTALL)

_HEAD = r"""% Needs \usepackage{booktabs}.
{\footnotesize
\setlength{\tabcolsep}{3pt}
\begin{tabular}{@{}lp{0.2\textwidth}p{0.17\textwidth}rp{0.14\textwidth}rrcc@{}}
\toprule
Claim & Statement & Shown number & Published & Ours (95\,\% interval, runs) & Null &
  $p$ (adj.) & Reproduces & Survives \\
\midrule
"""
_FOOT = r"""\bottomrule
\end{tabular}
}
"""


def claims_latex(claims: Claims) -> str:
    """Return a line a claim: statement, its leading number beside the published one and the null, verdicts.

    The null is its mean, the 95 % quantile in brackets; p is adjusted where an adjusted one is stored.
    """
    lines = [_line(verdict, claims) for verdict in claims.verdicts]
    return _HEAD + "".join(f"{' & '.join(cells)} \\\\\n" for cells in lines) + _FOOT


def escape(text: str) -> str:
    r"""Return ``text`` as ASCII that LaTeX sets as it is; a character without a command is named by its number.

    Example:
        >>> escape("x²+y²: 5 % at ω₁")
        'x\\ensuremath{^{2}}+y\\ensuremath{^{2}}: 5 \\% at \\ensuremath{\\omega}\\ensuremath{_{1}}'
    """
    return _TOKEN.sub(_escaped, " ".join(text.split()))


def _escaped(found: re.Match[str]) -> str:
    raised, lowered, one = found.groups()
    if raised:
        return rf"\ensuremath{{^{{{raised.translate(_RAISED)}}}}}"
    if lowered:
        return rf"\ensuremath{{_{{{lowered.translate(_LOWERED)}}}}}"
    if one in _MATH:
        return rf"\ensuremath{{{_MATH[one]}}}"
    return (
        _SPECIAL.get(one) or _TEXT.get(one) or (one if one.isascii() and one.isprintable() else f"[U+{ord(one):04X}]")
    )


def _line(verdict: Verdict, claims: Claims) -> list[str]:
    first = leading_row(lines_of([row for row in claims.rows if row.claim == verdict.claim]))
    answer = {True: "yes", False: "no", None: "---"}
    numbers = _numbers(first.line, first.quantity) if first else [escape(DASH)] * 5
    return [
        escape(verdict.claim),
        _paragraph(escape(verdict.statement)),
        *numbers,
        answer[verdict.reproduces],
        answer[verdict.survives_null],
    ]


def _numbers(line: Line, quantity: str) -> list[str]:
    row, null = line.row, line.row.null
    bound = r"$\le$ " if line.is_upper_bound and line.published is not None else ""
    ours = _number(row.measured)
    if row.interval is not None:
        ours += f" ({_number(row.interval.low)} to {_number(row.interval.high)}, {row.interval.n})"
    pvalue = None if null is None else (null.pvalue if null.pvalue_adjusted is None else null.pvalue_adjusted)
    return [
        _paragraph(escape(f"{row.task}: {quantity}")),
        bound + _number(line.published),
        _paragraph(ours),
        "---" if null is None else f"{_number(null.mean)} [{_number(null.quantile95)}]",
        _number(pvalue, 2),
    ]


def _number(value: float | None, digits: int = 3) -> str:
    r"""A number in math mode: ``$-0.12$``, ``$3.1\cdot 10^{-5}$``."""
    if value is None:
        return "---"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"${mantissa}\\cdot 10^{{{int(exponent)}}}$" if exponent else f"${mantissa}$"


def _paragraph(text: str) -> str:
    return rf"{{\raggedright {text}\par}}"
