"""``spectral-edge experiment``: questions beside the paper's claims, one subcommand each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.experiments.causes import answer_rows, causes_answers, causes_points, gather_causes
from spectral_edge.experiments.discovery import analysis_step, discover_at, gather_evidence, seven_points
from spectral_edge.experiments.early_warning import (
    WarningConfig,
    WatchedRun,
    by_rank,
    early_warnings,
    row_label,
    rows_of,
    second_runs,
    sweep_runs,
    trace_statistics,
    warning_points,
    watch_runs,
)
from spectral_edge.experiments.language import (
    SEEDS,
    LanguageConfig,
    gather_language,
    language_answers,
    language_points,
)
from spectral_edge.experiments.point import Point
from spectral_edge.experiments.rounding import compare_copies, rounding_points, rounding_runs
from spectral_edge.replication import AnalysisConfig
from spectral_edge.report import (
    draw_causes,
    draw_copies,
    draw_language,
    draw_leads,
    draw_traces,
    experiment_markdown,
    update_findings,
    write_discovery_report,
    write_experiment_report,
)
from spectral_edge.store import RunMissingError
from spectral_edge.subjects import RunConfig, discovery_runs, run_folder
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Experiment"]

_DRAWN_SEED = 42
_DRAWN_RENAMING = ".renamed1"


@dataclass(frozen=True)
class Discovery:
    """Train every model that basis discovery is tested on, discover from each, and write the seven points.

    Killed at any moment, the same command continues.

    Example:  spectral-edge experiment discovery --out runs/discovery
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
        day = date.fromtimestamp((self.out / "discoveries.json").stat().st_mtime)
        _record(self.findings, "discovery", points, found.environment, day)
        values = {"report": str(page), "points": [p.__dict__ for p in points]}
        self.output.result(values, str(page))


