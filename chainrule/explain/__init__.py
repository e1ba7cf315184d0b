"""The microscope: what happens inside of a model."""

from chainrule.explain.summary import LayerRow, Summary, summary
from chainrule.explain.variance import LayerVariance, VarianceReport, draw_variances, variance_report

__all__ = [
    "LayerRow",
    "LayerVariance",
    "Summary",
    "VarianceReport",
    "draw_variances",
    "summary",
    "variance_report",
]
