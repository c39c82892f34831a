"""A batch of token sequences, checked: what a model is called with, and which next tokens count."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.modes import Inputs, default_forward

__all__ = ["TextBatch", "next_token_logits", "token_log_probabilities"]

# What tokenizers and collators add for their own use; no model takes them, or takes them for a loss.
_NOT_FOR_THE_MODEL = ("labels", "special_tokens_mask", "offset_mapping", "overflow_to_sample_mapping", "length")
_IGNORED = -100


@dataclass(frozen=True, eq=False)
class TextBatch:
    """N sequences of T tokens.

    Attributes:
        ids: (N, T) token ids.
        counts: (N, T - 1) bool, whether the next token is one and is predicted from one.
        inputs: what the model is called with, a tensor of ids or a mapping.
    """

    ids: Tensor
    counts: Tensor
    inputs: Inputs = field(repr=False)

    @classmethod
    def of(cls, model: nn.Module, batch: Any) -> TextBatch:
        """Check what a user gave: (N, T) ids, or the mapping that a tokenizer or a collator gives.

        Labels of a mapping say which tokens are ignored (-100). Sequences that are padded on the left get position
        ids that begin at their first token, where the model takes these and the batch has none.

        Raises:
            ValueError: there are no ids, they are no (N, T) integers, a mask has another shape, labels are shifted or
                other tokens.
        """
        given = dict(batch) if isinstance(batch, Mapping) else {"input_ids": batch}
        if "input_ids" not in given:
            raise ValueError(f"batch: has no 'input_ids', only {', '.join(map(repr, given)) or 'nothing'}")
        tensors = {name: torch.as_tensor(np.asarray(v) if isinstance(v, list) else v) for name, v in given.items()}
        ids = _checked_ids(tensors["input_ids"])
        _check_known(ids, model)
        mask = _mask(tensors, ids)
        counts = mask[:, :-1] & mask[:, 1:] & _labelled(tensors, ids, mask)
        if not isinstance(batch, Mapping):
            return cls(ids, counts, ids)
        inputs = {name: values for name, values in tensors.items() if name not in _NOT_FOR_THE_MODEL}
        accepted = _accepted(model)
        if not mask[:, 0].all() and "position_ids" in accepted and "position_ids" not in inputs:
            inputs["position_ids"] = (mask.long().cumsum(-1) - 1).clamp(min=0)
        return cls(ids, counts, inputs)

    def __len__(self) -> int:
        """N."""
        return len(self.ids)


def _checked_ids(ids: Tensor) -> Tensor:
    if ids.ndim != 2 or ids.is_floating_point() or ids.shape[1] < 2 or not len(ids):
        raise ValueError(
            f"batch: token ids are {tuple(ids.shape)} of {str(ids.dtype).removeprefix('torch.')}; they must be (N, T) "
            "integers with T of at least 2, as tokenizer(texts, padding=True, return_tensors='pt') gives"
        )
    return ids


def _check_known(ids: Tensor, model: nn.Module) -> None:
    find: Any = getattr(model, "get_input_embeddings", None)
    known = getattr(find() if find else None, "num_embeddings", None)
    if known is not None and not 0 <= int(ids.min()) <= int(ids.max()) < known:
        raise ValueError(
            f"batch: token ids run from {int(ids.min())} to {int(ids.max())}, and {type(model).__name__} knows 0 to "
            f"{known - 1}; the tokenizer is another model's"
        )


def _mask(tensors: Mapping[str, Tensor], ids: Tensor) -> Tensor:
    mask = tensors.get("attention_mask")
    if mask is None:
        return torch.ones_like(ids, dtype=torch.bool)
    if mask.shape != ids.shape:
        raise ValueError(f"batch: attention_mask is {tuple(mask.shape)} and input_ids {tuple(ids.shape)}")
    return mask.bool()


def _labelled(tensors: Mapping[str, Tensor], ids: Tensor, mask: Tensor) -> Tensor:
    labels = tensors.get("labels")
    if labels is None:
        return torch.ones_like(mask[:, 1:])
    if labels.shape != ids.shape:
        raise ValueError(f"batch: labels are {tuple(labels.shape)} and input_ids {tuple(ids.shape)}")
    known = labels != _IGNORED
    if not torch.equal(labels[known], ids.to(labels)[known]):
        shifted = bool((labels[:, :-1] == ids[:, 1:].to(labels))[known[:, :-1]].all())
        raise ValueError(
            "batch: labels are "
            + ("input_ids shifted by one" if shifted else "other tokens than input_ids")
            + "; causal models shift by themselves: labels are input_ids, with -100 where a token is ignored"
        )
    return known[:, 1:]


def _accepted(model: nn.Module) -> set[str]:
    """Names of what a model's forward takes; adapters of PEFT hand on whatever the model inside them takes."""
    own = inspect.signature(model.forward).parameters
    inner: Any = getattr(model, "get_base_model", None)
    passes_on = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own.values())
    return set(own) | (_accepted(inner()) if inner is not None and passes_on else set())


def next_token_logits(model: nn.Module, batch: Inputs) -> Tensor:
    """The logits (n, T - 1, V) of a batch by which its second to last tokens are predicted.

    Raises:
        ValueError: the model gives something else.
    """
    ids = batch["input_ids"] if isinstance(batch, Mapping) else batch
    if isinstance(batch, Mapping) and "use_cache" in _accepted(model):  # a cache would only take memory
        found = getattr(model(**batch, use_cache=False), "logits", None)
    else:
        found = default_forward(model, batch)
    shape = tuple(found.shape) if isinstance(found, Tensor) and found.is_floating_point() else ()
    if not isinstance(found, Tensor) or len(shape) != 3 or shape[:2] != tuple(ids.shape):
        raise ValueError(
            f"{type(model).__name__} gives {shape or 'no logits'} for ids {tuple(ids.shape)}; token modes need logits "
            "(n, T, V), as causal language models give; another module needs a wrapper that does"
        )
    if int(ids.max()) >= shape[2]:
        raise ValueError(f"batch: token id {int(ids.max())} is outside the {shape[2]} tokens that the model predicts")
    return found[:, :-1]


def token_log_probabilities(model: nn.Module, batch: Inputs) -> Tensor:
    """log p of each next token, (n, T - 1), NaN where masked: a ``forward`` for ``compare`` and ``explained_change``.

    Args:
        model: as for :func:`~spectral_edge.language.token_modes`.
        batch: token ids (n, T), or a mapping with ``input_ids`` and maybe ``attention_mask`` and ``labels``.
    """
    text = TextBatch.of(model, batch)
    logits = next_token_logits(model, text.inputs)
    following = text.ids[:, 1:, None].to(logits.device)
    found = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1).gather(-1, following)[..., 0]
    return found.masked_fill(~text.counts.to(logits.device), torch.nan)
