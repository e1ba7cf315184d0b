"""The functions under the layers, under PyTorch's names.

Every public name stands here once, as `name as name`: so type checkers know that it is meant for others.
"""

import typing as _typing

from chainrule.absent_names import teller as _teller
from chainrule.functions.words import teach as _teach
from chainrule.functions.activation import gelu as gelu, sigmoid as sigmoid
from chainrule.functions.counting import one_hot as one_hot
from chainrule.functions.elementwise import tanh as tanh
from chainrule.nn.activations.classic import (
    log_softmax as log_softmax, relu as relu, relu_ as relu_, softmax as softmax,
)  # fmt: skip
from chainrule.nn.activations.piecewise import (
    hardshrink as hardshrink, hardsigmoid as hardsigmoid, hardswish as hardswish, hardtanh as hardtanh,
    hardtanh_ as hardtanh_, leaky_relu as leaky_relu, leaky_relu_ as leaky_relu_, prelu as prelu, relu6 as relu6,
    rrelu as rrelu, rrelu_ as rrelu_, softshrink as softshrink, threshold as threshold, threshold_ as threshold_,
)  # fmt: skip
from chainrule.nn.activations.smooth import (
    celu as celu, celu_ as celu_, elu as elu, elu_ as elu_, glu as glu, gumbel_softmax as gumbel_softmax,
    logsigmoid as logsigmoid, mish as mish, selu as selu, selu_ as selu_, silu as silu, softmin as softmin,
    softplus as softplus, softsign as softsign, tanhshrink as tanhshrink,
)  # fmt: skip
from chainrule.nn.attention.dot_product import (
    causal_mask as causal_mask, scaled_dot_product_attention as scaled_dot_product_attention,
)  # fmt: skip
from chainrule.nn.attention.multihead import multi_head_attention_forward as multi_head_attention_forward
from chainrule.nn.bilinear import bilinear as bilinear
from chainrule.nn.convolution.layers import conv1d as conv1d, conv2d as conv2d, conv3d as conv3d
from chainrule.nn.convolution.transposed import (
    conv_transpose1d as conv_transpose1d, conv_transpose2d as conv_transpose2d, conv_transpose3d as conv_transpose3d,
)  # fmt: skip
from chainrule.nn.distance import (
    cosine_similarity as cosine_similarity, normalize as normalize, pairwise_distance as pairwise_distance,
    pdist as pdist,
)  # fmt: skip
from chainrule.nn.dropout import (
    alpha_dropout as alpha_dropout, classic_dropout as classic_dropout, dropout as dropout, dropout1d as dropout1d,
    dropout2d as dropout2d, dropout3d as dropout3d, feature_alpha_dropout as feature_alpha_dropout,
)  # fmt: skip
from chainrule.nn.embedding import embedding as embedding, embedding_bag as embedding_bag
from chainrule.nn.linear import linear as linear
from chainrule.nn.losses.binary import (
    binary_cross_entropy as binary_cross_entropy,
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits, hinge_loss as hinge_loss,
    soft_margin_loss as soft_margin_loss,
)  # fmt: skip
from chainrule.nn.losses.classes import (
    cross_entropy as cross_entropy, l1_loss as l1_loss, mse_loss as mse_loss, nll_loss as nll_loss,
)  # fmt: skip
from chainrule.nn.losses.ctc import ctc_loss as ctc_loss
from chainrule.nn.losses.distribution import (
    categorical_log_likelihood as categorical_log_likelihood, elbo_terms as elbo_terms, gaussian_kl as gaussian_kl,
    gaussian_log_likelihood as gaussian_log_likelihood, gaussian_nll_loss as gaussian_nll_loss, kl_div as kl_div,
    poisson_nll_loss as poisson_nll_loss,
)  # fmt: skip
from chainrule.nn.losses.generative import (
    discriminator_loss as discriminator_loss, generator_loss as generator_loss, gradient_penalty as gradient_penalty,
)  # fmt: skip
from chainrule.nn.losses.margin import (
    cosine_embedding_loss as cosine_embedding_loss, hinge_embedding_loss as hinge_embedding_loss,
    margin_ranking_loss as margin_ranking_loss, multi_margin_loss as multi_margin_loss,
    multilabel_margin_loss as multilabel_margin_loss, multilabel_soft_margin_loss as multilabel_soft_margin_loss,
    triplet_margin_loss as triplet_margin_loss,
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)  # fmt: skip
from chainrule.nn.losses.regression import huber_loss as huber_loss, smooth_l1_loss as smooth_l1_loss
from chainrule.nn.normalisation.functions import (
    batch_norm as batch_norm, group_norm as group_norm, instance_norm as instance_norm, layer_norm as layer_norm,
    local_response_norm as local_response_norm, rms_norm as rms_norm,
)  # fmt: skip
from chainrule.nn.padding.functions import pad as pad
from chainrule.nn.pooling.adaptive import (
    adaptive_avg_pool1d as adaptive_avg_pool1d, adaptive_avg_pool2d as adaptive_avg_pool2d,
    adaptive_avg_pool3d as adaptive_avg_pool3d, adaptive_max_pool1d as adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices as adaptive_max_pool1d_with_indices, adaptive_max_pool2d as adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices as adaptive_max_pool2d_with_indices, adaptive_max_pool3d as adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices as adaptive_max_pool3d_with_indices,
)  # fmt: skip
from chainrule.nn.pooling.fractional import (
    fractional_max_pool2d as fractional_max_pool2d,
    fractional_max_pool2d_with_indices as fractional_max_pool2d_with_indices,
    fractional_max_pool3d as fractional_max_pool3d,
    fractional_max_pool3d_with_indices as fractional_max_pool3d_with_indices,
)  # fmt: skip
from chainrule.nn.pooling.lp import lp_pool1d as lp_pool1d, lp_pool2d as lp_pool2d, lp_pool3d as lp_pool3d
from chainrule.nn.pooling.unpooling import (
    max_unpool1d as max_unpool1d, max_unpool2d as max_unpool2d, max_unpool3d as max_unpool3d,
)  # fmt: skip
from chainrule.nn.pooling.windows import (
    avg_pool1d as avg_pool1d, avg_pool2d as avg_pool2d, avg_pool3d as avg_pool3d, max_pool1d as max_pool1d,
    max_pool1d_with_indices as max_pool1d_with_indices, max_pool2d as max_pool2d,
    max_pool2d_with_indices as max_pool2d_with_indices, max_pool3d as max_pool3d,
    max_pool3d_with_indices as max_pool3d_with_indices,
)  # fmt: skip
from chainrule.nn.rearrange import (
    channel_shuffle as channel_shuffle, fold as fold, pixel_shuffle as pixel_shuffle,
    pixel_unshuffle as pixel_unshuffle, unfold as unfold,
)  # fmt: skip
from chainrule.nn.resizing.grid_sampling import affine_grid as affine_grid, grid_sample as grid_sample
from chainrule.nn.resizing.resampling import (
    interpolate as interpolate, upsample as upsample, upsample_bilinear as upsample_bilinear,
    upsample_nearest as upsample_nearest,
)  # fmt: skip
from chainrule.nn.transformer.positions import sinusoidal_positions as sinusoidal_positions

__all__ = sorted(name for name in globals() if name[0] != "_")

_teach(globals())

if not _typing.TYPE_CHECKING:  # it would believe in every name
    __getattr__ = _teller("nn.functional", globals())
