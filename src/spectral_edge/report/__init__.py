"""The report: stored results drawn and tabulated, as one offline page and as separate figures and tables."""

from spectral_edge.report.writing import write_report

__all__ = ["write_report"]
