"""The LaTeX table under a strict reading: ASCII, balanced, known commands, whole lines."""

from __future__ import annotations

import re

import pytest

from spectral_edge.report.latex import answers_latex, escape
from support.synthetic import ANSWERS, make_answer

HOSTILE = r"\input{/etc/passwd} & x_1^2 ~ 50 % # $y$ <b> {open \\ \end{tabular} “ω₁ ≥ σ²” \x 日本"
# Commands of LaTeX itself and of booktabs that the table may use.
KNOWN = {
    "footnotesize", "setlength", "tabcolsep", "begin", "end", "toprule", "midrule", "bottomrule", "textwidth",
    "raggedright", "par", "cdot", "ensuremath", "textbackslash", "textasciicircum", "textasciitilde", "omega", "sigma",
    "le", "ge", "ldots",
}  # fmt: skip


def check(text: str) -> None:
    """Fail unless LaTeX with booktabs would take ``text``."""
    assert text.isascii()
    body = re.sub(r"(?<!\\)%.*", "", text)
    without_symbols = re.sub(r"\\[\\{}$&#%_,]", "", body)
    assert set(re.findall(r"\\([A-Za-z]+)", without_symbols)) <= KNOWN
    assert not re.search(r"\\[^A-Za-z]", without_symbols)
    depth = 0
    for character in without_symbols:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert without_symbols.count("$") % 2 == 0
    outside = re.sub(r"\$[^$]*\$|\\ensuremath\{(?:[^{}]|\{[^{}]*\})*\}", "", without_symbols)
    assert not re.search(r"[_^#~]", outside)


def lines_of_table(text: str) -> list[str]:
    inside = text.split("\\midrule\n")[1].split("\\bottomrule")[0]
    return inside.strip().splitlines()


def test_the_checker_finds_what_latex_would_stop_at():
    for broken in ("a_b", "x^2", "ω", "{", "}{", "$x", r"\unknown", "a # b", r"\!"):
        with pytest.raises(AssertionError):
            check(broken)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("x2_y2", r"x2\_y2"),
        ("5 % & more", r"5 \% \& more"),
        ("x²+y²", r"x\ensuremath{^{2}}+y\ensuremath{^{2}}"),
        ("g₂₃", r"g\ensuremath{_{23}}"),
        ("a − b · c", r"a \ensuremath{-} b \ensuremath{\cdot} c"),
        ("ω ≥ 3", r"\ensuremath{\omega} \ensuremath{\ge} 3"),
        ("“so” – it…", r"``so'' -- it\ldots{}"),
        ("a\nb\t c", "a b c"),
        ("日", "[U+65E5]"),
        ("a\x00b", "a[U+0000]b"),
    ],
)
def test_escape(text, latex):
    assert escape(text) == latex
    check(escape(text))


def test_a_line_a_claim_with_eight_cells():
    text = answers_latex(ANSWERS)
    check(text)
    lines = lines_of_table(text)
    assert len(lines) == len(ANSWERS)
    for line, answer in zip(lines, ANSWERS, strict=True):
        assert line.startswith(f"{answer.claim} & ")
        assert line.endswith(r" \\")
        assert len(re.findall(r"(?<!\\)&", line)) == 7
    assert " & no & yes & yes & " in lines[1]
    assert "0.040 [0.010, 0.070] F" in lines[1]
    assert lines[3].count("---") == 6


def test_hostile_text_is_set_as_text():
    text = answers_latex([make_answer(HOSTILE, HOSTILE, unit=HOSTILE, strongest_null=HOSTILE)])
    check(text)
    assert len(lines_of_table(text)) == 1
