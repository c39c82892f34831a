"""The report: stored results drawn and tabulated, as one offline page and as separate figures and tables."""

from spectral_edge.report.answers import EFFECT_COLUMNS, EffectLine, answers_table, effect_lines
from spectral_edge.report.causes import draw_causes
from spectral_edge.report.discoveries import write_discovery_report
from spectral_edge.report.drawing import Drawing
from spectral_edge.report.early_warnings import draw_leads, draw_traces
from spectral_edge.report.findings import findings_id, findings_markdown, update_findings
from spectral_edge.report.language import draw_language
from spectral_edge.report.placed import placed_sentence
from spectral_edge.report.points import experiment_markdown, write_experiment_report
from spectral_edge.report.recording_page import recording_page, write_recording_report
from spectral_edge.report.recordings import is_recording
from spectral_edge.report.rounding import draw_copies
from spectral_edge.report.sections import ClaimSection, claim_sections
from spectral_edge.report.selection import thinned
from spectral_edge.report.summary import decision_sentence
from spectral_edge.report.tables import Column
from spectral_edge.report.writing import write_decision, write_report

__all__ = [
    "EFFECT_COLUMNS",
    "ClaimSection",
    "Column",
    "Drawing",
    "EffectLine",
    "answers_table",
    "claim_sections",
    "decision_sentence",
    "draw_causes",
    "draw_copies",
    "draw_language",
    "draw_leads",
    "draw_traces",
    "effect_lines",
    "experiment_markdown",
    "findings_id",
    "findings_markdown",
    "is_recording",
    "placed_sentence",
    "recording_page",
    "thinned",
    "update_findings",
    "write_decision",
    "write_discovery_report",
    "write_experiment_report",
    "write_recording_report",
    "write_report",
]
