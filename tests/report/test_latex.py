"""The LaTeX table under a strict reading: ASCII, balanced, known commands, whole lines."""

from __future__ import annotations

import re

import pytest

from spectral_edge.report.latex import claims_latex, escape
from spectral_edge.store.results import Verdict
from support.many_seeds import make_verdicts
from support.synthetic import fake_row, make_claims

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


def test_a_line_a_claim_with_nine_cells(many):
    claims, _ = many
    text = claims_latex(claims)
    check(text)
    lines = lines_of_table(text)
    assert len(lines) == 14
    for line, verdict in zip(lines, claims.verdicts, strict=True):
        assert line.startswith(f"{verdict.claim} & ")
        assert line.endswith(r" \\")
        assert len(re.findall(r"(?<!\\)&", line)) == 8


def test_numbers_are_those_of_the_leading_quantity(many):
    claims, _ = many
    row = next(r for r in claims.rows if (r.claim, r.direction, r.checkpoint) == ("C6", "v1", "stop"))
    line = lines_of_table(claims_latex(claims))[5]
    low, high = row.interval.low, row.interval.high
    assert f"${row.measured:.3g}$ (${low:.3g}$ to ${high:.3g}$, 3)" in line
    assert " & $0.33$ & " in line
    assert (
        f" & ${row.null.mean:.3g}$ [${row.null.quantile95:.3g}$] & ${row.null.pvalue_adjusted:.2g}$ & yes & yes" in line
    )


def test_hostile_text_is_set_as_text():
    verdict = Verdict(claim=HOSTILE, statement=HOSTILE, reproduces=None, survives_null=None, because=HOSTILE)
    row = fake_row(
        HOSTILE, HOSTILE, claim=HOSTILE, direction=HOSTILE, statistic=HOSTILE, grouping=HOSTILE, published=-1e-9
    )
    text = claims_latex(make_claims([], [verdict]).model_copy(update={"rows": [row]}))
    check(text)
    assert len(lines_of_table(text)) == 1
    assert r"$-1\cdot 10^{-9}$" in text


def test_a_claim_without_numbers_has_dashes():
    text = claims_latex(make_claims([], make_verdicts()[:1]))
    check(text)
    assert lines_of_table(text)[0].count("---") == 5
