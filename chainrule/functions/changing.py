"""Functions that change the tensor they are given: `chainrule.sin_(x)` is `x.sin_()`, by the same definition.

>>> import chainrule
>>> x = chainrule.tensor([-1.0, 4.0])
>>> chainrule.abs_(x) is x, x
(True, tensor([1., 4.]))
"""

from __future__ import annotations

from chainrule.tensor import Tensor

abs_, acos_, acosh_, addmv_ = Tensor.abs_, Tensor.acos_, Tensor.acosh_, Tensor.addmv_
arccos_, arccosh_, arcsin_, arcsinh_ = Tensor.arccos_, Tensor.arccosh_, Tensor.arcsin_, Tensor.arcsinh_
arctan_, arctanh_, asin_, asinh_ = Tensor.arctan_, Tensor.arctanh_, Tensor.asin_, Tensor.asinh_
atan_, atanh_, ceil_, clamp_ = Tensor.atan_, Tensor.atanh_, Tensor.ceil_, Tensor.clamp_
clamp_max_, clamp_min_, clip_, cos_ = Tensor.clamp_max_, Tensor.clamp_min_, Tensor.clip_, Tensor.cos_
cosh_, deg2rad_, detach_, erf_ = Tensor.cosh_, Tensor.deg2rad_, Tensor.detach_, Tensor.erf_
erfc_, exp2_, exp_, expm1_ = Tensor.erfc_, Tensor.exp2_, Tensor.exp_, Tensor.expm1_
fill_, fix_, floor_, frac_ = Tensor.fill_, Tensor.fix_, Tensor.floor_, Tensor.frac_
gcd_, index_put_, lcm_, ldexp_ = Tensor.gcd_, Tensor.index_put_, Tensor.lcm_, Tensor.ldexp_
log10_, log1p_, log2_, log_ = Tensor.log10_, Tensor.log1p_, Tensor.log2_, Tensor.log_
logit_, nan_to_num_, neg_, negative_ = Tensor.logit_, Tensor.nan_to_num_, Tensor.neg_, Tensor.negative_
rad2deg_, reciprocal_, relu_, resize_as_ = Tensor.rad2deg_, Tensor.reciprocal_, Tensor.relu_, Tensor.resize_as_
round_, rsqrt_, sigmoid_, sin_ = Tensor.round_, Tensor.rsqrt_, Tensor.sigmoid_, Tensor.sin_
sinc_, sinh_, sqrt_, square_ = Tensor.sinc_, Tensor.sinh_, Tensor.sqrt_, Tensor.square_
tan_, tanh_, trunc_, xlogy_ = Tensor.tan_, Tensor.tanh_, Tensor.trunc_, Tensor.xlogy_
zero_ = Tensor.zero_
