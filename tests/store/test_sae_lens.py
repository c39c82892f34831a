"""The layout of SAELens: its documented keys, and, where the package is there, the package itself."""

import json

import numpy as np
import pytest
import safetensors.numpy
import torch

from spectral_edge.representation import SparseAutoencoder
from spectral_edge.store import StoreError, write_sae_lens


@pytest.fixture
def autoencoder():
    autoencoder = SparseAutoencoder(d_in=6, d_sae=20, k=4, seed=3).requires_grad_(False)
    autoencoder.b_dec.copy_(torch.arange(6.0))
    autoencoder.b_enc.copy_(torch.linspace(-0.1, 0.1, 20))
    return autoencoder


def weights_of(autoencoder):
    return {name: value.numpy() for name, value in autoencoder.state_dict().items()}


def test_the_documented_keys(tmp_path, autoencoder):
    folder = tmp_path / "new" / "sae"
    write_sae_lens(folder, weights_of(autoencoder), k=4, metadata={"model_name": "toy"})
    assert sorted(path.name for path in folder.iterdir()) == ["cfg.json", "sae_weights.safetensors"]
    config = json.loads((folder / "cfg.json").read_text())
    # Fields of TopKSAEConfig in sae-lens 6.54, with "architecture" and "metadata" as its to_dict writes them.
    assert set(config) == {
        "architecture",
        "d_in",
        "d_sae",
        "k",
        "rescale_acts_by_decoder_norm",
        "dtype",
        "device",
        "apply_b_dec_to_input",
        "normalize_activations",
        "reshape_activations",
        "metadata",
    }
    assert (config["architecture"], config["d_in"], config["d_sae"], config["k"]) == ("topk", 6, 20, 4)
    assert config["apply_b_dec_to_input"] is True
    assert config["normalize_activations"] == "none"
    assert config["metadata"]["model_name"] == "toy"
    assert int(config["metadata"]["sae_lens_version"].split(".")[0]) >= 6  # else SAELens converts the file
    stored = safetensors.numpy.load_file(folder / "sae_weights.safetensors")
    assert {name: (array.shape, str(array.dtype)) for name, array in stored.items()} == {
        "W_enc": ((6, 20), "float32"),
        "b_enc": ((20,), "float32"),
        "W_dec": ((20, 6), "float32"),
        "b_dec": ((6,), "float32"),
    }
    for name, array in weights_of(autoencoder).items():
        np.testing.assert_array_equal(stored[name], array)


@pytest.mark.parametrize(
    ("change", "k", "message"),
    [
        ({"W_dec": None}, 4, "missing"),
        ({"b_enc": None}, 4, "wants"),
        ({"threshold": np.zeros(20, np.float32)}, 4, "wants"),
        ({"b_enc": np.zeros(6, np.float32)}, 4, "b_enc must be"),
        ({"b_enc": np.zeros(20)}, 4, "float64"),
        ({}, 21, "k = 21"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(tmp_path, autoencoder, change, k, message):
    weights = {name: array for name, array in (weights_of(autoencoder) | change).items() if array is not None}
    with pytest.raises(StoreError, match=message):
        write_sae_lens(tmp_path / "sae", weights, k, {})
    assert not (tmp_path / "sae").exists()


def test_sae_lens_opens_it_and_computes_the_same(tmp_path, autoencoder):
    sae_lens = pytest.importorskip("sae_lens", reason="sae-lens is not installed: it is not a dependency of ours")
    write_sae_lens(tmp_path, weights_of(autoencoder), k=4, metadata={"model_name": "toy", "hook_name": "residual"})
    theirs = sae_lens.SAE.load_from_disk(tmp_path)
    x = 5 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    assert type(theirs).__name__ == "TopKSAE"
    assert theirs.cfg.metadata.model_name == "toy"
    torch.testing.assert_close(theirs.encode(x), autoencoder.encode(x))
    torch.testing.assert_close(theirs(x), autoencoder(x))
