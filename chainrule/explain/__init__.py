"""The microscope: what happens inside of a model."""

from chainrule.explain.receptive import FieldReport, SeenField, receptive_fields
from chainrule.explain.summary import LayerRow, Summary, summary
from chainrule.explain.variance import LayerVariance, VarianceReport, draw_variances, variance_report

__all__ = [
    "FieldReport",
    "LayerRow",
    "LayerVariance",
    "SeenField",
    "Summary",
    "VarianceReport",
    "draw_variances",
    "receptive_fields",
    "summary",
    "variance_report",
]
