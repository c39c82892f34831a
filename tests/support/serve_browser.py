"""A server process and Debian's Chromium, as a person would use them."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe

CHROMIUM = shutil.which("chromium")
ADD = "run=runs/add&window=5&stride=5"
PLOT = "document.querySelector('.plot').data"


@contextmanager
def running_server(root):
    """The address that ``spectral-edge serve`` prints; the process ends with the block."""
    command = [sys.executable, "-m", "spectral_edge.cli", "serve", str(root)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(timeout=20)


class Visitor:
    """One page, with all that went wrong on it, and every address it asked for."""

    def __init__(self, context, address):
        self.base = address.split("/?")[0]
        self.page = context.new_page()
        self.problems = []
        self.asked = []
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.problems.append(str(e)))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.goto(address)

    def goto(self, path):
        self.page.goto(self.base + path)
        return self.page

    def assert_nothing_wrong(self):
        """No word on the console, and no request to anything but the server."""
        assert self.problems == []
        hosts = {urlsplit(url).netloc for url in self.asked if not url.startswith(("data:", "blob:"))}
        assert hosts == {urlsplit(self.base).netloc}

    def assert_accessible(self):
        """No violation that axe calls serious or critical, and nothing wider than the window."""
        found = Axe().run(self.page).response["violations"]
        assert [
            (v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")
        ] == []
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(wide) <= 0


def wait_for(page, condition, seconds=90):
    """Until an expression is true in the page; a page may not evaluate strings itself, so it is asked from here."""
    for _ in range(seconds * 10):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"after {seconds} s still not true: {condition}\n{page.inner_text('main')[:2000]}")


def settle(page):
    """Until what was asked for is drawn."""
    if page.url.split("?")[0].endswith(("/run", "/modes", "/film")):
        wait_for(page, "document.querySelector('.plot')?.data")
    wait_for(page, "!/Reading…|Computing…|Computing \\d+|Loading…|frames computed/.test(document.body.innerText)")
