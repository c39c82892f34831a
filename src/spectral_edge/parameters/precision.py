"""How fine the number format of a tensor is where its values are."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["spacing"]


def spacing(values: Tensor) -> Tensor:
    """The distance to the next number of the same format, float64, of each value's shape; of tiny ones at 0.

    Rounding to the format is off by 1/√12 of it in the root mean square.

    >>> spacing(torch.tensor([1.0, 3.0], dtype=torch.bfloat16)).tolist()  # 7 bits after the leading one
    [0.0078125, 0.015625]
    """
    form = torch.finfo(values.dtype)
    exponent = torch.frexp(values.abs().to(torch.promote_types(values.dtype, torch.float32)).clamp_min(form.tiny))[1]
    return form.eps * torch.exp2(exponent.double() - 1)
