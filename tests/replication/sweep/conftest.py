import pytest

from spectral_edge.engines import LocalEngine
from spectral_edge.subjects import train_run
from support.sweeping import LONG, tiny_spec
from support.tiny_runs import contents


@pytest.fixture(scope="session")
def long_run_alone(tmp_path_factory):
    """What the long run is when nothing disturbs it."""
    path = tmp_path_factory.mktemp("alone") / "run"
    train_run(path, tiny_spec(runs=[LONG]).configurations[0])
    return contents(path)


@pytest.fixture(scope="module")
def engine():
    with LocalEngine(1) as engine:
        yield engine
