"""A directory with the kinds of runs that a server meets, trained once for all tests of this folder."""

import shutil
from pathlib import Path

import pytest
import torch

import spectral_edge as se
from spectral_edge.subjects import train_run
from support.serve_requests import HOSTILE, opened
from support.tiny_runs import tiny

RESULTS = Path(__file__).parents[2] / "results" / "quick"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Addition and multiplication mod 13, 60 steps with a snapshot every 5; nobody may change it."""
    root = tmp_path_factory.mktemp("serve") / "mine"
    train_run(root / "runs" / "add", tiny("add", seed=1))
    train_run(root / "runs" / "mul", tiny("mul", seed=2, weight_decay=0.0))
    _record(root / "runs" / "recorded")
    shutil.copytree(root / "runs" / "mul", root / "runs" / HOSTILE)
    (root / "runs" / "broken").mkdir()
    (root / "runs" / "broken" / "config.json").write_text("{")
    for name in ("claims.json", "numbers.json"):
        shutil.copy(RESULTS / name, root)
    shutil.copytree(RESULTS / "figures", root / "figures")
    return root


@pytest.fixture
def served(trained, tmp_path):
    """A copy that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "mine"))


@pytest.fixture
def client(trained):
    return opened(trained)


@pytest.fixture(scope="module")
def server(trained):
    from support.serve_browser import running_server  # needs a browser's packages, which most tests here do without

    with running_server(trained) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    from support.serve_browser import CHROMIUM

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium, server):
    from support.serve_browser import Visitor

    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield Visitor(context, server)
    context.close()


def _record(path):
    torch.manual_seed(0)
    model = type(HOSTILE, (torch.nn.Linear,), {})(8, 4)  # its name is in the configuration
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with se.watch(model, optimizer, parameters=".*", window=5, every=2, run_dir=path, verbose=False) as recorder:
        recorder.keep_modes(torch.eye(8), lambda model, x: model(x), labels=[HOSTILE, *"bcdefgh"])
        for _ in range(40):
            optimizer.zero_grad()
            loss = model(torch.randn(16, 8)).square().mean()
            recorder.note(loss=loss, **{HOSTILE: 2.0})
            loss.backward()
            optimizer.step()
        directions, parameters = recorder.edge().directions(2), recorder.parameters
    statistics = {HOSTILE: lambda h: float(h.norm()), "largest": lambda h: float(h.abs().max())}
    comparison = se.compare(
        model, directions, torch.eye(8), statistics, parameters=parameters, forward=lambda m, x: m(x), draws=20
    )
    comparison.save(path.parent / "norm.json")
