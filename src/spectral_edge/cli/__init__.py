"""The command line: one file a subcommand, no science.

Exit status: 0 done, 1 the work could not be done (standard error says why, mostly in one line), 2 the command was not
understood, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import tyro
from pydantic import ValidationError

from spectral_edge.cli.analyze import Analyze
from spectral_edge.cli.discover import Discover, DiscoverEvidence
from spectral_edge.cli.early_warning import EarlyWarning
from spectral_edge.cli.report import Report
from spectral_edge.cli.reproduce import Reproduce
from spectral_edge.cli.sweep import Sweep, with_default_action
from spectral_edge.cli.train import Train
from spectral_edge.store import StoreError
from spectral_edge.studies import EngineError

__all__ = ["main"]

_DESCRIPTION = """Find the few directions a network trains along, read them as functions of the input, and test
whether they are special.

Start with:  spectral-edge reproduce --profile quick --out runs/quick"""

Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Analyze, tyro.conf.subcommand("analyze")]
    | Annotated[Discover, tyro.conf.subcommand("discover")]
    | Annotated[DiscoverEvidence, tyro.conf.subcommand("discover-evidence")]
    | Annotated[EarlyWarning, tyro.conf.subcommand("early-warning")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Reproduce, tyro.conf.subcommand("reproduce")]
    | Annotated[Sweep, tyro.conf.subcommand("sweep")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    command = tyro.cli(
        Command,
        args=with_default_action(sys.argv[1:] if arguments is None else arguments),
        prog="spectral-edge",
        description=_DESCRIPTION,
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
    )
    try:
        command.run()
    except ValidationError as problem:
        first = problem.errors()[0]
        print(f"spectral-edge: --{'-'.join(map(str, first['loc']))}: {first['msg']}", file=sys.stderr)
        return 1
    except (StoreError, EngineError, ImportError, OSError, ValueError, FloatingPointError) as problem:
        print(f"spectral-edge: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("spectral-edge: interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0
