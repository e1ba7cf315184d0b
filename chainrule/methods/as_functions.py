"""Functions that change the tensor they are given: `chainrule.sin_(x)` is `x.sin_()`, by the same definition.

>>> import chainrule
>>> x = chainrule.tensor([-1.0, 4.0])
>>> chainrule.abs_(x) is x, x
(True, tensor([1., 4.]))
"""

from __future__ import annotations

from chainrule.methods.further import FurtherMethods
from chainrule.methods.gradients import GradientMethods
from chainrule.methods.operations import Operations
from chainrule.methods.shape_in_place import ShapeMethods


class _Methods(Operations, FurtherMethods, ShapeMethods, GradientMethods):
    """Where `Tensor` has them from."""


abs_, acos_, acosh_, addmv_ = _Methods.abs_, _Methods.acos_, _Methods.acosh_, _Methods.addmv_
arccos_, arccosh_, arcsin_, arcsinh_ = _Methods.arccos_, _Methods.arccosh_, _Methods.arcsin_, _Methods.arcsinh_
arctan_, arctanh_, asin_, asinh_ = _Methods.arctan_, _Methods.arctanh_, _Methods.asin_, _Methods.asinh_
atan_, atanh_, ceil_, clamp_ = _Methods.atan_, _Methods.atanh_, _Methods.ceil_, _Methods.clamp_
clamp_max_, clamp_min_, clip_, cos_ = _Methods.clamp_max_, _Methods.clamp_min_, _Methods.clip_, _Methods.cos_
cosh_, deg2rad_, detach_, erf_ = _Methods.cosh_, _Methods.deg2rad_, _Methods.detach_, _Methods.erf_
erfc_, exp2_, exp_, expm1_ = _Methods.erfc_, _Methods.exp2_, _Methods.exp_, _Methods.expm1_
fill_, fix_, floor_, frac_ = _Methods.fill_, _Methods.fix_, _Methods.floor_, _Methods.frac_
gcd_, index_put_, lcm_, ldexp_ = _Methods.gcd_, _Methods.index_put_, _Methods.lcm_, _Methods.ldexp_
log10_, log1p_, log2_, log_ = _Methods.log10_, _Methods.log1p_, _Methods.log2_, _Methods.log_
logit_, nan_to_num_, neg_, negative_ = _Methods.logit_, _Methods.nan_to_num_, _Methods.neg_, _Methods.negative_
rad2deg_, reciprocal_, relu_, resize_as_ = _Methods.rad2deg_, _Methods.reciprocal_, _Methods.relu_, _Methods.resize_as_
round_, rsqrt_, sigmoid_, sin_ = _Methods.round_, _Methods.rsqrt_, _Methods.sigmoid_, _Methods.sin_
sinc_, sinh_, sqrt_, square_ = _Methods.sinc_, _Methods.sinh_, _Methods.sqrt_, _Methods.square_
tan_, tanh_, trunc_, xlogy_ = _Methods.tan_, _Methods.tanh_, _Methods.trunc_, _Methods.xlogy_
zero_, i0_ = _Methods.zero_, _Methods.i0_
