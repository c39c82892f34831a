"""Tables of the tokens and the sequences that a direction moves most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import polars

    from spectral_edge.language.tokens import TokenModes

__all__ = ["check_tokenizer", "prompt_table", "token_table", "tokens_of", "top_table"]

_CONTEXT = 12


def check_tokenizer(tokenizer: Any, largest: int) -> None:
    """Refuse a tokenizer that does not know every token of the batch, or cannot decode.

    Raises:
        ValueError: says which.
    """
    if tokenizer is None:
        return
    if not hasattr(tokenizer, "decode"):
        raise ValueError(f"tokenizer: {type(tokenizer).__name__} has no decode(ids)")
    known = len(tokenizer) if hasattr(tokenizer, "__len__") else None
    if known is not None and largest >= known:
        raise ValueError(f"tokenizer: it has {known} tokens, and the batch has token {largest}; it is another model's")


def tokens_of(ids: Tensor, tokenizer: Any) -> list[str]:
    """Each token of a sequence (T,) as text; its id without a tokenizer."""
    return [str(i) if tokenizer is None else str(tokenizer.decode([i])) for i in ids.tolist()]


def _text(ids: Tensor, tokenizer: Any) -> str:
    text = " ".join(map(str, ids.tolist())) if tokenizer is None else str(tokenizer.decode(ids.tolist()))
    return _one_line(text)


def _one_line(text: str) -> str:
    """Rows of a table are easier to read without line breaks."""
    return text.replace("\n", "⏎")


def top_table(modes: TokenModes, direction: int, n: int, tokenizer: Any) -> polars.DataFrame:
    """Rows as :meth:`TokenModes.top` says."""
    import polars

    signed = modes.signed[direction - 1].cpu()
    flat = signed.flatten()
    down = torch.argsort(flat.nan_to_num(torch.inf))[: n // 2]
    up = torch.argsort(flat.nan_to_num(-torch.inf), descending=True)[: n - n // 2]
    both = torch.cat([up[flat[up] > 0], down[flat[down] < 0]])
    chosen = both[flat[both].abs().argsort(descending=True)].tolist()
    rows = []
    for i in chosen:
        sequence, place = divmod(i, signed.shape[1])
        ids = modes.ids[sequence].cpu()
        rows.append(
            {
                "sequence": sequence,
                "position": place + 1,
                "token": _one_line(tokens_of(ids[place + 1 : place + 2], tokenizer)[0]),
                "id": int(ids[place + 1]),
                "signed": float(flat[i]),
                "sensitivity": float(modes.sensitivity[direction - 1, sequence, place]),
                "log_probability": float(modes.log_probability[sequence, place]),
                "context": _text(ids[max(0, place + 1 - _CONTEXT) : place + 1], tokenizer),
            }
        )
    schema = {
        "sequence": polars.Int64, "position": polars.Int64, "token": polars.String, "id": polars.Int64,
        "signed": polars.Float64, "sensitivity": polars.Float64, "log_probability": polars.Float64,
        "context": polars.String,
    }  # fmt: skip
    return polars.DataFrame(rows, schema=schema)


def token_table(modes: TokenModes) -> polars.DataFrame:
    """Rows as :meth:`TokenModes.to_polars` says."""
    import polars

    direction, sequence, place = (~modes.signed.isnan()).nonzero(as_tuple=True)
    chosen = direction.cpu(), sequence.cpu(), place.cpu()
    return polars.DataFrame(
        {
            "direction": (chosen[0] + 1).numpy(),
            "sequence": chosen[1].numpy(),
            "position": (chosen[2] + 1).numpy(),
            "id": modes.ids.cpu()[chosen[1], chosen[2] + 1].numpy(),
            "signed": modes.signed.cpu()[chosen].double().numpy(),
            "sensitivity": modes.sensitivity.cpu()[chosen].double().numpy(),
            "log_probability": modes.log_probability.cpu()[chosen[1], chosen[2]].double().numpy(),
        }
    )


def prompt_table(modes: TokenModes, direction: int, tokenizer: Any) -> polars.DataFrame:
    """Rows as :meth:`TokenModes.prompts` says."""
    import polars

    signed, sensitivity = modes.signed[direction - 1].cpu().double(), modes.sensitivity[direction - 1].cpu().double()
    table = polars.DataFrame(
        {
            "sequence": range(len(signed)),
            "tokens": (~signed.isnan()).sum(1).tolist(),
            "signed": signed.nanmean(1).tolist(),
            "rms": signed.square().nanmean(1).sqrt().tolist(),
            "sensitivity": sensitivity.nanmean(1).tolist(),
            "log_probability": modes.log_probability.cpu().double().nanmean(1).tolist(),
            "text": [_text(ids, tokenizer) for ids in modes.ids.cpu()],
        }
    )
    # A sequence without a token that counts has no numbers, and comes last.
    return table.fill_nan(None).sort("sensitivity", descending=True, nulls_last=True)
