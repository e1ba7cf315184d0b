"""Normalising flows: exact densities by a change of variables.

bijection   what a part of a flow is, and parts one after the other
flow        a density and samples from a bijection
planar      a bend along one direction
coupling    kept numbers say how the rest is scaled and shifted (RealNVP)
spline      the same with rational-quadratic splines
images      dequantisation, the logit's scale, masks, codes of several scales
models      whole flows
"""

from chainrule.generative.flows.bijection import Bijection, Chain
from chainrule.generative.flows.coupling import AffineCoupling, Coupling
from chainrule.generative.flows.flow import Flow
from chainrule.generative.flows.images import (
    LogitScale,
    MultiScale,
    Squeeze,
    channel_mask,
    checkerboard_mask,
    dequantise,
)
from chainrule.generative.flows.models import image_realnvp, planar_flow, realnvp, spline_flow
from chainrule.generative.flows.planar import Planar
from chainrule.generative.flows.spline import SplineCoupling, rational_quadratic_spline

__all__ = [
    "AffineCoupling", "Bijection", "Chain", "Coupling", "Flow", "LogitScale", "MultiScale", "Planar", "SplineCoupling",
    "Squeeze", "channel_mask", "checkerboard_mask", "dequantise", "image_realnvp", "planar_flow",
    "rational_quadratic_spline", "realnvp", "spline_flow",
]  # fmt: skip
