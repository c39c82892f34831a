"""The answers under other settings of the edge: excess over the stronger null by window, stride and centring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, settle, style
from spectral_edge.report.formatting import checkpoint_label, measurement
from spectral_edge.report.selection import task_rank
from spectral_edge.store import DerivativeError, SensitivityEffect

__all__ = ["draw_sensitivity"]

_MOST = 2.0
"""In margins: darker colours say no more."""
_COLOURS = LinearSegmentedColormap.from_list("excess", [SERIES[1].colour, "#ffffff", SERIES[0].colour])
_NORM = Normalize(-_MOST, _MOST)
_OWN = (100, 20, True)
_MARKS = {"yes": "yes", "no": "no", "undecided": "?"}
_CAPTION = (
    "Each cell is the mean excess over seeds of a claim’s primary number, divided by the claim’s margin, over the "
    "stronger of two nulls: random directions, and random directions at the same angle to the weights. Below it stands "
    "the answer of the protocol’s rule to “specific”; “?” is undecided. Blue: more than the null. Orange: less. "
    "Framed: the setting that decides. Grey: no run holds such updates."
)

WindowSetting = tuple[int, int, bool]


def draw_sensitivity(effects: Sequence[SensitivityEffect], errors: Sequence[DerivativeError]) -> Drawing:
    """Draw one panel a checkpoint, one below another: settings downwards, claims across."""
    claims = sorted({(e.claim, e.task) for e in effects}, key=lambda key: (int(key[0][1:]), *task_rank(key[1])))
    seeds = {(e.claim, e.task): max(o.n for o in effects if (o.claim, o.task) == (e.claim, e.task)) for e in effects}
    counts = [f"{claim}, {task}: {seeds[claim, task]} seeds" for claim, task in claims]
    worst = [
        f"ε = {error.relative_epsilon:g}, {error.task}, {error.statistic}, {checkpoint_label(error.checkpoint)}: the "
        f"difference quotient is off by {measurement(error.median)} (median) to {measurement(error.largest)} (largest "
        f"of {error.n} runs)"
        for error in errors
    ]
    return Drawing(
        "sensitivity",
        "The answers under other settings of the edge",
        _CAPTION,
        _figure(claims, effects) if effects else None,
        (*counts, *worst),
        () if effects else ("no run was measured under other settings",),
    )


def _figure(claims: Sequence[tuple[str, str]], effects: Sequence[SensitivityEffect]) -> Figure:
    settings = sorted({_setting(effect) for effect in effects}, key=lambda s: (not s[2], s[0], s[1]))
    checkpoints = list(dict.fromkeys(effect.checkpoint for effect in effects))
    with style():
        size = (2.6 + 0.7 * len(claims), 0.6 + (0.7 + 0.36 * len(settings)) * len(checkpoints))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(checkpoints), 1, squeeze=False)[:, 0]
        for axes, checkpoint in zip(grid, checkpoints, strict=True):
            cells = {(_setting(e), (e.claim, e.task)): e for e in effects if e.checkpoint == checkpoint}
            for row, setting in enumerate(settings):
                for column, claim in enumerate(claims):
                    _cell(axes, column, -row, cells.get((setting, claim)), framed=setting == _OWN)
            axes.set_title(plain(checkpoint_label(checkpoint)))
            axes.set(xlim=(-0.55, len(claims) - 0.45), ylim=(-len(settings) + 0.45, 0.55))
            axes.set_xticks(range(len(claims)), [plain(f"{claim}\n{task}") for claim, task in claims], fontsize=7.5)
            axes.set_yticks([-row for row in range(len(settings))], [_label(setting) for setting in settings])
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        figure.colorbar(ScalarMappable(_NORM, _COLOURS), ax=list(grid), label="mean excess / margin", aspect=40)
        return settle(figure)


def _setting(effect: SensitivityEffect) -> WindowSetting:
    return effect.stride, effect.window, effect.centered


def _label(setting: WindowSetting) -> str:
    stride, window, centered = setting
    return f"stride {stride}, window {window}, {'centred' if centered else 'uncentred'}"


def _cell(axes: Axes, x: float, y: float, effect: SensitivityEffect | None, *, framed: bool) -> None:
    frame: dict[str, Any] = {"edgecolor": INK, "lw": 1.6, "zorder": 3} if framed else {"edgecolor": "white", "lw": 0.8}
    excess = None if effect is None else effect.effect / effect.margin
    colour = "#e4e4e4" if excess is None else _COLOURS(_NORM(excess))
    axes.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, facecolor=colour, **frame))
    if effect is not None and excess is not None:
        ink = "white" if abs(excess) > 0.8 * _MOST else INK
        weak = GREY if effect.answer == "undecided" and abs(excess) < 0.4 * _MOST else ink
        shown = f"{excess:.1f}".replace("-0.0", "0.0").replace("-", "−")
        axes.text(x, y + 0.17, shown, ha="center", va="center", fontsize=7, color=ink, zorder=4)
        axes.text(x, y - 0.22, _MARKS[effect.answer], ha="center", va="center", fontsize=6.5, color=weak, zorder=4)
