"""The microscope: what happens inside of a model."""

from chainrule.explain.variance import LayerVariance, VarianceReport, draw_variances, variance_report

__all__ = ["LayerVariance", "VarianceReport", "draw_variances", "variance_report"]
