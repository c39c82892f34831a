"""The command line: one file a subcommand, no science.

Exit status: 0 done, 1 the work could not be done (standard error says why, mostly in one line), 2 the command was not
understood, 130 interrupted.
"""

from __future__ import annotations

import difflib
import io
import sys
from importlib import import_module
from typing import Any

from spectral_edge.arithmetic import use_portable_arithmetic

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "train": ("train", "Train", "Train one model, or several seeds of it, and record updates"),
    "analyze": ("analyze", "Analyze", "Find the edge of a trained run and test its functional modes"),
    "compare": ("compare", "Compare", "Hold a run's edge directions against matched random ones"),
    "decide": ("decide", "Decide", "Train and measure the runs that decide the paper's claims"),
    "discover": ("discover", "Discover", "Read the basis of a trained run"),
    "doctor": ("doctor", "Doctor", "Say what this machine has, and try each part of the library"),
    "experiment": ("experiment", "Experiment", "Ask what the paper does not, such as what the edge causes"),
    "record": ("record", "Record", "Make a recording of checkpoints that a training has left"),
    "report": ("report", "Report", "Write report.html, figures and tables"),
    "reproduce": ("reproduce", "Reproduce", "Train the paper's models, test every claim against its null"),
    "serve": ("serve", "Serve", "Look at runs in a browser, live and finished"),
    "sweep": ("sweep", "Sweep", "Run many models, look how they stand, and tabulate them"),
}
"""Of each subcommand its file, its class, and how its help begins."""

_OVERVIEW = """usage: spectral-edge COMMAND [OPTIONS]

Find the few directions a network trains along, read them as functions of the input, and test
whether they are special.

{commands}

Start with:  spectral-edge reproduce --profile quick --out runs/quick
`spectral-edge COMMAND --help` has the options of each."""


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand and return its exit status.

    Raises:
        SystemExit: help was asked for, with status 0, or the command was not understood, with status 2.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as on stderr: an encoding without σ must not end a training
    if not arguments or arguments[0] in ("-h", "--help"):
        # Nothing is loaded for this: a subcommand's options take seconds, as PyTorch comes with them.
        print(_overview(), file=sys.stdout if arguments else sys.stderr)
        raise SystemExit(0 if arguments else 2)
    name, *rest = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(COMMANDS)}"
        print(f"spectral-edge: no command {name!r}{meant}", file=sys.stderr)
        raise SystemExit(2)
    return _run(name, rest)


def _overview() -> str:
    lines = (f"  {name:<18} {summary}" for name, (_, _, summary) in COMMANDS.items())
    return _OVERVIEW.format(commands="\n".join(lines))


def _run(name: str, arguments: list[str]) -> int:
    use_portable_arithmetic()  # before NumPy and PyTorch are loaded
    import tyro
    from pydantic import ValidationError

    from spectral_edge.engines import EngineError
    from spectral_edge.store import StoreError

    module, command_class, _ = COMMANDS[name]
    loaded = import_module(f"spectral_edge.cli.{module}")
    command: Any = tyro.cli(
        getattr(loaded, command_class),
        args=loaded.with_default_action(arguments) if name == "sweep" else arguments,
        prog=f"spectral-edge {name}",
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
        print("spectral-edge: interrupted; the same command goes on from what it has stored", file=sys.stderr)
        return 130
    return 0
