"""The microscope: what happens inside of a model."""

from chainrule.explain.grids import draw_feature_maps, feature_map_grid, feature_maps, filter_grid
from chainrule.explain.optimised_input import OptimisedInput, optimised_input
from chainrule.explain.receptive import FieldReport, SeenField, receptive_fields
from chainrule.explain.saliency import (
    IntegratedGradients,
    grad_cam,
    gradient_map,
    gradient_times_input,
    integrated_gradients,
    occlusion,
)
from chainrule.explain.summary import LayerRow, Summary, summary
from chainrule.explain.variance import LayerVariance, VarianceReport, draw_variances, variance_report

__all__ = [
    "FieldReport",
    "IntegratedGradients",
    "LayerRow",
    "LayerVariance",
    "OptimisedInput",
    "SeenField",
    "Summary",
    "VarianceReport",
    "draw_feature_maps",
    "draw_variances",
    "feature_map_grid",
    "feature_maps",
    "filter_grid",
    "grad_cam",
    "gradient_map",
    "gradient_times_input",
    "integrated_gradients",
    "occlusion",
    "optimised_input",
    "receptive_fields",
    "summary",
    "variance_report",
]
