"""``spectral-edge discover``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.discovery import DiscoveredBasis
from spectral_edge.experiments.discovery import analysis_step, discover_at
from spectral_edge.experiments.point import Point
from spectral_edge.replication import AnalysisConfig
from spectral_edge.report import write_discovery_report
from spectral_edge.store import DiscoverySource
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Discover"]


@dataclass(frozen=True)
class Discover:
    """Read the symmetry of a run's task from its functional modes: characters, group law, known groupings ranked.

    Nothing is told but which tokens are equal. Writes one figure and a page into the run, or --out.

    Example:  spectral-edge discover runs/quick/runs/add-s42-0123456789
    """

    run_path: tyro.conf.Positional[Path]
    """A run directory (it holds config.json)."""
    source: DiscoverySource = "edge"
    """Which functions to read: responses to edge directions, to random ones, activations, …"""
    step: int | None = None
    """Optimizer step of a snapshot; by default where the stopping rule was met, or the last."""
    out: Path | None = None
    """Where the page goes; by default RUN/discovery."""
    config: tyro.conf.OmitArgPrefixes[AnalysisConfig] = field(default_factory=AnalysisConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Discover, draw, and print what was found."""
        run = TrainedRun.open(self.run_path)
        step = analysis_step(run, self.config) if self.step is None else self.step
        self.output.say(f"responses at step {step}")
        found, picture = discover_at(run, step, self.source, self.config)
        self.output.say(picture.source)  # with its window, which is shorter where the run is
        heading = f"Basis discovery: {run.config.run_id}"
        page = write_discovery_report([_ranked(found)], [], [picture], self.out or self.run_path / "discovery", heading)
        law = found.law
        values = {
            "answer": found.answer,
            "pvalue": found.pvalue,
            "group": None if law is None else law.group.name,
            "kind": None if law is None else law.kind,
            "law_share": None if law is None else law.share,
            "cyclic_order": None if found.cyclic_order is None else found.cyclic_order.tolist(),
            "characters": [
                {"share": float(s), "dispersion": float(d), "pvalue": float(p), "multiplicity": int(m)}
                for s, d, p, m in zip(
                    found.circles.share,
                    found.circles.dispersion,
                    found.circles.pvalue,
                    found.multiplicity,
                    strict=True,
                )
            ],
            "candidates": [c.__dict__ for c in found.candidates],
            "report": str(page),
        }
        lines = [f"answer: {picture.answer}"]
        lines += [
            f"character {i}: share {c['share']:.3f}, Var |z|² {c['dispersion']:.3f}, p {c['pvalue']:.3f}"
            for i, c in enumerate(values["characters"], start=1)  # type: ignore[arg-type]
        ]
        lines += [
            f"{c.grouping:24} share {c.share:.3f}, renamed {c.null_mean:.3f} (95 % {c.null_quantile95:.3f}), "
            f"p {c.pvalue_adjusted:.3f}"
            for c in found.candidates[:5]
        ]
        self.output.result(values, "\n".join([*lines, str(page)]))


def _ranked(found: DiscoveredBasis) -> Point:
    """Known groupings by the share they explain, beside renamed tokens."""
    note = (
        "Share: of the interactions, what a function of the grouping explains. Renamed: the same with tokens renamed "
        "at random. p: the chance that any of these groupings stands out as far."
    )
    columns = ("grouping", "share", "renamed, mean", "renamed, 95 % below", "p")
    rows = tuple(
        (c.grouping, f"{c.share:.3f}", f"{c.null_mean:.3f}", f"{c.null_quantile95:.3f}", f"{c.pvalue_adjusted:.3f}")
        for c in found.candidates
    )
    return Point("Known groupings, ranked", note, columns, rows)
