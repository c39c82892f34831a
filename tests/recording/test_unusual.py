"""What is unusual and right is recorded: large numbers, an optimizer of one's own, a process that forks."""

import os

import pytest
import torch
from torch import nn

import spectral_edge as se
from support.loops import mlp, plain


def test_large_numbers_are_not_taken_for_infinite_ones():
    """110 weights of 1e37 sum to more than float32 holds."""
    weight = nn.Parameter(torch.full((110,), 1e37))
    optimizer = torch.optim.SGD([weight], lr=1e36)
    model = nn.Module()
    model.weight = weight
    with se.watch(model, optimizer, parameters=".", window=2, verbose=False) as recorder:
        for _ in range(3):
            weight.grad = torch.ones(110)
            optimizer.step()
    assert recorder.stopped is None
    assert recorder.window.steps == [2, 3]


class WithoutRate(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {})

    @torch.no_grad()
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            parameter.sub_(0.01 * parameter.grad)


def test_an_optimizer_without_a_learning_rate_is_recorded(tmp_path):
    model = mlp()
    optimizer = WithoutRate(model.parameters())
    with se.watch(model, optimizer, parameters="weight", window=3, run_dir=tmp_path, verbose=False) as recorder:
        for _ in range(6):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
    assert recorder.stopped is None
    assert len(se.Recording(tmp_path).values) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_of_a_process_that_records_leaves_its_window_and_its_files_alone(tmp_path):
    loop = plain()
    settings = {"parameters": "weight", "window": 3, "storage": "disk", "verbose": False}
    with se.watch(loop.model, loop.optimizers, run_dir=tmp_path, **settings) as recorder:
        for _ in range(5):
            loop.step()
        before = recorder.window.updates.clone()
        if (child := os.fork()) == 0:
            try:
                torch.set_num_threads(1)  # those of the parent are not here
                loop.step()
                recorder.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert torch.equal(recorder.window.updates, before)
        loop.step()
        assert recorder.window.steps == [4, 5, 6]
        assert recorder.stopped is None
