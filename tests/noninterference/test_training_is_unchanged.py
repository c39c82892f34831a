import numpy as np
import torch

import spectral_edge as se

CONFIG = se.TrainingConfig(p=11, d_model=16, n_heads=2, d_mlp=16, batch_size=32)


def test_two_hundred_steps_are_bitwise_equal_with_and_without_recording():
    watched, alone = se.Training(CONFIG), se.Training(CONFIG)
    torch.manual_seed(1)
    generator_before = torch.get_rng_state()
    with se.watch(watched.model, watched.optimizer, window=5) as recorder:
        for _ in range(200):
            watched.step()
            alone.step()
            if recorder.window.full:
                recorder.edge()
    assert torch.equal(torch.get_rng_state(), generator_before)
    ours, theirs = watched.state_dict(), alone.state_dict()
    assert ours[1] == theirs[1]
    assert all(torch.equal(value, theirs[0][name]) for name, value in ours[0].items())
    assert np.isfinite(recorder.edge().singular_values).all()
