"""A small run, and the configuration that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from spectral_edge.store import RunDirectory


class Optimizer(BaseModel):
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)


class Config(BaseModel):
    model_config = ConfigDict(frozen=True)

    task: str = "add"
    seed: int = 42
    optimizer: Optimizer = Optimizer()


@pytest.fixture
def config() -> Config:
    return Config()


@pytest.fixture
def run(tmp_path: Path, config: Config) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", config, {"python": "3.11"})


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"W": torch.randn(4, 3, generator=generator), "b": torch.arange(5)}
