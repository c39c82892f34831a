"""``spectral-edge serve``."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output

__all__ = ["Serve"]


@dataclass(frozen=True)
class Serve:
    """Look at runs in a browser, finished ones and those in progress; reads run directories, never writes.

    Prints the address to open, with a token that is drawn anew each time; needs the extra `serve`. Ctrl-C ends it.

    Example:  spectral-edge serve runs
    """

    path: tyro.conf.Positional[Path]
    """A directory of runs, or the result of `train`, `reproduce` or `sweep`."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other lets other machines try the token, which they and all between can read; with
    0.0.0.0, say with --name what they call this machine."""
    port: int = 0
    """Port to listen on; 0 for any that is free."""
    name: str | None = None
    """A further name or address by which browsers may ask for this server, as behind a tunnel."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Serve until interrupted."""
        try:
            from spectral_edge.serve import serve
        except ModuleNotFoundError as missing:
            if missing.name not in ("fastapi", "uvicorn", "starlette"):
                raise
            raise ImportError(f"serve needs {missing.name}: pip install 'spectral-edge[serve]'") from missing

        def say(address: str) -> None:
            self.output.result({"address": address}, f"{address}\nOpen it in a browser; Ctrl-C ends the server.")

        if not 0 <= self.port < 65536:
            raise ValueError(f"--port {self.port}: ports are 0 (any that is free) to 65535")
        with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
            serve(self.path, self.host, self.port, say, self.name)
