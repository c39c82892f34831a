r"""The answers as a LaTeX table: plain ASCII that needs ``\usepackage{booktabs}`` and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spectral_edge.replication.claims.question import null_name
from spectral_edge.report.answers import effect_text
from spectral_edge.report.formatting import DASH
from spectral_edge.store import Answer

__all__ = ["answers_latex", "escape"]

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
\begin{tabular}{@{}lp{0.3\textwidth}cccp{0.2\textwidth}p{0.12\textwidth}r@{}}
\toprule
Claim & Statement & Reproduces & Exists & Specific & Excess [90\,\% interval] & Over & Seeds \\
\midrule
"""
_FOOT = r"""\bottomrule
\end{tabular}
}
"""


def answers_latex(answers: Sequence[Answer]) -> str:
    """Return a line a claim: statement, three answers, excess over the strongest null with its interval, seeds."""
    lines = [_line(answer) for answer in answers]
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


def _line(answer: Answer) -> list[str]:
    null = DASH if answer.strongest_null is None else null_name(answer.strongest_null)
    return [
        escape(answer.claim),
        _paragraph(escape(answer.statement)),
        *(escape(value or DASH) for value in (answer.reproduces, answer.exists, answer.specific)),
        _paragraph(escape(effect_text(answer))),
        _paragraph(escape(null)),
        str(answer.n) if answer.n else escape(DASH),
    ]


def _paragraph(text: str) -> str:
    return rf"{{\raggedright {text}\par}}"
