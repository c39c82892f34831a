"""Sparse autoencoders in the file layout of SAELens, so that its tools open them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spectral_edge.store.errors import StoreError
from spectral_edge.store.files import make_folder, write_atomically
from spectral_edge.store.strict_json import encode_json
from spectral_edge.store.tensors import encode_arrays

__all__ = ["write_sae_lens"]

# SAELens converts the configuration of files that name no version, or one before 6.
_LAYOUT_VERSION = "6.0.0"


def write_sae_lens(folder: Path, weights: Mapping[str, np.ndarray], k: int, metadata: Mapping[str, Any]) -> None:
    """Write a TopK autoencoder as ``cfg.json`` and ``sae_weights.safetensors``, the layout of SAELens 6.

    ``sae_lens.SAE.load_from_disk(folder)`` opens it as a ``TopKSAE`` that takes raw activations and subtracts b_dec
    from them: z = TopK((x - b_dec) W_enc + b_enc), x_hat = z W_dec + b_dec. ``cfg.json`` is written last; without it
    the folder is not an autoencoder.

    Args:
        folder: created if missing; what it holds under these two names is replaced.
        weights: float32 ``W_enc`` (d_in, d_sae), ``b_enc`` (d_sae,), ``W_dec`` (d_sae, d_in) and ``b_dec`` (d_in,).
        k: active features an input.
        metadata: where it comes from, e.g. ``model_name`` and ``hook_name``; what JSON holds.

    Raises:
        StoreError: a weight is missing, of another shape or type, k does not fit, or a file could not be written.
    """
    d_sae, d_in = _checked_sizes(folder, weights, k)
    config = {
        "architecture": "topk",
        "d_in": d_in,
        "d_sae": d_sae,
        "k": k,
        "rescale_acts_by_decoder_norm": False,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {**metadata, "sae_lens_version": _LAYOUT_VERSION, "sae_lens_training_version": None},
    }
    make_folder(folder)
    tensors, settings = folder / "sae_weights.safetensors", folder / "cfg.json"
    write_atomically(tensors, encode_arrays(weights, tensors))
    write_atomically(settings, encode_json(config, settings, indent=2) + b"\n")


def _checked_sizes(folder: Path, weights: Mapping[str, np.ndarray], k: int) -> tuple[int, int]:
    """(d_sae, d_in), if everything fits them."""
    shape = weights["W_dec"].shape if "W_dec" in weights else ()
    if len(shape) != 2:
        raise StoreError(
            f"{folder}: W_dec must be (d_sae, d_in), not {shape or 'missing'}. Pass the whole autoencoder."
        )
    d_sae, d_in = shape
    wanted = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    if set(weights) != set(wanted):
        raise StoreError(f"{folder}: SAELens wants {sorted(wanted)}, not {sorted(weights)}. Pass exactly these.")
    for name, needed in wanted.items():
        if weights[name].shape != needed or weights[name].dtype != np.float32:
            found = f"{weights[name].dtype} {weights[name].shape}"
            raise StoreError(f"{folder}: {name} must be float32 {needed}, not {found}. Convert it first.")
    if not 1 <= k <= d_sae:
        raise StoreError(f"{folder}: k = {k} is outside 1..{d_sae}. Pass the k that the autoencoder was trained with.")
    return d_sae, d_in
