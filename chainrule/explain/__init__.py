"""The microscope: what happens inside of a model.

The package itself can be called: `chainrule.explain(model, x)` is :func:`chainrule.explain.explain`, and
`chainrule.explain.variance_report` is one of its names.
"""

import sys
from types import ModuleType
from typing import Any

from chainrule.explain.attention import attention_maps, draw_attention
from chainrule.explain.descent import descent_page
from chainrule.explain.explanation import Explanation
from chainrule.explain.first_nan import first_nan
from chainrule.explain.grids import draw_feature_maps, feature_map_grid, feature_maps, filter_grid
from chainrule.explain.loss_surface import (
    LossSurface,
    loss_between,
    loss_surface,
    path_directions,
    random_direction,
    weights_of,
)
from chainrule.explain.making import explain
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
from chainrule.explain.ways import GradientWays, Growth, Way, symbolic_growth, ways_to_a_gradient

__all__ = [
    "Explanation",
    "FieldReport",
    "GradientWays",
    "Growth",
    "IntegratedGradients",
    "LayerRow",
    "LayerVariance",
    "LossSurface",
    "OptimisedInput",
    "SeenField",
    "Summary",
    "VarianceReport",
    "Way",
    "attention_maps",
    "descent_page",
    "draw_attention",
    "draw_feature_maps",
    "draw_variances",
    "explain",
    "feature_map_grid",
    "feature_maps",
    "filter_grid",
    "first_nan",
    "grad_cam",
    "gradient_map",
    "gradient_times_input",
    "integrated_gradients",
    "loss_between",
    "loss_surface",
    "occlusion",
    "optimised_input",
    "path_directions",
    "random_direction",
    "receptive_fields",
    "summary",
    "symbolic_growth",
    "variance_report",
    "ways_to_a_gradient",
    "weights_of",
]


class _Callable(ModuleType):
    """A package that is a function too."""

    def __call__(self, thing: Any, *inputs: Any, gradient: Any = None, **settings: Any) -> Explanation:
        """See `explain`."""
        return explain(thing, *inputs, gradient=gradient, **settings)


package: _Callable = sys.modules[__name__]  # type: ignore[assignment]
package.__class__ = _Callable
