import numpy as np
import torch

import spectral_edge as se
from spectral_edge.studies.modes.measurement import measure, mixture_names


def test_measures_equal_the_single_functions():
    torch.manual_seed(0)
    model = se.ModularTransformer(p=13, d_model=16, n_heads=2, d_mlp=16)
    parameters, task = se.attention_weights(model), se.ModularTask("add", 13)
    directions = se.random_directions(10, parameters.dim, seed=0)  # two groups: eight and two
    found = measure(model, directions[:8], task, parameters)
    modes = se.functional_modes(model, directions, task.pairs)
    np.testing.assert_allclose(found.energy, modes.energy[:8], rtol=1e-6)
    np.testing.assert_allclose(found.effective_rank, se.effective_rank(modes.response[:8]), rtol=1e-6)
    np.testing.assert_allclose(found.head_purity, se.head_purity(directions[:8], parameters), rtol=1e-6)
    # a mixture measured through its own direction, not through sums of responses
    members = {"v1+v2": [0, 1], "v1+v3": [0, 2], "v2+v3": [1, 2], "v1+v2+v3": [0, 1, 2]}
    mixed = torch.stack([directions[members[name]].sum(0) / len(members[name]) ** 0.5 for name in mixture_names()])
    expected = se.functional_modes(model, mixed, task.pairs).energy
    np.testing.assert_allclose(found.mixtures[0], expected, rtol=1e-4, atol=1e-5 * float(expected.max()))
    assert found.triples.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.mixtures.shape == (2, 4, len(task.pairs))
