"""``spectral-edge discover`` and ``spectral-edge discover-evidence``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.report import discoveries_markdown, update_findings, write_discovery_report
from spectral_edge.store import DiscoverySource
from spectral_edge.studies import AnalysisConfig
from spectral_edge.studies.discovery import analysis_step, discover_at, gather_evidence, seven_points
from spectral_edge.subjects import run_folder
from spectral_edge.subjects.profiles import discovery_runs
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Discover", "DiscoverEvidence"]

# One model a task is drawn: its tokens renamed where it has numbers.
_DRAWN_SEED = 42
_DRAWN_RENAMING = ".renamed1"


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
        page = write_discovery_report([], [], [picture], self.out or self.run_path / "discovery")
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


@dataclass(frozen=True)
class DiscoverEvidence:
    """Train every model that basis discovery is tested on, discover from each, and write the seven points.

    Killed at any moment, the same command continues.

    Example:  spectral-edge discover-evidence --out runs/discovery
    """

    out: Path = Path("runs/discovery")
    """Where runs, discoveries.json, discovery.html, figures and tables go."""
    jobs: int | None = None
    """Runs at a time, one process with one thread each; by default one a core."""
    findings: Path | None = None
    """A Markdown file whose generated section on discovery is replaced, or added on top."""
    config: tyro.conf.OmitArgPrefixes[AnalysisConfig] = field(default_factory=AnalysisConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, discover, summarise, draw."""
        config = self.config
        found = gather_evidence(self.out, discovery_runs(), config, self.jobs, self.output.say)
        points = seven_points(found.rows)
        pictures = []
        for drawn in discovery_runs((_DRAWN_SEED,)):
            name = drawn.training.operation
            if name.endswith(_DRAWN_RENAMING) or name in ("symmetric", "dihedral", "velocity", "random_table", "x2_y2"):
                self.output.say(f"drawing {drawn.run_id}")
                run = TrainedRun.open(run_folder(self.out, drawn))
                pictures.append(discover_at(run, analysis_step(run, config), "edge", config)[1])
        page = write_discovery_report(points, found.rows, pictures, self.out)
        if self.findings is not None:
            commit = found.environment.get("git_commit")
            day = date.fromtimestamp((self.out / "discoveries.json").stat().st_mtime).isoformat()
            update_findings(self.findings, "discovery", discoveries_markdown(points, commit, day))
        values = {"report": str(page), "points": [p.__dict__ for p in points]}
        self.output.result(values, str(page))
