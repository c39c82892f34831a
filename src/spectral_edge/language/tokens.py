"""What a direction does to the next-token predictions of a language model, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.language.batch import TextBatch, next_token_logits
from spectral_edge.language.page import write_token_page
from spectral_edge.language.tables import check_tokenizer, prompt_table, token_table, top_table
from spectral_edge.modes import DIRECTIONS_AT_ONCE, Inputs, Method, Responder, input_batches, responder_of
from spectral_edge.parameters import ParameterSubset, Selector, unwrap_model
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars

__all__ = ["TokenModes", "token_modes"]

# Tangents of logits that are held at once: a sequence of 128 tokens of GPT-2's vocabulary has 26 MB a direction.
_BYTES_AT_ONCE = 256 * 2**20


@dataclass(frozen=True, eq=False)
class TokenModes(Tabular):
    """The response of every next-token prediction to k directions, at ε = 0.

    Attributes:
        signed: (k, N, T - 1), d/dε log p(next token): how the direction changes the prediction of the token that
            stands there. NaN where masked.
        sensitivity: (k, N, T - 1), ½ Var_p(dz/dε) of the logits z: KL(p_0 ‖ p_ε) ≈ ε² times it, whichever token stands
            there. NaN where masked.
        log_probability: (N, T - 1), log p(next token) of the model as it is. NaN where masked.
        ids: (N, T) token ids.
        method: how derivatives were computed.
        epsilon: step of a difference quotient; ``None`` for the exact derivative.
    """

    signed: Tensor
    sensitivity: Tensor
    log_probability: Tensor
    ids: Tensor = field(repr=False)
    method: Method
    epsilon: float | None

    def __repr__(self) -> str:
        k, n, t = self.signed.shape
        return f"TokenModes(k={k}, sequences={n}, predictions={t}, method={self.method!r})"

    def top(self, direction: int = 1, n: int = 20, tokenizer: Any = None) -> polars.DataFrame:
        """The next tokens whose log-probability a direction moves most: n/2 up and n/2 down, largest first.

        Args:
            direction: from 1. Its sign is arbitrary: "up" and "down" exchange when it is turned round.
            n: rows, fewer if there are fewer tokens of a sign.
            tokenizer: with ``decode(ids)``; tokens are shown as their ids if left out.

        Returns:
            Columns sequence, position (of the next token, from 0), token, id, signed, sensitivity, log_probability,
            context (what stands before it). Line breaks are shown as ⏎.

        Raises:
            ValueError: there is no such direction, ``n`` is below 1, or the tokenizer knows fewer tokens than the batch
                has.
        """
        self._check(direction, tokenizer)
        if n < 1:
            raise ValueError(f"n = {n}: at least one row is needed")
        return top_table(self, direction, n, tokenizer)

    def prompts(self, direction: int = 1, tokenizer: Any = None) -> polars.DataFrame:
        """One row a sequence: mean of signed, root mean square, and mean sensitivity, most sensitive first.

        Columns sequence, tokens (that count), signed, rms, sensitivity, log_probability (means), text. Arguments and
        errors as :meth:`top`.
        """
        self._check(direction, tokenizer)
        return prompt_table(self, direction, tokenizer)

    def to_polars(self) -> polars.DataFrame:
        """One row a direction and token that counts: direction, sequence, position, id, signed, sensitivity,
        log_probability."""
        return token_table(self)

    def html(self, path: str | Path, tokenizer: Any = None) -> Path:
        """Write a page with every token coloured by what a direction does to it; it needs no network.

        Raises:
            ValueError: as :meth:`top`.
            StoreError: the page cannot be written.
        """
        self._check(1, tokenizer)
        return write_token_page(self, Path(path), tokenizer)

    def _check(self, direction: int, tokenizer: Any) -> None:
        if not 1 <= direction <= len(self.signed):
            raise ValueError(f"direction = {direction}: there are directions 1 to {len(self.signed)}")
        check_tokenizer(tokenizer, int(self.ids.max()))


def token_modes(
    model: nn.Module,
    directions: SpectralEdge | Tensor | np.ndarray,
    batch: Any,
    *,
    parameters: ParameterSubset | Selector | None = None,
    k: int | None = None,
    batch_size: int = 16,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
) -> TokenModes:
    """Differentiate every next-token prediction along directions: signed, d log p(y)/dε, and in size, ½ Var_p(dz/dε).

    With z the logits and p = softmax(z): d log p(y)/dε = dz_y/dε − E_p dz/dε, and KL(p_0 ‖ p_ε) = ε²/2 Var_p(dz/dε) +
    O(ε³). The model is evaluated in ``eval`` mode and left as it was.

    Args:
        model: a causal language model of Transformers, or any module that returns logits (n, T, V).
        directions: (k, D) in the layout of ``parameters``, not normalised; or an edge.
        batch: (N, T) token ids, or the mapping that a tokenizer or a collator gives. ``attention_mask`` and labels of
            -100 say which tokens do not count.
        parameters: what the directions live in; the attention weights if left out.
        k: number of edge directions; the edge's position k* if left out.
        batch_size: sequences at once, at most; fewer where logits are many.
        method, relative_epsilon: as for :func:`~spectral_edge.modes.functional_modes`.

    Raises:
        ValueError: the batch is no token ids, all of it is masked, labels are shifted, the model gives no logits, or
            directions do not fit the parameters; the message has the remedy.

    Warns:
        UserWarning: the model has no forward-mode derivative, or its parameters are sharded; central differences are
            used, and ``.method`` says so.

    Cost: about two forward passes a direction, eight directions at once. Memory: activations of as many sequences as
    have 256 MB of logits times directions, whatever N and k; results are 3 k N T floats.

    >>> class Bigram(nn.Module):  # logits are a row of a table
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.table = nn.Parameter(torch.zeros(3, 3))
    ...     def forward(self, ids):
    ...         return self.table[ids]
    >>> model, raised = Bigram(), torch.zeros(3, 3)
    >>> raised[0, 1] = 1.0  # after token 0, token 1
    >>> weights = ParameterSubset(dict(model.named_parameters()))
    >>> modes = token_modes(model, raised.reshape(1, -1), torch.tensor([[0, 1, 2]]), parameters=weights)
    >>> modes.signed[0, 0].tolist()  # d log p(1 | 0) = 1 − ⅓
    [0.6666666865348816, 0.0]
    """
    model = unwrap_model(model)
    text = TextBatch.of(model, batch)
    if not text.counts.any():
        raise ValueError(f"batch: all {text.counts.numel()} next tokens are masked; there is nothing to read")
    if batch_size < 1:
        raise ValueError(f"batch_size = {batch_size}; at least one sequence is needed at a time")
    respond = responder_of(
        model,
        text.inputs,
        parameters=parameters,
        method=method,
        relative_epsilon=relative_epsilon,
        forward=next_token_logits,
        batch_size=batch_size,
    )
    rows = respond.of_edge(directions, k) if isinstance(directions, SpectralEdge) else respond.checked(directions)
    parts = list(_iterate(respond, text, rows, batch_size))
    signed, sensitivity, log_probability = (torch.cat(found, dim=-2) for found in zip(*parts, strict=True))
    masked = ~text.counts.to(signed.device)
    for found in (signed, sensitivity, log_probability):
        found.masked_fill_(masked, torch.nan)
    return TokenModes(signed, sensitivity, log_probability, text.ids, respond.method, respond.epsilon)


def _iterate(
    respond: Responder, text: TextBatch, rows: Tensor, batch_size: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """signed and sensitivity (k, n, T - 1), log-probability (n, T - 1) of a few sequences at a time."""
    with respond.reading():
        few = next(input_batches(respond.inputs, 1))
        logits = next_token_logits(respond.model, few)
        size = logits.shape[1] * logits.shape[2] * logits.element_size()
        group = min(len(rows), DIRECTIONS_AT_ONCE) if respond.method == "jvp" else 1
        group = max(1, min(group, _BYTES_AT_ONCE // size))
        sequences = max(1, min(batch_size, _BYTES_AT_ONCE // (group * size)))
        del logits
        targets = text.ids[:, 1:].split(sequences)
        for inputs, following in zip(input_batches(respond.inputs, sequences), targets, strict=True):
            yield _of_batch(respond.on(inputs), inputs, following, rows, group)


def _of_batch(
    respond: Responder, inputs: Inputs, following: Tensor, rows: Tensor, group: int
) -> tuple[Tensor, Tensor, Tensor]:
    logits = next_token_logits(respond.model, inputs)
    probability = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    following = following.to(logits.device)[..., None]
    log_probability = probability.gather(-1, following)[..., 0]
    probability = probability.exp_()
    signed, sensitivity = [], []
    for several in rows.split(group):
        for tangent in respond(several):
            moved = tangent.reshape(logits.shape).to(probability.dtype)
            # A logit of -inf has no derivative and no weight.
            moved = torch.where(probability > 0, moved, 0) if not torch.isfinite(logits).all() else moved
            mean = torch.linalg.vecdot(probability, moved)[..., None]
            signed.append((moved.gather(-1, following) - mean)[..., 0])
            moved = moved - mean
            sensitivity.append(torch.linalg.vecdot(probability, moved.square_()) / 2)
    return torch.stack(signed), torch.stack(sensitivity), log_probability
