"""Choose parameters of a model by kind, by name or by a predicate."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from torch import nn

from spectral_edge.parameters.layers import by_numbers
from spectral_edge.parameters.subset import ParameterSubset

__all__ = ["Selector", "attention_weights", "select_names", "select_parameters", "unwrap_model"]

Selector = str | Callable[[str, nn.Parameter], bool]

# Module names of attention in models that do not use nn.MultiheadAttention: GPT-2, Llama, BERT, T5, ViT, nanoGPT, …
_ATTENTION_NAME = re.compile(r"(^|\.)[^.]*(attn|attention)[^.]*\.(?!.*norm).*weight$", re.IGNORECASE)


def unwrap_model(model: nn.Module) -> nn.Module:
    """The module inside ``torch.compile`` and ``DistributedDataParallel``, whose parameter names have no prefix."""
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module) or (
            type(model).__name__ == "DistributedDataParallel"
            and isinstance(inner := getattr(model, "module", None), nn.Module)
        ):
            model = inner
        else:
            return model


def attention_weights(model: nn.Module) -> ParameterSubset:
    """Select W_Q, W_K, W_V, W_O of every attention layer, without biases (paper, section 1).

    In a layer of ``nn.MultiheadAttention``, ``in_proj_weight`` (3d, d) stacks W_Q, W_K, W_V; then comes
    ``out_proj.weight`` (d, d). A model without such layers is searched for matrices named ``weight`` in modules with
    "attn" or "attention" in their names, as in most language models.

    Raises:
        ValueError: the model has no attention by either rule, layers differ in their number of heads, or
            queries, keys and values have different widths (no ``in_proj_weight``).

    >>> import spectral_edge as se
    >>> attention_weights(se.ModularTransformer(p=97)).dim
    131072
    """
    model = unwrap_model(model)
    layers = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    if not layers:
        named = {n: w for n, w in model.named_parameters() if w.ndim == 2 and _ATTENTION_NAME.search(n)}
        if named:
            return ParameterSubset(named)
        raise ValueError(
            f"attention_weights: {type(model).__name__} has no nn.MultiheadAttention and no matrix in a module named "
            "like attention. Say which weights: parameters=, with a regular expression of their names; it has "
            + _listed([name for name, _ in model.named_parameters()])
        )
    n_heads = {layer.num_heads for layer in layers}
    if len(n_heads) > 1:
        raise ValueError(f"attention_weights: layers have different numbers of heads {sorted(n_heads)}")
    wanted = set()
    for layer in layers:
        if layer.in_proj_weight is None:
            raise ValueError("attention_weights: a layer has separate q/k/v widths, so no in_proj_weight")
        wanted |= {id(layer.in_proj_weight), id(layer.out_proj.weight)}
    chosen = {name: w for name, w in model.named_parameters() if id(w) in wanted}
    return ParameterSubset(chosen, n_heads=n_heads.pop())


def _pattern(which: str) -> re.Pattern[str]:
    try:
        return re.compile(which)
    except re.error as problem:
        raise ValueError(f"parameters: {which!r} is no regular expression ({problem})") from None


def _matches(pattern: re.Pattern[str]) -> Callable[[str, nn.Parameter], bool]:
    return lambda name, _: pattern.search(name) is not None


def select_parameters(model: nn.Module, which: Selector | ParameterSubset) -> ParameterSubset:
    """Select parameters by ``"attention"``, a regular expression searched in names, or a predicate.

    Names are those of the module inside ``torch.compile`` or ``DistributedDataParallel``. Tied parameters can be
    selected by any of their names and are called by the first.

    Args:
        model: any module.
        which: ``"attention"`` (:func:`attention_weights`), a regex, or ``f(name, parameter) -> bool``; a subset is
            returned as it is.

    Raises:
        ValueError: nothing matches (the message lists the names there are), or ``which`` is something else.

    >>> select_parameters(nn.Linear(3, 2), "weight")
    ParameterSubset(1 tensors, dim=6)
    """
    if isinstance(which, ParameterSubset):
        return which
    if which == "attention":
        return attention_weights(model)
    model = unwrap_model(model)
    if not isinstance(which, str) and not callable(which):
        raise ValueError(f"select_parameters: {which!r} is no regex and no predicate f(name, parameter) -> bool")
    matches = _matches(_pattern(which)) if isinstance(which, str) else which
    wanted = {id(w) for name, w in model.named_parameters(remove_duplicate=False) if matches(name, w)}
    chosen = {name: w for name, w in model.named_parameters() if id(w) in wanted}
    if not chosen:
        names = _listed([name for name, _ in model.named_parameters()])
        raise ValueError(f"select_parameters: {which!r} matches no parameter of this model; it has {names}")
    return ParameterSubset(chosen)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")


def select_names(shapes: Mapping[str, tuple[int, ...]], which: Selector) -> tuple[str, ...]:
    """Select parameters where there are only names and shapes, as in a file; numbers in names are ordered as numbers.

    Args:
        shapes: name -> shape.
        which: ``"attention"``, matrices in modules that are called so, or a regex.

    Raises:
        ValueError: nothing matches, or a predicate is given, which needs a model.

    >>> select_names({"h.10.attn.q.weight": (2, 2), "h.9.attn.q.weight": (2, 2), "head.weight": (2, 2)}, "attn")
    ('h.9.attn.q.weight', 'h.10.attn.q.weight')
    """
    if not isinstance(which, str):
        raise ValueError("parameters: a predicate asks for parameters of a model; pass the model, or a regex")
    pattern = _ATTENTION_NAME if which == "attention" else _pattern(which)
    found = [name for name, shape in shapes.items() if pattern.search(name)]
    if which == "attention":
        found = [name for name in found if len(shapes[name]) == 2]
    if not found:
        raise ValueError(f"parameters: {which!r} matches no name; there are {_listed(list(shapes))}")
    return tuple(sorted(found, key=by_numbers))
