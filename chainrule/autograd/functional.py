"""Jacobians, Hessians and products with them, under PyTorch's names."""

from chainrule.autodiff.gradient import hessian, hvp, jacobian, jvp, vhp, vjp

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
