"""Start the server and say where it is."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import torch
import uvicorn
from threadpoolctl import threadpool_limits

from spectral_edge.serve.app import create_app

__all__ = ["serve"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    say: Callable[[str], None] = print,
    name: str | None = None,
) -> None:
    """Serve the runs under ``root`` until interrupted.

    Args:
        root: directory of runs.
        host: address to listen on. Anything but the loopback lets other machines try the token, in plain text.
        port: 0 for any that is free.
        say: is given the address to open, once the socket listens.
        name: a further host name under which the server may be asked for.

    Raises:
        StoreError: ``root`` is no directory.
        OSError: the address cannot be listened on.
    """
    token = secrets.token_urlsafe(24)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        port = listening.getsockname()[1]
        hosts = {*_LOOPBACK, host, *([name] if name else [])}
        server: uvicorn.Server | None = None
        # Streams of events end with the server; else they are cut off, with a traceback each.
        app = create_app(root, token, hosts, f"spectral-edge-{port}", lambda: server is not None and server.should_exit)
        # Not the default of 5 s or more: an open page holds its stream of events for ever.
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{port}/?token={quote(token)}"
        # Beside a training, threads wait for each other: eigenproblems of 30 x 30 took 80 times as long, the Gram
        # matrix of a run 8 times. Responses are shared out among threads by direction, not within one.
        torch.set_num_threads(1)
        with threadpool_limits(1, user_api="blas"):
            say(address)
            server = uvicorn.Server(config)
            server.run(sockets=[listening])
