"""Ready parametrizations: weights that stay orthogonal, of spectral norm 1, or split into length and direction."""

from chainrule.nn.utils.orthogonal import orthogonal
from chainrule.nn.utils.spectral_norm import parametrize_by_spectrum as spectral_norm
from chainrule.nn.utils.weight_norm import parametrize_by_norm as weight_norm

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]
