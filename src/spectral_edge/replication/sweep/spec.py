"""What a sweep is to compute: a few lines, refused with all that is wrong with them before anything is written."""

from __future__ import annotations

import difflib
import itertools
import json
import tomllib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from spectral_edge.grokking import Training, TrainingConfig
from spectral_edge.replication.catalogue import claims_in_order
from spectral_edge.replication.claims import STATEMENTS
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.subjects.training_run import RunConfig

__all__ = ["SpecError", "SweepSpec", "read_spec"]

_RUN_FIELDS = tuple(name for name in RunConfig.model_fields if name != "training")
_FIELDS = (*TrainingConfig.model_fields, *_RUN_FIELDS)
_MOST_LISTED = 20


class SpecError(ValueError):
    """A sweep that cannot be run as it is written; lists everything that is wrong with it, each with its place."""


class SweepSpec(BaseModel):
    """What to compute. Fields are those of ``spectral-edge train``: of the training protocol and of the recording.

    >>> spec = SweepSpec(base={"p": 13}, grid={"operation": ["add", "sub"], "seed": [1, 2, 3]}, runs=[{"seed": 4}])
    >>> len(spec.configurations)
    7
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: dict[str, JsonValue] = {}
    """Fields that all runs share."""
    grid: dict[str, list[JsonValue]] = {}
    """Fields with a list of values each; every combination is a run."""
    runs: list[dict[str, JsonValue]] = []
    """Further single runs: ``base`` with these fields."""
    claims: tuple[str, ...] = ()
    """Analyse each finished run for these claims; not at all if empty."""
    analysis: AnalysisConfig = AnalysisConfig()
    """How it is analysed."""

    @cached_property
    def configurations(self) -> list[RunConfig]:
        """The runs, the grid first.

        Raises:
            SpecError: a field is unknown, set twice, or impossible; two runs are the same; a run contradicts itself;
                or there are none.
        """
        problems: list[str] = [*self._fields_problems(), *self._claims_problems()]
        runs: dict[str, tuple[str, RunConfig]] = {}
        checked: set[str] = set()
        for place, own, fields in self._places():
            try:
                run = _run_config(fields)
            except ValidationError as cause:
                for error in cause.errors():
                    name = str(error["loc"][-1])
                    source = (
                        f"{place}.{name}" if name in own else f"grid.{name}" if name in self.grid else f"base.{name}"
                    )
                    problems.append(f"{source}: {error['msg']} (found {error['input']!r})")
                continue
            problems += [f"{place}: {problem}" for problem in (*_impossible(run, checked), *self._not_analysed(run))]
            if run.run_id in runs:
                problems.append(f"{place}: the same run as {runs[run.run_id][0]}; leave one of them out")
            runs.setdefault(run.run_id, (place, run))
        if not runs and not problems:
            problems.append("there are no runs: add a [grid] with lists of values, or [[runs]]")
        if problems:
            raise SpecError(_listed(list(dict.fromkeys(problems))))
        return [run for _, run in runs.values()]

    def _fields_problems(self) -> Iterator[str]:
        parts: list[tuple[str, Iterable[str]]] = [("base", self.base), ("grid", self.grid), *_numbered(self.runs)]
        for place, names in parts:
            for name in names:
                if name not in _FIELDS:
                    near = difflib.get_close_matches(name, _FIELDS, 1)
                    hint = f"did you mean {near[0]}?" if near else f"possible are {', '.join(_FIELDS)}"
                    yield f"{place}.{name}: there is no such field; {hint}"
        for name in self.grid:
            if name in self.base:
                yield f"base.{name} and grid.{name} contradict each other; keep one of them"
            if not self.grid[name]:
                yield f"grid.{name}: an empty list gives no runs; give it a value, or leave it out"

    def _claims_problems(self) -> Iterator[str]:
        known = list(STATEMENTS)
        for claim in self.claims:
            if claim not in known:
                yield f"claims: {claim} is unknown; possible are {', '.join(known)}"

    def _not_analysed(self, run: RunConfig) -> Iterator[str]:
        """Why a run could not be analysed once it is trained."""
        every, stride, length = (
            run.training.eval_every,
            self.analysis.stride,
            self.analysis.window * self.analysis.stride,
        )
        if self.claims and stride % every and not run.keep_updates:
            yield (
                f"analysis.stride {stride} is no multiple of eval_every {every}, the distance of snapshots; change one "
                "of them"
            )
        if self.claims and length > run.training.max_steps:
            yield f"analysis.window times analysis.stride is {length}, above max_steps {run.training.max_steps}"

    def _places(self) -> Iterator[tuple[str, dict[str, JsonValue], dict[str, JsonValue]]]:
        """Where each run is written, the fields that it alone has, and all its fields."""
        if self.grid:
            for values in itertools.product(*self.grid.values()):
                chosen = dict(zip(self.grid, values, strict=True))
                named = ", ".join(f"{name} = {json.dumps(value)}" for name, value in chosen.items())
                yield f"grid ({named})", {}, self.base | chosen
        for place, fields in _numbered(self.runs):
            yield place, fields, self.base | fields

    @property
    def claims_in_order(self) -> tuple[str, ...]:
        """Each claim once, C1 first."""
        return claims_in_order(self.claims)


def read_spec(path: Path) -> SweepSpec:
    """Read a spec: TOML, or JSON if its name ends so.

    Raises:
        SpecError: it is missing, not TOML or JSON, or has parts that a spec has not.
    """
    try:
        text = path.read_text()
    except OSError as cause:
        raise SpecError(f"{path}: cannot be read ({cause.strerror}). Give a spec in TOML or JSON.") from cause
    try:
        content = _json(text) if path.suffix == ".json" else tomllib.loads(text)
        return SweepSpec.model_validate(content)
    except ValidationError as cause:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (found {e['input']!r})" for e in cause.errors()]
        raise SpecError(f"{path}: {_listed(problems)}\nA spec has base, grid, runs, claims and analysis.") from cause
    except ValueError as cause:  # of both formats
        raise SpecError(f"{path}: {cause}. Correct the file there.") from cause


def _json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: written twice in one object")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


def _run_config(fields: dict[str, JsonValue]) -> RunConfig:
    training = {name: value for name, value in fields.items() if name in TrainingConfig.model_fields}
    others = {name: value for name, value in fields.items() if name in _RUN_FIELDS}
    return RunConfig.model_validate({**others, "training": training})


def _impossible(run: RunConfig, checked: set[str]) -> Iterator[str]:
    """What is wrong with a run whose fields are each possible; runs that differ in their seed only are tried once."""
    training = run.training
    if training.min_steps > training.max_steps:
        yield f"min_steps {training.min_steps} is above max_steps {training.max_steps}; lower one or raise the other"
    shape = training.model_copy(update={"seed": 0}).model_dump_json()
    if shape not in checked:
        checked.add(shape)
        try:
            Training(training)
        except ValueError as problem:
            yield str(problem)


def _numbered(runs: Iterable[dict[str, JsonValue]]) -> list[tuple[str, dict[str, JsonValue]]]:
    return [(f"runs[{i}]", fields) for i, fields in enumerate(runs)]


def _listed(problems: list[str]) -> str:
    more = len(problems) - _MOST_LISTED
    shown = problems[:_MOST_LISTED] + ([f"… and {more} more"] if more > 0 else [])
    return f"{len(problems)} problem{'s' * (len(problems) > 1)} in this sweep:" + "".join(f"\n  {p}" for p in shown)
