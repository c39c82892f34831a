"""Runs in a browser: a separate process that reads run directories and never writes. Needs the extra ``serve``."""

from spectral_edge.serve.app import PAGES, create_app
from spectral_edge.serve.server import serve

__all__ = ["PAGES", "create_app", "serve"]
