from spectral_edge.arithmetic import use_portable_arithmetic

use_portable_arithmetic()  # before NumPy and PyTorch are loaded: bits are those of the processes that tests start

import pytest
import torch

from spectral_edge.subjects import run_folder, train_run
from support.tiny_runs import TINY_ANALYSIS, tiny

# One thread per test process: tests run two at a time on two cores.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    paths = {}
    for operation in ("add", "sub", "mul", "x2_y2"):
        paths[operation] = run_folder(root, tiny(operation))
        train_run(paths[operation], tiny(operation))
    return paths


@pytest.fixture
def tiny_config():
    return tiny


@pytest.fixture
def tiny_analysis():
    return TINY_ANALYSIS
