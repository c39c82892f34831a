"""Variation between seeds beside variation from rounding: copies whose learning rates are neighbours in float32."""

from spectral_edge.experiments.rounding.copies import compare_copies, measure_copy, part_ways, rounding_runs
from spectral_edge.experiments.rounding.summary import rounding_points

__all__ = ["compare_copies", "measure_copy", "part_ways", "rounding_points", "rounding_runs"]
