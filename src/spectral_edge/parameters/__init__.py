"""Named parameter subset <-> one flat vector: the only flatten in the project, and what of it this process holds."""

from spectral_edge.parameters.adapters import Adapter, adapted_weights, adapters_of, plain_name
from spectral_edge.parameters.layers import by_numbers, layer_of, layer_sizes
from spectral_edge.parameters.precision import spacing
from spectral_edge.parameters.selection import (
    Selector,
    attention_weights,
    select_names,
    select_parameters,
    unwrap_model,
)
from spectral_edge.parameters.sharding import Shard, agree, reshard, sum_over, to_local
from spectral_edge.parameters.subset import Block, ParameterSubset

__all__ = [
    "Adapter",
    "Block",
    "ParameterSubset",
    "Selector",
    "Shard",
    "adapted_weights",
    "adapters_of",
    "agree",
    "attention_weights",
    "by_numbers",
    "layer_of",
    "layer_sizes",
    "plain_name",
    "reshard",
    "select_names",
    "select_parameters",
    "spacing",
    "sum_over",
    "to_local",
    "unwrap_model",
]