@dataclass(frozen=True)
class EarlyWarning:
    """Ask whether the update spectrum warns that a run is about to generalise, beside what needs no spectrum.

    Trains nothing: reads the runs of `reproduce --profile paper` and `experiment discovery`. Writes early_warning.json,
    tables and figures.

    Example:  spectral-edge experiment early-warning --paper runs/paper --discovery runs/discovery
    """

    paper: Path = Path("runs/paper")
    """Result directory with the runs of the paper's sweep, which set the thresholds."""
    discovery: Path = Path("runs/discovery")
    """Result directory with the runs of the second set, which are only judged."""
    out: Path = Path("runs/early_warning")
    """Where early_warning.json, figures and tables go."""
    findings: Path | None = None
    """A Markdown file whose generated section on early warning is replaced, or added on top."""
    config: tyro.conf.OmitArgPrefixes[WarningConfig] = field(default_factory=WarningConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Read, judge, write, draw."""
        sweep = self._watched(self.paper, sweep_runs(), "spectral-edge reproduce --profile paper")
        second = self._watched(self.discovery, second_runs(), "spectral-edge experiment discovery")
        found = early_warnings(sweep, second, self.config)
        stored = self.out / "early_warning.json"
        found.write(stored, indent=None)
        points = warning_points(found)
        drawings = (draw_leads(found.alarms), draw_traces(trace_statistics(sweep, self.config)))
        write_experiment_report("early_warning", points, drawings, self.out)
        _record(self.findings, "early-warning", points, found.environment)
        ranked = by_rank(rows_of(found, "seed"))
        lines = [
            f"{row_label(row):48} hits {row.hits} of {row.generalised}, false alarms {row.false_alarms} of {row.others}"
            + ("" if row.median_lead is None else f", median lead {row.median_lead:g}")
            for row in ranked
        ]
        values = {"results": str(stored), "rows": [row.model_dump(mode="json") for row in ranked]}
        self.output.result(values, "\n".join([*lines, str(stored)]))

    def _watched(self, root: Path, runs: Sequence[RunConfig], command: str) -> list[WatchedRun]:
        try:
            return watch_runs([run_folder(root, run) for run in runs], self.config, self.output.say)
        except RunMissingError as missing:
            raise RunMissingError(f"{missing} They are those of `{command} --out {root}`.") from None


@dataclass(frozen=True)
class Rounding:
    """Compare variation between seeds with that from rounding: copies whose learning rates are neighbours in float32.

    Trains five copies of three seeds of four operations, and writes rounding.json, tables and a figure. Killed at any
    moment, the same command continues.

    Example:  spectral-edge experiment rounding --out runs/rounding
    """

    out: Path = Path("runs/rounding")
    """Where runs, rounding.json, figures and tables go."""
    jobs: int | None = None
    """Runs at a time, one process with one thread each; by default one a core."""
    findings: Path | None = None
    """A Markdown file whose generated section on rounding is replaced, or added on top."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, measure, tabulate, draw."""
        found = compare_copies(self.out, rounding_runs(), AnalysisConfig(), self.jobs, self.output.say)
        points = rounding_points(found)
        figures = write_experiment_report("rounding", points, [draw_copies(found)], self.out)
        _record(self.findings, "rounding", points, found.environment)
        values = {"results": str(self.out / "rounding.json"), "points": [p.__dict__ for p in points]}
        self.output.result(values, "\n".join(map(str, [self.out / "rounding.json", *figures])))


@dataclass(frozen=True)
class Language:
    """Ask what edges of a language model explain, and whether what is planted in a fine-tuning can be read from them.

    Trains a model of characters on Python's documentation and fine-tunes it five ways, for six seeds, about two hours
    on two cores (docs/language_evidence.md). Killed at any moment, the same command continues. Writes tables
    as parquet and CSV and a figure, and prints the protocol's answers.

    Example:  spectral-edge experiment language --out runs/language
    """

    out: Path = Path("runs/language")
    """Where models and tables go."""
    seeds: tuple[int, ...] = SEEDS
    """Which seeds; the published ones if left out."""
    jobs: int | None = None
    """Seeds at a time, one process with one thread each; by default one a core."""
    findings: Path | None = None
    """A Markdown file whose generated section on language models is replaced, or added on top."""
    config: tyro.conf.OmitArgPrefixes[LanguageConfig] = field(default_factory=LanguageConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, measure, summarise, answer."""
        tables = gather_language(self.out, self.seeds, self.config, self.jobs, self.output.say)
        points = language_points(tables)
        figures = write_experiment_report("language", points, [draw_language(tables)], self.out)
        _record(self.findings, "language", points)
        answers = [answer.__dict__ for answer in language_answers(tables)]
        values = {"answers": answers, "figures": list(map(str, figures))}
        self.output.result(values, "\n".join([*map(_answered, answers), *map(str, figures)]))


@dataclass(frozen=True)
class Causes:
    """Ask what the edge causes: remove it, step along it, train without it, beside controls of the same size.

    Trains 120 models and 224 training arms, six to seven hours on two cores (docs/causes.md). Killed at any moment, the
    same command continues. Writes tables as parquet and CSV and a figure, and prints the protocol's answers.

    Example:  spectral-edge experiment causes --out runs/causes
    """

    out: Path = Path("runs/causes")
    """Where runs and tables go."""
    jobs: int | None = None
    """Runs at a time, one process with one thread each; by default one a core."""
    findings: Path | None = None
    """A Markdown file whose generated section on causes is replaced, or added on top."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, measure, summarise, answer."""
        tables = gather_causes(self.out, self.jobs, self.output.say)
        points = causes_points(tables)
        figures = write_experiment_report("causes", points, [draw_causes(tables)], self.out)
        _record(self.findings, "causes", points)
        answers = answer_rows(causes_answers(tables))
        values = {"answers": answers, "figures": list(map(str, figures))}
        lines = [f"{answer['task']}: {_answered(answer)}" for answer in answers]
        self.output.result(values, "\n".join([*lines, *map(str, figures)]))


def _record(
    findings: Path | None,
    name: str,
    points: Sequence[Point],
    environment: Mapping[str, Any] | None = None,
    day: date | None = None,
) -> None:
    """Replace an experiment's section in the record; the environment is that of the measurement, if it is kept."""
    if findings is not None:
        commit = (environment or {}).get("git_commit")
        text = experiment_markdown(name, points, commit, (day or date.today()).isoformat())
        update_findings(findings, name, text)


def _answered(answer: dict[str, Any]) -> str:
    effect = "" if answer["effect"] is None else "{effect:.3f} [{low:.3f}, {high:.3f}] ".format(**answer)
    return "{question}: {answer}, {0}{because}, n = {n}".format(effect, **answer)


@dataclass(frozen=True)
class Experiment:
    """Ask a question beside the paper's claims; trains what it needs, writes JSON, tables and figures."""

    experiment: (
        Annotated[Discovery, tyro.conf.subcommand("discovery")]
        | Annotated[EarlyWarning, tyro.conf.subcommand("early-warning")]
        | Annotated[Rounding, tyro.conf.subcommand("rounding")]
        | Annotated[Language, tyro.conf.subcommand("language")]
        | Annotated[Causes, tyro.conf.subcommand("causes")]
    )

    def run(self) -> None:
        """Do it."""
        self.experiment.run()
